// Conversations with python-omemo's backends for both versions, which share no code with this one.
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

@Suite(
    .enabled(
        if: Oracle.python != nil, "IMD_ORACLE_PYTHON does not name a python with oldmemo, so no oracle speaks"
    ))
struct OracleTests {
    private static let signs = ProtocolVersion.allCases.flatMap { version in
        [false, true].map { (version: version, sign: $0) }
    }

    /// Strangers who know each other's bundles.
    private func strangers(
        _ seed: UInt64, _ version: ProtocolVersion, sign: Bool = false, peerSign: Bool = true
    ) throws -> (Device, OraclePeer) {
        let device = try Device("imd@example.org", seed: seed, sign: sign, version)
        let peer = try OraclePeer(Oracle(version), "peer", sign: peerSign)
        try peer.learn(device)
        return (device, peer)
    }

    /// After a key exchange by us and the oracle's answer to it.
    private func acquaintances(
        _ seed: UInt64, _ version: ProtocolVersion
    ) throws -> (Device, OraclePeer) {
        let (device, peer) = try strangers(seed, version)
        for answer in try peer.receive(device.send("hello", to: peer), from: device).sent {
            try device.receive(answer, from: peer)
        }
        return (device, peer)
    }

    @Test(arguments: [false, true], signs)
    func `we initiate, with each sign of both identities`(
        _ sign: Bool, _ other: (version: ProtocolVersion, sign: Bool)
    ) throws {
        let (version, peerSign) = other
        let (device, peer) = try strangers(200, version, sign: sign, peerSign: peerSign)
        let first = try device.send("hello", to: peer)
        let second = try device.send("again", to: peer)
        #expect(first.keys[0].isKeyExchange && second.keys[0].isKeyExchange)
        let received = try peer.receive(first, from: device)
        #expect(received.text == "hello")
        #expect(received.sent.count == 1)
        #expect(try device.receive(received.sent[0], from: peer).text == nil)
        #expect(try peer.receive(second, from: device).text == "again")
        let third = try device.send("settled", to: peer)
        #expect(!third.keys[0].isKeyExchange)
        #expect(try peer.receive(third, from: device).text == "settled")
        #expect(try device.receive(peer.send("and back", to: device), from: peer).text == "and back")
    }

