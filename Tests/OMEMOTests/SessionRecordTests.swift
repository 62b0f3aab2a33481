// The rules between several sessions with one device, and one message to many devices.
import IMCrypto
import Testing
import XMPP

@testable import OMEMO

@Suite struct SessionRecordTests {
    @Test(arguments: ProtocolVersion.allCases)
    func `crossing key exchanges end on one session`(_ version: ProtocolVersion) throws {
        let alice = try Device("alice@example.org", seed: 20, version)
        let bob = try Device("bob@example.org", seed: 21, version)
        let fromAlice = try alice.send("a", to: bob)
        let fromBob = try bob.send("b", to: alice)
        #expect(try bob.receive(fromAlice, from: alice).text == "a")
        #expect(try alice.receive(fromBob, from: bob).text == "b")
        // Both answer at once, each on the session of the other, which the other had archived.
        let answerOfAlice = try alice.send(nil, to: bob)
        let answerOfBob = try bob.send(nil, to: alice)
        try bob.receive(answerOfAlice, from: alice)
        try alice.receive(answerOfBob, from: bob)
        // From here on they take turns, and nothing is a key exchange any more.
        for turn in 0..<10 {
            let (sender, receiver) = turn % 2 == 0 ? (alice, bob) : (bob, alice)
            let message = try sender.send("\(turn)", to: receiver)
            #expect(!message.keys[0].isKeyExchange)
            #expect(try receiver.receive(message, from: sender).text == "\(turn)")
        }
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `a new key exchange replaces the session, and late messages of the old one still decrypt`(
        _ version: ProtocolVersion
    ) throws {
        let (alice, bob) = try acquainted(22, version)
        let late = try (0..<3).map { try alice.send("late \($0)", to: bob) }
        alice.records = [:]
        let received = try bob.receive(alice.send("anew", to: bob), from: alice)
        #expect(received.text == "anew")
        #expect(received.decrypted.isNewSession)
        let fresh = bob.stored(alice)
        #expect(try bob.receive(late[1], from: alice).text == "late 1")
        #expect(bob.stored(alice) != fresh)
        #expect(try bob.receive(late[2], from: alice).text == "late 2")
        try bob.restart()
        #expect(try bob.receive(late[0], from: alice).text == "late 0")
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `an archived session that decrypts becomes the current one`(_ version: ProtocolVersion) throws {
        let (alice, bob) = try acquainted(23, version)
        let old = alice.records[bob.address]
        // Alice replaces the session, Bob never hears of it and answers on the old one.
        try alice.records[bob.address]?.initiate(
            with: bob.bundle, own: alice.own.identity, ownDevice: alice.own.id, using: &alice.random)
        #expect(alice.records[bob.address]?.isUnanswered == true)
        #expect(try alice.receive(bob.send("old", to: alice), from: bob).text == "old")
        #expect(alice.records[bob.address]?.isUnanswered == false)
        #expect(old != nil)
        #expect(try bob.receive(alice.send("promoted", to: bob), from: alice).text == "promoted")
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `C26 a repeated key exchange of an archived session promotes it`(_ version: ProtocolVersion) throws {
        let alice = try Device("alice@example.org", seed: 24, version)
        let bob = try Device("bob@example.org", seed: 25, version)
        let first = try alice.send("1", to: bob)
        let second = try alice.send("2", to: bob)
        try bob.receive(first, from: alice)
        let old = alice.records[bob.address]
        alice.records = [:]
        try bob.receive(alice.send("3", to: bob), from: alice)
        let received = try bob.receive(second, from: alice)
        #expect(received.text == "2")
        #expect(!received.decrypted.isNewSession)
        alice.records[bob.address] = old
        #expect(try alice.receive(bob.send("answer", to: alice), from: bob).text == "answer")
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `C26 a hundred unanswered key exchanges in any order are one session`(
        _ version: ProtocolVersion
    ) throws {
        let alice = try Device("alice@example.org", seed: 54, version)
        let bob = try Device("bob@example.org", seed: 55, version)
        let texts = (0..<100).map { "\($0)" }
        var random = Seeded(56)
        let messages = try texts.map { try alice.send($0, to: bob) }.shuffled(using: &random)
        #expect(messages.allSatisfy { $0.keys[0].isKeyExchange })
        let received = try messages.map { try bob.receive($0, from: alice) }
        #expect(Set(received.compactMap(\.text)) == Set(texts))
        #expect(received.map(\.decrypted.isNewSession) == [true] + Array(repeating: false, count: 99))
        #expect(received.compactMap(\.decrypted.usedPreKey).count == 1)
        #expect(bob.preKeys.count == 99)
        // One session: nothing is archived, which the last byte of a record counts.
        #expect(bob.stored(alice)?.last == 0)
        #expect(try alice.receive(bob.send("answer", to: alice), from: bob).text == "answer")
        #expect(try !alice.send("confirmed", to: bob).keys[0].isKeyExchange)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `40 archived sessions are kept, the oldest goes first`(_ version: ProtocolVersion) throws {
        let alice = try Device("alice@example.org", seed: 26, version)
        let bob = try Device("bob@example.org", seed: 27, version)
        var late: [EncryptedMessage] = []
        for _ in 0...41 {
            alice.records = [:]
            try bob.receive(alice.send("x", to: bob), from: alice)
            late.append(try alice.send("late", to: bob))
        }
        bob.preKeys = [:]
        #expect(throws: DecryptionError.self) { try bob.receive(late[0], from: alice) }
        let oldest = try bob.receive(late[1], from: alice)
        #expect(oldest.text == "late")
        #expect(!oldest.decrypted.isNewSession)
        try bob.restart()
        #expect(try bob.receive(late[41], from: alice).text == "late")
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `archived sessions full of skipped keys do not add up`(_ version: ProtocolVersion) throws {
        let alice = try Device("alice@example.org", seed: 45, version)
        let bob = try Device("bob@example.org", seed: 46, version)
        for _ in 0..<8 {
            alice.records = [:]
            try bob.receive(alice.send("first", to: bob), from: alice)
            for _ in 0..<1000 {
                _ = try alice.records[bob.address]?.encrypt(
                    SecretBytes(Bytes(repeating: 1, count: 32)), using: &alice.random)
            }
            try bob.receive(alice.send("last", to: bob), from: alice)
        }
        #expect(try #require(bob.stored(alice)).count < 192 * 1024)
        try bob.restart()
        #expect(try bob.receive(alice.send("and on", to: bob), from: alice).text == "and on")
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `a changed identity key changes nothing`(_ version: ProtocolVersion) throws {
        let (alice, bob) = try acquainted(28, version)
        let impostor = try Device("alice@example.org", seed: 30, version)
        let stored = bob.stored(alice)
        let message = try impostor.send("I am Alice", to: bob)
        #expect(throws: DecryptionError.identityKeyChanged) { try bob.receive(message, from: alice) }
        #expect(bob.stored(alice) == stored)
        #expect(bob.preKeys.count == 99)
        #expect(throws: EncryptionError.identityKeyChanged) {
            try bob.records[alice.address]?.initiate(
                with: impostor.bundle, own: bob.own.identity, ownDevice: bob.own.id, using: &bob.random)
        }
        #expect(bob.stored(alice) == stored)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `a record can be bound to an identity before there is a session`(_ version: ProtocolVersion) throws {
        let alice = try Device("alice@example.org", seed: 31, version)
        let impostor = try Device("alice@example.org", seed: 32, version)
        let bob = try Device("bob@example.org", seed: 33, version)
        bob.records[alice.address] = SessionRecord(version, expecting: alice.own.identity.publicKey)
        try bob.restart()
        #expect(bob.records[alice.address]?.isEmpty == true)
        let forged = try impostor.send("x", to: bob)
        #expect(throws: DecryptionError.identityKeyChanged) { try bob.receive(forged, from: alice) }
        #expect(try bob.receive(alice.send("y", to: bob), from: alice).text == "y")
    }

    @Test(arguments: [ProtocolVersion.legacy])
    func `the sign of an identity is learnt from the bundle`(_ version: ProtocolVersion) throws {
        let alice = try Device("alice@example.org", seed: 34, sign: true)
        let bob = try Device("bob@example.org", seed: 35, version)
        try bob.receive(alice.send("x", to: bob), from: alice)
        var record = try #require(bob.records[alice.address])
        #expect(record.remoteIdentity?.curve25519 == alice.own.identity.publicKey.curve25519)
        try record.initiate(
            with: Bundle(alice.bundle.element, version), own: bob.own.identity, ownDevice: bob.own.id,
            using: &bob.random)
        #expect(record.remoteIdentity == alice.own.identity.publicKey)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `unknown pre-keys are named`(_ version: ProtocolVersion) throws {
        let alice = try Device("alice@example.org", seed: 36, version)
        let bob = try Device("bob@example.org", seed: 37, version)
        let message = try alice.send("x", to: bob)
        let used = try KeyExchangeMessage(message.keys[0].data, version).preKeyID
        let preKey = bob.preKeys.removeValue(forKey: used)
        #expect(throws: DecryptionError.preKeyUnknown(used)) { try bob.receive(message, from: alice) }
        bob.preKeys[used] = preKey
        let signed = bob.signedPreKeys.removeValue(forKey: 1)
        #expect(throws: DecryptionError.signedPreKeyUnknown(1)) { try bob.receive(message, from: alice) }
        bob.signedPreKeys[1] = signed
        #expect(bob.records.isEmpty)
        #expect(try bob.receive(message, from: alice).text == "x")
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `C26 a second sender with the same pre-key is served while the key is kept`(
        _ version: ProtocolVersion
    ) throws {
        let bob = try Device("bob@example.org", seed: 38, version)
        let all = bob.preKeys
        bob.preKeys = all.filter { $0.key == 1 }
        let alice = try Device("alice@example.org", seed: 39, version)
        let carol = try Device("carol@example.org", seed: 40, version)
        let first = try alice.send("a", to: bob)
        let second = try carol.send("c", to: bob)
        bob.keepsPreKeys = true
        #expect(try bob.receive(first, from: alice).decrypted.usedPreKey == 1)
        #expect(try bob.receive(second, from: carol).decrypted.usedPreKey == 1)
        bob.preKeys = [:]
        let third = try Device("dave@example.org", seed: 41, version)
        bob.preKeys = all.filter { $0.key == 1 }
        let late = try third.send("d", to: bob)
        bob.preKeys = [:]
        #expect(throws: DecryptionError.preKeyUnknown(1)) { try bob.receive(late, from: third) }
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `a failing store is not the sender's fault`(_ version: ProtocolVersion) throws {
        struct Broken: PreKeyStore {
            struct Failure: Error {}
            func preKey(_ id: UInt32) throws -> KeyPair? { throw Failure() }
            func signedPreKey(_ id: UInt32) throws -> KeyPair? { throw Failure() }
        }
        let alice = try Device("alice@example.org", seed: 42, version)
        let bob = try Device("bob@example.org", seed: 43, version)
        let key = try alice.send("x", to: bob).keys[0]
        var record = SessionRecord(version)
        #expect(throws: DecryptionError.preKeyStoreFailed) {
            try record.decrypt(key.data, isKeyExchange: true, own: bob.own.identity, preKeys: Broken())
        }
        #expect(record.isEmpty)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `one message reaches several devices, and a failure changes no record`(_ version: ProtocolVersion)
        throws
    {
        let alice = try Device("alice@example.org", seed: 44, version)
        let bobs = try (0..<3).map { try Device("bob@example.org", seed: 50 + $0, version) }
        var recipients = try bobs.map { bob in
            var record = SessionRecord(version)
            try record.initiate(
                with: bob.bundle, own: alice.own.identity, ownDevice: alice.own.id, using: &alice.random)
            return Recipient(address: bob.address, record: record)
        }
        let message = try Fanout.encrypt(
            Bytes("all".utf8), version, from: alice.own.id, to: &recipients, using: &alice.random)
        #expect(message.sid == alice.own.id)
        #expect(message.keys.map(\.rid) == bobs.map(\.own.id))
        for bob in bobs { #expect(try bob.receive(message, from: alice).text == "all") }

        recipients[2].record = SessionRecord(version)
        let before = recipients.map { $0.record.serialized().bytes }
        #expect(throws: FanoutError.recipient(bobs[2].address, .noSession)) {
            try Fanout.encrypt(nil, version, from: alice.own.id, to: &recipients, using: &alice.random)
        }
        #expect(recipients.map { $0.record.serialized().bytes } == before)
        recipients = []
        #expect(throws: FanoutError.noRecipients) {
            try Fanout.encrypt(nil, version, from: alice.own.id, to: &recipients, using: &alice.random)
        }
    }
}
