// Conversations with libomemo-c, in both versions.
import Foundation
import IMCrypto
import Testing
import XMPP

@testable import OMEMO

@Suite(.enabled(if: Libomemo.isInstalled, "there is no libomemo-c"))
struct LibomemoTests {
    /// Strangers who know each other's bundles.
    private func strangers(
        _ seed: UInt64, _ version: ProtocolVersion, sign: Bool = false
    ) throws -> (Device, LibomemoPeer) {
        let device = try Device("imd@example.org", seed: seed, sign: sign, version)
        let peer = try LibomemoPeer(version, seed: seed)
        try peer.learn(device)
        return (device, peer)
    }

    /// After a key exchange by us and the answer to it.
    private func acquaintances(_ seed: UInt64, _ version: ProtocolVersion) throws -> (Device, LibomemoPeer) {
        let (device, peer) = try strangers(seed, version)
        for answer in try peer.receive(device.send("hello", to: peer), from: device).sent {
            try device.receive(answer, from: peer)
        }
        return (device, peer)
    }

    @Test(arguments: ProtocolVersion.allCases, [false, true])
    func `we initiate, with each sign of our identity`(_ version: ProtocolVersion, _ sign: Bool) throws {
        let (device, peer) = try strangers(300, version, sign: sign)
        let first = try device.send("hello", to: peer)
        let second = try device.send("again", to: peer)
        #expect(first.keys[0].isKeyExchange && second.keys[0].isKeyExchange)
        let received = try peer.receive(first, from: device)
        #expect(received.text == "hello")
        #expect(try device.receive(#require(received.sent.first), from: peer).text == nil)
        #expect(try peer.receive(second, from: device).text == "again")
        let third = try device.send("settled", to: peer)
        #expect(!third.keys[0].isKeyExchange)
        #expect(try peer.receive(third, from: device).text == "settled")
        #expect(try device.receive(peer.send("and back", to: device), from: peer).text == "and back")
    }

