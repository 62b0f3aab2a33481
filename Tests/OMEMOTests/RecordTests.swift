// Records as bytes.
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
