// libomemo-c, the library of Dino and Profanity, as a process to talk to; see Oracle/omemo_c.c.
import Foundation
import IMCrypto
import Testing
import XMPP

@testable import OMEMO

enum Libomemo {
    struct DoesNotCompile: Error {}

    /// Whether the library and a compiler are there (Debian: libomemo-c-dev, libssl-dev, gcc).
    static let isInstalled = shell("command -v cc >/dev/null && pkg-config --exists libomemo-c libcrypto")

    private static let folder = FileManager.default.temporaryDirectory
        .appendingPathComponent("imd-tests-\(UUID())")

    /// The compiled program; it goes when the tests end.
    static let program = Result {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        atexit { try? FileManager.default.removeItem(at: Libomemo.folder) }
        let program = folder.appendingPathComponent("omemo_c").path
        let source = Oracle.folder.appendingPathComponent("omemo_c.c").path
        let flags = "-O1 -Wall -Wextra -Werror $(pkg-config --cflags libomemo-c libcrypto)"
        let libraries = "$(pkg-config --libs libomemo-c libcrypto)"
        guard shell("cc \(flags) -o \"$1\" \"$0\" \(libraries)", source, program) else {
            throw DoesNotCompile()
        }
        return program
    }

    private static func shell(_ command: String, _ arguments: String...) -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", command] + arguments
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }
}

/// One device on libomemo-c. It draws nothing but what its seed gives, so its failures can be repeated.
///
/// The library knows no payloads: those are sealed and opened here, and so is what its users send by themselves.
final class LibomemoPeer: OraclePeer {
    let version: ProtocolVersion
    let address: DeviceAddress
    let habits = PeerModel.Habits(sessions: 41, chains: 5, publishesOnlyWhenSpent: false)
    private let process: LineProcess
    private var random: Seeded
    private var bundles: [DeviceAddress: OMEMO.Bundle] = [:]

    init(_ version: ProtocolVersion, seed: UInt64) throws {
        self.version = version
        random = Seeded(seed)
        address = DeviceAddress(jid: try JID("peer@example.com"), device: 31_337)
        process = try LineProcess(Libomemo.program.get(), [version.shortName, "\(seed)"])
        try ask("create")
    }

    /// - Throws: `Oracle.Failure` with the name of the error.
    @discardableResult
    private func ask(_ words: String...) throws -> [Substring] {
        let line = try process.ask(Data(words.joined(separator: " ").utf8))
        let answer = String(decoding: line, as: UTF8.self).split(separator: " ")
        guard answer.first == "ok" else { throw Oracle.Failure(name: String(answer.last ?? "")) }
        return Array(answer.dropFirst())
    }

    func bundleElement() throws -> Element {
        let words = try ask("bundle")
        func child(_ name: String, _ value: Int, _ id: (name: String, value: Int)? = nil) throws -> String {
            let attribute = id.map { " \($0.name)='\(words[$0.value])'" } ?? ""
            let text = try Base64.encode(bytes(hex: String(words[value])))
            return "<\(name)\(attribute)>\(text)</\(name)>"
        }
        let isLegacy = version == .legacy
        let preKeys = try stride(from: 4, to: words.count, by: 2).map { index in
            try isLegacy
                ? child("preKeyPublic", index + 1, ("preKeyId", index))
                : child("pk", index + 1, ("id", index))
        }
        let parts =
            try isLegacy
            ? [
                child("signedPreKeyPublic", 1, ("signedPreKeyId", 0)), child("signedPreKeySignature", 2),
                child("identityKey", 3),
            ] : [child("spk", 1, ("id", 0)), child("spks", 2), child("ik", 3)]
        return try parse(
            "<bundle xmlns='\(version.rawValue)'>\(parts.joined())<prekeys>\(preKeys.joined())</prekeys></bundle>"
        )
    }

    func learn(_ device: Device) throws { bundles[device.address] = device.bundle }

    func send(_ text: String, to device: Device) throws -> EncryptedMessage {
        try send(Optional(text), to: device)
    }

    /// - Parameter text: nil for an empty message.
    func send(_ text: String?, to device: Device) throws -> EncryptedMessage {
        let sealed = try text.map { try Payload.seal(Bytes($0.utf8), version, using: &random) }
        let secret = sealed?.secret ?? Payload.emptySecret(version, using: &random)
        let answer: [Substring]
        do {
            answer = try ask("encrypt", hex(secret.bytes))
        } catch let failure as Oracle.Failure where failure.name == "no-session" {
            try start(with: device)
            answer = try ask("encrypt", hex(secret.bytes))
        }
        let key = EncryptedMessage.Key(
            jid: version == .omemo2 ? device.address.jid : nil, rid: device.own.id,
            isKeyExchange: answer[0] == "1", data: try bytes(hex: String(answer[1])))
        let message = EncryptedMessage(
            version, sid: address.device, keys: [key],
            iv: sealed?.iv ?? Payload.makeIV(version, using: &random), payload: sealed?.ciphertext)
        return try EncryptedMessage(message.element, version)
    }

    /// Builds a session from the bundle; one that was there is archived.
    ///
    /// - Parameter signature: instead of the bundle's.
    func start(with device: Device, signature: Bytes? = nil) throws {
        let bundle = try #require(bundles[device.address])
        let preKey = try #require(bundle.preKeys.randomElement(using: &random))
        let identity = bundle.identityKey
        try ask(
            "start", "\(device.own.id)", "\(bundle.signedPreKeyID)", word(bundle.signedPreKey),
            hex(signature ?? bundle.signature),
            version == .legacy ? word(identity.curve25519) : hex(identity.ed25519),
            "\(preKey.id)", word(preKey.key))
    }

    @discardableResult
    func receive(
        _ message: EncryptedMessage, from device: Device
    ) throws -> (text: String?, sent: [EncryptedMessage]) {
        let key = try #require(message.keys.first { $0.rid == address.device })
        let answer = try ask("decrypt", key.isKeyExchange ? "1" : "0", hex(key.data))
        let secret = SecretBytes(try bytes(hex: String(answer[0])))
        let text = try message.payload.map { _ in
            String(decoding: try Payload.open(message, secret: secret), as: UTF8.self)
        }
        // A spent pre-key is a new session: it is answered, so that the other side stops repeating it.
        return (text, answer[1] == "0" ? [] : [try send(nil, to: device)])
    }

    /// Its store is bytes already.
    func restart() {}
    func snapshot() throws { try ask("snapshot") }
    func restore() throws { try ask("restore") }
    func dropSessions() throws { try ask("drop") }

    private func word(_ key: PublicKey) -> String {
        hex(version == .legacy ? key.serialized : key.bytes)
    }
}