    @Test(arguments: ProtocolVersion.allCases, [false, true])
    func `libomemo-c initiates, with each sign of our identity`(
        _ version: ProtocolVersion, _ sign: Bool
    ) throws {
        let (device, peer) = try strangers(301, version, sign: sign)
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
    func `its bundle is ours after its own encoding, and ours with another's signature is refused`(
        _ version: ProtocolVersion
    ) throws {
        let (device, peer) = try strangers(302, version)
        let element = try peer.bundleElement()
        let bundle = try OMEMO.Bundle(element, version)
        #expect(bundle.preKeys.count == 100)
        #expect(bundle.element == element)
        let other = try Device("imd@example.org", seed: 303, version)
        let forged = try parse(
            String(decoding: device.bundle.element.xml(), as: UTF8.self).replacing(
                Base64.encode(device.bundle.signature), with: Base64.encode(other.bundle.signature)))
        #expect(throws: CodecError.self) { try OMEMO.Bundle(forged, version) }
        #expect(throws: Oracle.Failure(name: "invalid-key")) {
            try peer.start(with: device, signature: other.bundle.signature)
        }
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `messages out of order and twice`(_ version: ProtocolVersion) throws {
        let (device, peer) = try acquaintances(304, version)
        var random = Seeded(1)
        let ours = try (0..<20).map { try device.send("\($0)", to: peer) }
        let theirs = try (0..<20).map { try peer.send("\($0)", to: device) }
        for index in Array(0..<20).shuffled(using: &random) {
            #expect(try peer.receive(ours[index], from: device).text == "\(index)")
            #expect(throws: Oracle.Failure(name: "duplicate")) {
                try peer.receive(ours[index], from: device)
            }
            #expect(try device.receive(theirs[index], from: peer).text == "\(index)")
            #expect(throws: DecryptionError.alreadyDecrypted) {
                try device.receive(theirs[index], from: peer)
            }
        }
    }

    /// Its `pn` does not count the last message of a chain, so that one is read from the chain itself.
    @Test(arguments: ProtocolVersion.allCases)
    func `the last messages of a chain arrive after the next four chains began`(
        _ version: ProtocolVersion
    ) throws {
        let (device, peer) = try acquaintances(305, version)
        let late = try (0..<4).map { try peer.send("\($0)", to: device) }
        try device.receive(late[0], from: peer)
        for turn in 0..<4 {
            try peer.receive(device.send("turn", to: peer), from: device)
            let next = try peer.send("next", to: device)
            let header = try RatchetMessage(next.keys[0].data, version).header
            // Their answer to the key exchange was the first message of the first chain.
            #expect(header.pn == (turn == 0 ? 4 : 0))
            #expect(try device.receive(next, from: peer).text == "next")
        }
        for index in [3, 1, 2] {
            #expect(try device.receive(late[index], from: peer).text == "\(index)")
        }
    }

    @Test(arguments: ProtocolVersion.allCases, [true, false])
    func `it reads late messages of our last five chains`(
        _ version: ProtocolVersion, _ weInitiate: Bool
    ) throws {
        let (device, peer) = try weInitiate ? acquaintances(309, version) : strangers(309, version)
        if !weInitiate { try device.receive(peer.send("hello", to: device), from: peer) }
        let late = try (0..<3).map { try device.send("\($0)", to: peer) }
        try peer.receive(late[0], from: device)
        for turn in 1...5 {
            try device.receive(peer.send("turn", to: device), from: peer)
            try peer.receive(device.send("next", to: peer), from: device)
            if turn == 4 { #expect(try peer.receive(late[2], from: device).text == "2") }
        }
        #expect(throws: Oracle.Failure(name: "invalid-message")) { try peer.receive(late[1], from: device) }
        #expect(try peer.receive(device.send("good", to: peer), from: device).text == "good")
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `of our messages 2,000 may be skipped, of theirs 1,000`(_ version: ProtocolVersion) throws {
        let (device, peer) = try acquaintances(306, version)
        let theirs = try (0...1001).map { try peer.send("\($0)", to: device) }
        #expect(throws: DecryptionError.tooFarAhead) { try device.receive(theirs[1001], from: peer) }
        for index in [1000, 0, 999, 500] {
            #expect(try device.receive(theirs[index], from: peer).text == "\(index)")
        }
        let ours = try (0...2001).map { try device.send("\($0)", to: peer) }
        #expect(throws: Oracle.Failure(name: "invalid-message")) {
            try peer.receive(ours[2001], from: device)
        }
        for index in [2000, 0, 1999] {
            #expect(try peer.receive(ours[index], from: device).text == "\(index)")
        }
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `crossing key exchanges end on one session`(_ version: ProtocolVersion) throws {
        let (device, peer) = try strangers(307, version)
        let ours = try device.send("ours", to: peer)
        let theirs = try peer.send("theirs", to: device)
        #expect(try peer.receive(ours, from: device).text == "ours")
        #expect(try device.receive(theirs, from: peer).text == "theirs")
        for turn in 0..<5 {
            #expect(try peer.receive(device.send("\(turn)", to: peer), from: device).text == "\(turn)")
            #expect(try device.receive(peer.send("\(turn)", to: device), from: peer).text == "\(turn)")
        }
        #expect(try !device.send("settled", to: peer).keys[0].isKeyExchange)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `a lost session is replaced by a new key exchange from either side`(
        _ version: ProtocolVersion
    ) throws {
        let (device, peer) = try acquaintances(308, version)
        let before = try device.send("before", to: peer)
        device.records = [:]
        let anew = try peer.receive(device.send("anew", to: peer), from: device)
        #expect(anew.text == "anew")
        // The session before is archived there.
        #expect(try peer.receive(before, from: device).text == "before")
        #expect(try peer.receive(device.send("good", to: peer), from: device).text == "good")
        try peer.dropSessions()
        #expect(throws: Oracle.Failure(name: "no-session")) {
            for answer in anew.sent { try device.receive(answer, from: peer) }
            try peer.receive(device.send("lost", to: peer), from: device)
        }
        #expect(try device.receive(peer.send("from there", to: device), from: peer).text == "from there")
        #expect(try peer.receive(device.send("settled", to: peer), from: device).text == "settled")
    }
}
