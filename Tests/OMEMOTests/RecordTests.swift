// Records as bytes, and long random conversations through them.
import Foundation
import IMCrypto
import Testing

@testable import OMEMO

@Suite struct RecordCodingTests {
    @Test func `a record survives storage in every state`() throws {
        let alice = try Device("alice@example.org", seed: 120)
        let bob = try Device("bob@example.org", seed: 121)
        func check(_ device: Device, _ other: Device) throws {
            let record = try #require(device.records[other.address])
            let bytes = record.serialized().bytes
            #expect(bytes.first == 1)
            let restored = try SessionRecord(serialized: bytes)
            #expect(restored.serialized().bytes == bytes)
            #expect(restored.version == .legacy)
            #expect(restored.remoteIdentity == record.remoteIdentity)
        }
        let first = try alice.send("1", to: bob)
        try check(alice, bob)
        try bob.receive(alice.send("2", to: bob), from: alice)
        try check(bob, alice)
        try alice.receive(bob.send("3", to: alice), from: bob)
        try check(alice, bob)
        try bob.receive(first, from: alice)
        alice.records = [:]
        try bob.receive(alice.send("4", to: bob), from: alice)
        try check(bob, alice)
        #expect(try SessionRecord(serialized: SessionRecord(.legacy).serialized().bytes).isEmpty)
    }

    @Test func `truncated, extended and altered records are refused or harmless`() throws {
        let (alice, bob) = try acquainted(122)
        let late = try (0..<5).map { try alice.send("\($0)", to: bob) }
        try bob.receive(late[4], from: alice)
        alice.records = [:]
        try bob.receive(alice.send("x", to: bob), from: alice)
        let bytes = try #require(bob.stored(alice))
        for count in 0..<bytes.count {
            #expect(throws: CryptoError.self) { try SessionRecord(serialized: Bytes(bytes.prefix(count))) }
        }
        #expect(throws: CryptoError.self) { try SessionRecord(serialized: bytes + [0]) }
        let message = try alice.send("y", to: bob).keys[0]
        for index in bytes.indices {
            for value in [0, 1, 0x7f, 0x80, 0xff] as [UInt8] where bytes[index] != value {
                var altered = bytes
                altered[index] = value
                guard var record = try? SessionRecord(serialized: altered) else { continue }
                _ = try? record.decrypt(
                    message.data, isKeyExchange: message.isKeyExchange, own: bob.own.identity, preKeys: bob)
                _ = try? record.decrypt(
                    late[0].keys[0].data, isKeyExchange: false, own: bob.own.identity, preKeys: bob)
                _ = try? record.encrypt(SecretBytes(Bytes(repeating: 0, count: 32)), using: &bob.random)
            }
        }
    }

    @Test func `random bytes are refused`() {
        var random = Seeded(124)
        for _ in 0..<2000 {
            var bytes = (0..<Int.random(in: 0...400, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            if bytes.count > 3 { bytes.replaceSubrange(0..<3, with: [1, 0, 3]) }
            #expect(throws: CryptoError.self) { try SessionRecord(serialized: bytes) }
        }
    }

    @Test func `a record stays small`() throws {
        let (alice, bob) = try acquainted(125)
        #expect(try #require(bob.stored(alice)).count < 400)
        #expect(try #require(alice.stored(bob)).count < 400)
    }
}

/// Sends, drops, delays, repeats and restarts at random; whatever arrives must be right.
private struct Machine {
    struct Flying {
        let message: EncryptedMessage
        let text: String
    }

    var random: Seeded
    let devices: [Device]
    var flying: [[Flying]] = [[], []]  // by receiver
    var delivered: [[Flying]] = [[], []]
    var sent = 0
    var dropped = 0

    init(_ version: ProtocolVersion, seed: UInt64) throws {
        random = Seeded(seed)
        devices = [
            try Device("alice@example.org", seed: seed &+ 1, version),
            try Device("bob@example.org", seed: seed &+ 2, version),
        ]
        for device in devices { device.keepsPreKeys = true }
    }

    mutating func step() throws {
        let receiver = Int.random(in: 0...1, using: &random)
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<40: try send(to: receiver)
        case 40..<60: try deliver(to: receiver, at: 0)
        case 60..<85:
            if flying[receiver].isEmpty { return }
            try deliver(to: receiver, at: .random(in: 0..<flying[receiver].count, using: &random))
        case 85..<90: try repeatOne(to: receiver)
        case 90..<93:
            guard !flying[receiver].isEmpty else { return }
            flying[receiver].remove(at: .random(in: 0..<flying[receiver].count, using: &random))
            dropped += 1
        case 93..<94: try replaceSession(of: receiver)
        default: try devices[receiver].restart()
        }
    }

    private mutating func send(to receiver: Int) throws {
        sent += 1
        let text = "\(sent)"
        let message = try devices[1 - receiver].send(text, to: devices[receiver])
        flying[receiver].append(Flying(message: message, text: text))
    }

    mutating func deliver(to receiver: Int, at index: Int) throws {
        guard index < flying[receiver].count else { return }
        let next = flying[receiver].remove(at: index)
        let received = try devices[receiver].receive(next.message, from: devices[1 - receiver])
        #expect(received.text == next.text)
        delivered[receiver].append(next)
        if received.decrypted.isNewSession || received.decrypted.heartbeatIsDue {
            let answer = try devices[receiver].send("empty", to: devices[1 - receiver])
            flying[1 - receiver].append(Flying(message: answer, text: "empty"))
        }
    }

    private mutating func repeatOne(to receiver: Int) throws {
        // Only recent ones: keys and sessions that were let go say something else than "already".
        guard let old = delivered[receiver].suffix(20).randomElement(using: &random) else { return }
        let device = devices[receiver]
        let stored = device.stored(devices[1 - receiver])
        #expect(throws: DecryptionError.self) { try device.receive(old.message, from: devices[1 - receiver]) }
        #expect(device.stored(devices[1 - receiver]) == stored)
    }

    private mutating func replaceSession(of index: Int) throws {
        let (device, other) = (devices[index], devices[1 - index])
        try device.records[other.address]?.initiate(
            with: other.bundle, own: device.own.identity, ownDevice: device.own.id, using: &device.random)
    }
}

@Suite struct ConversationTests {
    /// A million steps in all in the long form (fault row F10).
    private static let steps = ProcessInfo.processInfo.environment["IMD_TORTURE"] == nil ? 1500 : 85_000

    @Test(arguments: ProtocolVersion.allCases, UInt64(1)...6)
    func `F10 a random conversation loses nothing but what was dropped`(
        _ version: ProtocolVersion, _ seed: UInt64
    ) throws {
        var machine = try Machine(version, seed: seed &* 1000)
        for _ in 0..<Self.steps { try machine.step() }
        for receiver in [0, 1, 0, 1, 0, 1] {
            while !machine.flying[receiver].isEmpty { try machine.deliver(to: receiver, at: 0) }
        }
        #expect(machine.sent > 400)
        #expect(machine.delivered[0].count + machine.delivered[1].count >= machine.sent - machine.dropped)
        for device in machine.devices {
            for record in device.records.values { #expect(!record.isUnanswered) }
        }
    }

    @Test func `1,000 turns, each with its own ratchet key`() throws {
        let (alice, bob) = try acquainted(130)
        for turn in 0..<500 {
            #expect(try bob.receive(alice.send("\(turn)", to: bob), from: alice).text == "\(turn)")
            #expect(try alice.receive(bob.send("\(turn)", to: alice), from: bob).text == "\(turn)")
        }
        #expect(try #require(alice.stored(bob)).count < 1000)
    }
}