    @Test(arguments: [false, true], signs)
    func `the oracle initiates, with each sign of both identities`(
        _ sign: Bool, _ other: (version: ProtocolVersion, sign: Bool)
    ) throws {
        let (version, peerSign) = other
        let (device, peer) = try strangers(201, version, sign: sign, peerSign: peerSign)
        let first = try peer.send("hello", to: device)
        let second = try peer.send("again", to: device)
        let received = try device.receive(second, from: peer)
        #expect(received.text == "again")
        #expect(received.decrypted.isNewSession)
        #expect(received.decrypted.usedPreKey != nil)
        #expect(try device.receive(first, from: peer).text == "hello")
        #expect(try peer.receive(device.send(nil, to: peer), from: device).text == nil)
        let third = try peer.send("settled", to: device)
        #expect(!third.keys[0].isKeyExchange)
        #expect(try device.receive(third, from: peer).text == "settled")
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `text survives in any script and size`(_ version: ProtocolVersion) throws {
        let (device, peer) = try acquaintances(202, version)
        for text in ["ä€😀\u{202e}", String(repeating: "long ", count: 4000), "<&>\n\0"] {
            #expect(try peer.receive(device.send(text, to: peer), from: device).text == text)
            #expect(try device.receive(peer.send(text, to: device), from: peer).text == text)
        }
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `messages out of order and twice`(_ version: ProtocolVersion) throws {
        let (device, peer) = try acquaintances(203, version)
        var random = Seeded(1)
        let ours = try (0..<20).map { try device.send("\($0)", to: peer) }
        let theirs = try (0..<20).map { try peer.send("\($0)", to: device) }
        for index in Array(0..<20).shuffled(using: &random) {
            #expect(try peer.receive(ours[index], from: device).text == "\(index)")
            #expect(throws: Oracle.Failure(name: "DecryptionFailed")) {
                try peer.receive(ours[index], from: device)
            }
            #expect(try device.receive(theirs[index], from: peer).text == "\(index)")
            #expect(throws: DecryptionError.alreadyDecrypted) {
                try device.receive(theirs[index], from: peer)
            }
        }
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `the last messages of a chain arrive after the next chain began`(_ version: ProtocolVersion) throws {
        let (device, peer) = try acquaintances(204, version)
        let late = try (0..<5).map { try peer.send("\($0)", to: device) }
        try device.receive(late[0], from: peer)
        try peer.receive(device.send("turn", to: peer), from: device)
        #expect(try device.receive(peer.send("next", to: device), from: peer).text == "next")
        for index in [4, 2, 1, 3] {
            #expect(try device.receive(late[index], from: peer).text == "\(index)")
        }
        let ours = try (0..<5).map { try device.send("\($0)", to: peer) }
        try peer.receive(ours[0], from: device)
        try device.receive(peer.send("turn", to: device), from: peer)
        #expect(try peer.receive(device.send("next", to: peer), from: device).text == "next")
        for index in [4, 2, 1, 3] {
            #expect(try peer.receive(ours[index], from: device).text == "\(index)")
        }
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `1,000 skipped messages are read by both sides, 1,001 by none`(_ version: ProtocolVersion) throws {
        let (device, peer) = try acquaintances(205, version)
        // Their answer was the first message of this chain, so the numbers skipped are those of the texts.
        let theirs = try (0...1001).map { try peer.send("\($0)", to: device) }
        #expect(throws: DecryptionError.tooFarAhead) { try device.receive(theirs[1001], from: peer) }
        #expect(try device.receive(theirs[1000], from: peer).text == "1000")
        for index in [0, 999, 500] {
            #expect(try device.receive(theirs[index], from: peer).text == "\(index)")
        }
        let ours = try (0...1001).map { try device.send("\($0)", to: peer) }
        #expect(throws: Oracle.Failure(name: "DecryptionFailed")) {
            try peer.receive(ours[1001], from: device)
        }
        #expect(try peer.receive(ours[1000], from: device).text == "1000")
        #expect(try peer.receive(ours[0], from: device).text == "0")
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `crossing key exchanges end on one session`(_ version: ProtocolVersion) throws {
        let (device, peer) = try strangers(206, version)
        let ours = try device.send("ours", to: peer)
        let theirs = try peer.send("theirs", to: device)
        let atPeer = try peer.receive(ours, from: device)
        #expect(atPeer.text == "ours")
        #expect(try device.receive(theirs, from: peer).text == "theirs")
        // The oracle keeps one session, the one we initiated, and answers on it.
        for answer in atPeer.sent { try device.receive(answer, from: peer) }
        for turn in 0..<5 {
            #expect(try peer.receive(device.send("\(turn)", to: peer), from: device).text == "\(turn)")
            #expect(try device.receive(peer.send("\(turn)", to: device), from: peer).text == "\(turn)")
        }
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `a lost session is replaced by a new key exchange from either side`(_ version: ProtocolVersion)
        throws
    {
        let (device, peer) = try acquaintances(207, version)
        device.records = [:]
        let anew = try peer.receive(device.send("anew", to: peer), from: device)
        #expect(anew.text == "anew")
        for answer in anew.sent { try device.receive(answer, from: peer) }
        #expect(try device.receive(peer.send("good", to: device), from: peer).text == "good")
        #expect(try peer.receive(device.send("settled", to: peer), from: device).text == "settled")
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `heartbeats come from both sides after 53 unanswered messages`(_ version: ProtocolVersion) throws {
        let (device, peer) = try acquaintances(208, version)
        var dueAt: [UInt32] = []
        for _ in 0..<60 {
            let message = try peer.send("x", to: device)
            if try device.receive(message, from: peer).decrypted.heartbeatIsDue {
                dueAt.append(try RatchetMessage(message.keys[0].data, version).header.n)
            }
        }
        #expect(dueAt == [53])
        try peer.receive(device.send(nil, to: peer), from: device)

        var heartbeats: [EncryptedMessage] = []
        for _ in 0..<60 where heartbeats.isEmpty {
            heartbeats += try peer.receive(device.send("x", to: peer), from: device).sent
        }
        let heartbeat = try #require(heartbeats.first)
        #expect(try device.receive(heartbeat, from: peer).text == nil)
        #expect(try RatchetMessage(device.send("y", to: peer).keys[0].data, version).header.n == 0)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `200 messages in turn, and bursts, with restarts between`(_ version: ProtocolVersion) throws {
        let (device, peer) = try acquaintances(209, version)
        var random = Seeded(2)
        for turn in 0..<200 {
            if turn % 2 == 0 {
                #expect(try peer.receive(device.send("\(turn)", to: peer), from: device).text == "\(turn)")
            } else {
                #expect(try device.receive(peer.send("\(turn)", to: device), from: peer).text == "\(turn)")
            }
            if turn % 7 == 0 { try device.restart() }
            if turn % 40 == 0 { try peer.restart() }
        }
        for burst in 0..<10 {
            let ours = try (0..<10).map { try device.send("\(burst) \($0)", to: peer) }
            let theirs = try (0..<10).map { try peer.send("\(burst) \($0)", to: device) }
            try device.restart()
            for index in Array(0..<10).shuffled(using: &random) {
                #expect(try peer.receive(ours[index], from: device).text == "\(burst) \(index)")
                #expect(try device.receive(theirs[index], from: peer).text == "\(burst) \(index)")
            }
        }
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `the bundle of the oracle is ours after its own encoding`(_ version: ProtocolVersion) throws {
        let peer = try OraclePeer(Oracle(version), "peer", sign: true)
        let element = try peer.bundleElement()
        let bundle = try OMEMO.Bundle(element, version)
        #expect(bundle.preKeys.count == 100)
        #expect(bundle.element == element)
    }

    /// Makes Vectors/legacy.json: `IMD_RECORD_VECTORS=Tests/OMEMOTests/Vectors/legacy.json`.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["IMD_RECORD_VECTORS"] != nil, "nothing to record"))
    func `vectors are recorded`() throws {
        let path = try #require(ProcessInfo.processInfo.environment["IMD_RECORD_VECTORS"])
        var conversations: [Conversation] = []
        for (sign, peerSign) in [(false, true), (true, false)] {
            let (device, peer) = try strangers(sign ? 210 : 211, .legacy, sign: sign, peerSign: peerSign)
            conversations.append(try Conversation(recording: device, peer))
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try encoder.encode(conversations).write(to: URL(fileURLWithPath: path))
    }
}

extension Conversation {
    fileprivate init(recording device: Device, _ peer: OraclePeer) throws {
        func text(_ message: EncryptedMessage, _ text: String) -> Line {
            Line(xml: String(decoding: message.element.xml(), as: UTF8.self), text: text)
        }
        func hex(_ bytes: Bytes) -> String { bytes.map { String(format: "%02x", $0) }.joined() }
        func key(_ id: UInt32, _ pair: KeyPair?) throws -> PrivateKey {
            PrivateKey(id: id, privateKey: hex(try #require(pair).privateKey.bytes))
        }
        let bundle = String(decoding: try peer.bundleElement().xml(), as: UTF8.self)
        let before = device.preKeys
        let opening = try (0..<4).map { text(try peer.send("opening \($0)", to: device), "opening \($0)") }
        let first = try EncryptedMessage(parse(opening[0].xml), .legacy)
        let used = try #require(try device.receive(first, from: peer).decrypted.usedPreKey)
        try peer.receive(device.send(nil, to: peer), from: device)
        self.init(
            device: device.own.id, identitySeed: hex(device.own.identity.seed.bytes),
            signedPreKey: try key(1, device.signedPreKeys[1]), preKey: try key(used, before[used]),
            sender: "\(peer.address.jid)", senderBundle: bundle, opening: opening,
            record: hex(try #require(device.records[peer.address]).serialized().bytes),
            answered: try (0..<4).map { text(try peer.send("answered \($0)", to: device), "answered \($0)") })
    }
}
