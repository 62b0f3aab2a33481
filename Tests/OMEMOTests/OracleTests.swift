// Conversations with python-omemo's backends for both versions.
import Foundation
import IMCrypto
import Testing
import XMPP

@testable import OMEMO

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
    ) throws -> (Device, PythonPeer) {
        let device = try Device("imd@example.org", seed: seed, sign: sign, version)
        let peer = try PythonPeer(Oracle(version), "peer", sign: peerSign)
        try peer.learn(device)
        return (device, peer)
    }

    /// After a key exchange by us and the oracle's answer to it.
    private func acquaintances(
        _ seed: UInt64, _ version: ProtocolVersion
    ) throws -> (Device, PythonPeer) {
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
        let peer = try PythonPeer(Oracle(version), "peer", sign: true)
        let element = try peer.bundleElement()
        let bundle = try OMEMO.Bundle(element, version)
        #expect(bundle.preKeys.count == 100)
        #expect(bundle.element == element)
    }
}
