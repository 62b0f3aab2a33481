// The two Edwards forms of one Curve25519 key: which of them a device is bound to, and when.
import IMCrypto
import Testing

@testable import OMEMO

@Suite struct SignOfIdentityTests {
    /// The other Edwards form of the same Curve25519 key.
    private func opposite(_ key: IdentityKey) throws -> IdentityKey {
        try IdentityKey(curve25519: key.curve25519, signBit: key.ed25519[31] & 0x80 == 0)
    }

    /// A message of Alice to Bob, who knows her as `known` and has no session with her.
    private func receive(
        _ message: EncryptedMessage, _ bob: Device, from alice: Device, knownAs known: IdentityKey
    ) throws -> Device.Received {
        bob.records[alice.address] = SessionRecord(.omemo2, expecting: known)
        return try bob.receive(message, from: alice)
    }

    @Test(arguments: [false, true])
    func `a key that legacy taught is bound to the form that omemo:2 names`(_ sign: Bool) throws {
        let alice = try Device("alice@example.org", seed: 700, sign: sign, .omemo2)
        let bob = try Device("bob@example.org", seed: 701, .omemo2)
        let identity = alice.own.identity.publicKey
        let known = try IdentityKey(curve25519: identity.curve25519, signBit: false)
        let message = try alice.send("x", to: bob)
        let received = try receive(message, bob, from: alice, knownAs: known)
        #expect(received.text == "x")
        #expect(received.decrypted.identityKey == identity)
        #expect(bob.records[alice.address]?.remoteIdentity == identity)
        #expect(try alice.receive(bob.send("y", to: alice), from: bob).text == "y")
    }

    @Test(arguments: [false, true])
    func `our own key exchange too goes to the form in the bundle`(_ sign: Bool) throws {
        let alice = try Device("alice@example.org", seed: 702, sign: sign, .omemo2)
        let bob = try Device("bob@example.org", seed: 703, .omemo2)
        let identity = alice.own.identity.publicKey
        bob.records[alice.address] = SessionRecord(
            .omemo2, expecting: try IdentityKey(curve25519: identity.curve25519, signBit: false))
        #expect(try alice.receive(bob.send("x", to: alice), from: bob).text == "x")
        #expect(bob.records[alice.address]?.remoteIdentity == identity)
    }

    @Test func `C21 the other form is another key once there is a session, even if its owner says so`() throws
    {
        let (alice, bob) = try acquainted(704, .omemo2)
        let late = try alice.send("late", to: bob)
        let stored = bob.stored(alice)
        let other = try opposite(alice.own.identity.publicKey)
        alice.records = [:]
        _ = try alice.send("x", to: bob)
        // The same private key, under its other name: key exchange and MAC are right.
        var record = try #require(alice.stored(bob))
        let name = try #require(record.firstRange(of: alice.own.identity.publicKey.ed25519))
        record.replaceSubrange(name, with: other.ed25519)
        alice.records[bob.address] = try SessionRecord(serialized: record)
        let message = try alice.send("y", to: bob)
        #expect(try KeyExchangeMessage(message.keys[0].data, .omemo2).identityKey == other.ed25519)
        #expect(throws: DecryptionError.identityKeyChanged) { try bob.receive(message, from: alice) }
        #expect(bob.stored(alice) == stored)
        #expect(try bob.receive(late, from: alice).text == "late")
        // To somebody who knows neither, it is a key like any other.
        bob.records = [:]
        #expect(try bob.receive(message, from: alice).decrypted.identityKey == other)
    }

    @Test func `C21 our own key exchange too keeps to the form of the session`() throws {
        let (alice, bob) = try acquainted(708, .omemo2)
        let bundle = alice.bundle
        let other = try opposite(bundle.identityKey)
        var bytes = try #require(bob.stored(alice))
        bytes.replaceSubrange(
            try #require(bytes.firstRange(of: bundle.identityKey.ed25519)), with: other.ed25519)
        var record = try SessionRecord(serialized: bytes)
        #expect(throws: EncryptionError.identityKeyChanged) {
            try record.initiate(
                with: bundle, own: bob.own.identity, ownDevice: bob.own.id, using: &bob.random)
        }
        #expect(record.serialized().bytes == bytes)
    }

    @Test func `C21 the form that a key exchange names is authenticated`() throws {
        let alice = try Device("alice@example.org", seed: 706, .omemo2)
        let bob = try Device("bob@example.org", seed: 707, .omemo2)
        var message = try alice.send("x", to: bob)
        let genuine = message
        var exchange = try KeyExchangeMessage(message.keys[0].data, .omemo2)
        exchange.identityKey = try opposite(alice.own.identity.publicKey).ed25519
        message.keys[0].data = exchange.encoded(.omemo2)
        #expect(throws: DecryptionError.invalidMessage("MAC")) { try bob.receive(message, from: alice) }
        #expect(bob.records.isEmpty)
        #expect(try bob.receive(genuine, from: alice).text == "x")
    }
}

@Suite struct UnansweredCountTests {
    @Test(arguments: ProtocolVersion.allCases)
    func `messages count as unanswered until the other side is heard`(_ version: ProtocolVersion) throws {
        let (alice, bob) = try acquainted(710, version)
        func count() -> UInt32? { alice.records[bob.address]?.unansweredCount }
        // Bob's messages of one chain: he has read none of ours when he writes them.
        let early = try (0..<3).map { try bob.send("\($0)", to: alice) }
        #expect(count() == 0)
        for sent in 1...5 as ClosedRange<UInt32> {
            _ = try alice.send("x", to: bob)
            #expect(count() == sent)
        }
        try alice.receive(early[0], from: bob)
        #expect(count() == 0)
        _ = try alice.send("x", to: bob)
        #expect(count() == 1)
        // The same ratchet key again: no answer in the ratchet's sense, yet Bob is there.
        try alice.receive(early[2], from: bob)
        #expect(count() == 0)
        for _ in 0..<2 { _ = try alice.send("x", to: bob) }
        try alice.restart()
        #expect(count() == 2)
        try alice.receive(early[1], from: bob)
        #expect(count() == 0)
        #expect(try bob.receive(alice.send("y", to: bob), from: alice).text == "y")
        try alice.receive(bob.send("z", to: alice), from: bob)
        #expect(count() == 0)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `a key exchange that nobody answers counts`(_ version: ProtocolVersion) throws {
        let alice = try Device("alice@example.org", seed: 712, version)
        let bob = try Device("bob@example.org", seed: 713, version)
        for sent in 1...3 as ClosedRange<UInt32> {
            _ = try alice.send("x", to: bob)
            try alice.restart()
            #expect(alice.records[bob.address]?.unansweredCount == sent)
        }
        #expect(SessionRecord(version).unansweredCount == 0)
    }
}
