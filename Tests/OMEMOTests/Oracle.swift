// python-omemo's backends for both versions, which share no code with this one, as a process to talk to.
import Foundation
import IMCrypto
import Testing
import XMPP

@testable import OMEMO

/// One process that plays any number of devices; see Oracle/omemo_peer.py.
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

    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    private var unread = Data()
    let version: ProtocolVersion

    init(_ version: ProtocolVersion) throws {
        self.version = version
        process.executableURL = URL(fileURLWithPath: try #require(Self.python))
        process.arguments = [
            URL(fileURLWithPath: #filePath).deletingLastPathComponent()
                .appendingPathComponent("Oracle/omemo_peer.py").path,
            version == .legacy ? "legacy" : "omemo2",
        ]
        process.standardInput = input
        process.standardOutput = output
        try process.run()
    }

    deinit {
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
    }

    struct Answer: Decodable {
        var error: String?
        var detail: String?
        var device: UInt32?
        var bundle: String?
        var xml: String?
        var text: String?
        var sent: [String]?
    }

    func ask(_ request: [String: Any]) throws -> Answer {
        var line = try JSONSerialization.data(withJSONObject: request)
        line.append(0x0a)
        try input.fileHandleForWriting.write(contentsOf: line)
        while true {
            if let end = unread.firstIndex(of: 0x0a) {
                let answer = try JSONDecoder().decode(Answer.self, from: unread[..<end])
                unread = Data(unread[(end + 1)...])
                if let error = answer.error { throw Failure(name: error) }
                return answer
            }
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { throw Failure(name: "the oracle has ended") }
            unread += more
        }
    }
}

/// One device of the oracle.
final class OraclePeer {
    let oracle: Oracle
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
            "device": Int(device.own.id), "bundle": xml(device.bundle.element),
        ])
    }

    func send(_ text: String, to device: Device) throws -> EncryptedMessage {
        let answer = try oracle.ask([
            "op": "encrypt", "peer": name, "jid": device.address.jid.description, "text": text,
        ])
        return try EncryptedMessage(parse(#require(answer.xml)), oracle.version)
    }

    /// - Returns: the text, and what the oracle sent in return by itself.
    @discardableResult
    func receive(
        _ message: EncryptedMessage, from device: Device
    ) throws -> (text: String?, sent: [EncryptedMessage]) {
        let answer = try oracle.ask([
            "op": "decrypt", "peer": name, "jid": device.address.jid.description,
            "xml": xml(message.element),
        ])
        return (answer.text, try (answer.sent ?? []).map { try EncryptedMessage(parse($0), oracle.version) })
    }

    func restart() throws { _ = try oracle.ask(["op": "restart", "peer": name]) }
    func snapshot() throws { _ = try oracle.ask(["op": "snapshot", "peer": name]) }
    func restore() throws { _ = try oracle.ask(["op": "restore", "peer": name]) }

    private func xml(_ element: Element) -> String { String(decoding: element.xml(), as: UTF8.self) }
}

extension Device {
    func send(_ text: String?, to peer: OraclePeer) throws -> EncryptedMessage {
        try send(text, to: peer.address, with: OMEMO.Bundle(peer.bundleElement(), peer.oracle.version))
    }

    @discardableResult
    func receive(_ message: EncryptedMessage, from peer: OraclePeer) throws -> Received {
        try receive(message, from: peer.address)
    }
}
