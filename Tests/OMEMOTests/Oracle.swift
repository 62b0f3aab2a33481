// Independent implementations of both versions, as processes to talk to: python-omemo's backends here, libomemo-c in
// Libomemo.swift.
import Foundation
import IMCrypto
import Testing
import XMPP

@testable import OMEMO

/// A process that answers each line with one line, and ends with its standard input.
final class LineProcess {
    struct HasEnded: Error {}

    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    private var unread = Data()

    init(_ program: String, _ arguments: [String]) throws {
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.standardInput = input
        process.standardOutput = output
        try process.run()
    }

    deinit {
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
    }

    func ask(_ line: Data) throws -> Data {
        try input.fileHandleForWriting.write(contentsOf: line + [0x0a])
        while true {
            if let end = unread.firstIndex(of: 0x0a) {
                defer { unread = Data(unread[(end + 1)...]) }
                return Data(unread[..<end])
            }
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { throw HasEnded() }
            unread += more
        }
    }
}

/// One device of an independent implementation, with one device of ours to talk to.
protocol OraclePeer: AnyObject {
    var version: ProtocolVersion { get }
    var address: DeviceAddress { get }
    /// What it keeps, for `PeerModel`.
    var habits: PeerModel.Habits { get }

    func bundleElement() throws -> Element
    func learn(_ device: Device) throws
    func send(_ text: String, to device: Device) throws -> EncryptedMessage
    /// - Returns: the text, and what the oracle sends in return by itself.
    /// - Throws: `Oracle.Failure` if it refuses.
    @discardableResult
    func receive(
        _ message: EncryptedMessage, from device: Device
    ) throws -> (text: String?, sent: [EncryptedMessage])
    func restart() throws
    func snapshot() throws
    func restore() throws
}

extension OraclePeer {
    static func xml(_ element: Element) -> String { String(decoding: element.xml(), as: UTF8.self) }
}

/// One process that plays any number of python-omemo's devices; see Oracle/omemo_peer.py.
final class Oracle {
    struct Failure: Error, Equatable { let name: String }

    /// The interpreter, if it has oldmemo.
    static let python: String? = {
        guard let path = ProcessInfo.processInfo.environment["IMD_ORACLE_PYTHON"] else { return nil }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = ["-c", "import oldmemo.etree, twomemo.etree"]
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return nil }
        process.waitUntilExit()
        return process.terminationStatus == 0 ? path : nil
    }()

    /// Where the sources of the processes are.
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Oracle")

    private let process: LineProcess
    let version: ProtocolVersion

    init(_ version: ProtocolVersion) throws {
        self.version = version
        process = try LineProcess(
            #require(Self.python),
            [Self.folder.appendingPathComponent("omemo_peer.py").path, version.shortName])
    }

    struct Answer: Decodable {
        var error: String?
        var detail: String?
        var device: UInt32?
        var bundle: String?
        var xml: String?
        var text: String?
        var sent: [String]?
        var identitySeed: String?
        var signedPreKey: String?
        var preKeys: [String]?
        var ratchetKey: String?
    }

    func ask(_ request: [String: Any]) throws -> Answer {
        let line = try process.ask(JSONSerialization.data(withJSONObject: request))
        let answer = try JSONDecoder().decode(Answer.self, from: line)
        if let error = answer.error { throw Failure(name: error) }
        return answer
    }
}

extension ProtocolVersion {
    /// As the oracles and the files of vectors are called.
    var shortName: String { self == .legacy ? "legacy" : "omemo2" }
}

/// One device of python-omemo.
final class PythonPeer: OraclePeer {
    let oracle: Oracle
    var version: ProtocolVersion { oracle.version }
    let habits = PeerModel.Habits(sessions: 1, chains: nil, publishesOnlyWhenSpent: true)
    let name: String
    let address: DeviceAddress

    init(_ oracle: Oracle, _ name: String, sign: Bool) throws {
        self.oracle = oracle
        self.name = name
        let jid = "\(name)@example.com"
        let answer = try oracle.ask(["op": "create", "peer": name, "jid": jid, "sign": sign])
        address = DeviceAddress(jid: try JID(jid), device: try #require(answer.device))
    }

    func bundleElement() throws -> Element {
        try parse(#require(oracle.ask(["op": "bundle", "peer": name]).bundle))
    }

    func learn(_ device: Device) throws {
        _ = try oracle.ask([
            "op": "publish", "peer": name, "jid": device.address.jid.description,
            "device": Int(device.own.id), "bundle": Self.xml(device.bundle.element),
        ])
    }

    func send(_ text: String, to device: Device) throws -> EncryptedMessage {
        let answer = try oracle.ask([
            "op": "encrypt", "peer": name, "jid": device.address.jid.description, "text": text,
        ])
        return try EncryptedMessage(parse(#require(answer.xml)), oracle.version)
    }

    @discardableResult
    func receive(
        _ message: EncryptedMessage, from device: Device
    ) throws -> (text: String?, sent: [EncryptedMessage]) {
        let answer = try oracle.ask([
            "op": "decrypt", "peer": name, "jid": device.address.jid.description,
            "xml": Self.xml(message.element),
        ])
        return (answer.text, try (answer.sent ?? []).map { try EncryptedMessage(parse($0), oracle.version) })
    }

    /// Its private keys, with the ratchet key of its session with that device if it has one.
    func export(_ device: Device? = nil) throws -> Oracle.Answer {
        var request: [String: Any] = ["op": "export", "peer": name]
        if let device {
            request["jid"] = device.address.jid.description
            request["device"] = Int(device.own.id)
        }
        return try oracle.ask(request)
    }

    func restart() throws { _ = try oracle.ask(["op": "restart", "peer": name]) }
    func snapshot() throws { _ = try oracle.ask(["op": "snapshot", "peer": name]) }
    func restore() throws { _ = try oracle.ask(["op": "restore", "peer": name]) }
}

extension Device {
    func send(_ text: String?, to peer: some OraclePeer) throws -> EncryptedMessage {
        try send(text, to: peer.address, with: OMEMO.Bundle(peer.bundleElement(), peer.version))
    }

    @discardableResult
    func receive(_ message: EncryptedMessage, from peer: some OraclePeer) throws -> Received {
        try receive(message, from: peer.address)
    }
}
