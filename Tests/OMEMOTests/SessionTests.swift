// Two devices talking: key exchanges, answers, order, limits, heartbeats.
import IMCrypto
import Testing
import XMPP

@testable import OMEMO

@Suite struct SessionTests {
    @Test(arguments: ProtocolVersion.allCases)
    func `the first message is a key exchange and asks for an answer`(_ version: ProtocolVersion) throws {
        let alice = try Device("alice@example.org", seed: 1, version)
        let bob = try Device("bob@example.org", seed: 2, version)
        let message = try alice.send("hello", to: bob)
        #expect(message.keys.map(\.isKeyExchange) == [true])
        let received = try bob.receive(message, from: alice)
        #expect(received.text == "hello")
        #expect(received.decrypted.isNewSession)
        #expect(!received.decrypted.heartbeatIsDue)
        #expect(received.decrypted.plaintext.count == (version == .legacy ? 32 : 48))
        #expect(received.decrypted.identityKey.curve25519 == alice.own.identity.publicKey.curve25519)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `key exchanges repeat until the first answer, with the same base key and pre-key`(
        _ version: ProtocolVersion
    ) throws {
        let alice = try Device("alice@example.org", seed: 3, version)
        let bob = try Device("bob@example.org", seed: 4, version)
        let messages = try (0..<3).map { try alice.send("\($0)", to: bob) }
        let exchanges = try messages.map { try KeyExchangeMessage($0.keys[0].data, version) }
        #expect(Set(exchanges.map(\.baseKey)).count == 1)
        #expect(Set(exchanges.map(\.preKeyID)).count == 1)
        let identity = alice.own.identity.publicKey
        let (shown, id) =
            version == .legacy
            ? (identity.curve25519.bytes, alice.own.id as UInt32?) : (identity.ed25519, nil)
        #expect(exchanges.allSatisfy { $0.signedPreKeyID == 1 && $0.registrationID == id })
        #expect(exchanges.allSatisfy { $0.identityKey == shown })
        #expect(alice.records[bob.address]?.isUnanswered == true)

        try bob.receive(messages[0], from: alice)
        try alice.receive(bob.send(nil, to: alice), from: bob)
        #expect(alice.records[bob.address]?.isUnanswered == false)
        #expect(try alice.send("4", to: bob).keys[0].isKeyExchange == false)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `the answer to a key exchange is an ordinary message`(_ version: ProtocolVersion) throws {
        let alice = try Device("alice@example.org", seed: 5, version)
        let bob = try Device("bob@example.org", seed: 6, version)
        try bob.receive(alice.send("hello", to: bob), from: alice)
        let answer = try bob.send("hi", to: alice)
        #expect(!answer.keys[0].isKeyExchange)
        let received = try alice.receive(answer, from: bob)
        #expect(received.text == "hi")
        #expect(!received.decrypted.isNewSession)
        #expect(received.decrypted.usedPreKey == nil)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `an empty message has no text and moves the session on`(_ version: ProtocolVersion) throws {
        let (alice, bob) = try acquainted(7, version)
        let message = try alice.send(nil, to: bob)
        #expect(message.payload == nil)
        #expect(message.iv.count == (version == .legacy ? 12 : 0))
        let received = try bob.receive(message, from: alice)
        #expect(received.text == nil)
        #expect(received.decrypted.plaintext.count == 32)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `only the key exchange that starts a session spends a pre-key`(_ version: ProtocolVersion) throws {
        let alice = try Device("alice@example.org", seed: 8, version)
        let bob = try Device("bob@example.org", seed: 9, version)
        let messages = try (0..<100).map { try alice.send("\($0)", to: bob) }
        var order = Array(0..<100)
        order.shuffle(using: &bob.random)
        var texts: [String] = []
        var spent: [UInt32] = []
        for index in order {
            let received = try bob.receive(messages[index], from: alice)
            texts.append(try #require(received.text))
            if let used = received.decrypted.usedPreKey { spent.append(used) }
            #expect(received.decrypted.isNewSession == (texts.count == 1))
        }
        #expect(texts == order.map(String.init))
        #expect(spent.count == 1)
        #expect(bob.preKeys.count == 99)
        #expect(bob.lookups == 1)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `messages in any order decrypt once`(_ version: ProtocolVersion) throws {
        let (alice, bob) = try acquainted(10, version)
        let messages = try (0..<30).map { try alice.send("\($0)", to: bob) }
        for index in (0..<30).reversed() {
            #expect(try bob.receive(messages[index], from: alice).text == "\(index)")
        }
        let stored = bob.stored(alice)
        for message in messages {
            #expect(throws: DecryptionError.alreadyDecrypted) { try bob.receive(message, from: alice) }
        }
        #expect(bob.stored(alice) == stored)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `a repeated key exchange is silent, also when its pre-key is gone`(_ version: ProtocolVersion) throws
    {
        let alice = try Device("alice@example.org", seed: 11, version)
        let bob = try Device("bob@example.org", seed: 12, version)
        let message = try alice.send("hello", to: bob)
        try bob.receive(message, from: alice)
        let stored = bob.stored(alice)
        for _ in 0..<3 {
            #expect(throws: DecryptionError.alreadyDecrypted) { try bob.receive(message, from: alice) }
        }
        #expect(bob.stored(alice) == stored)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `C28 exactly 1,000 messages may be skipped`(_ version: ProtocolVersion) throws {
        let (alice, bob) = try acquainted(13, version)
        var messages = try (0...1001).map { try alice.send("\($0)", to: bob) }
        let stored = bob.stored(alice)
        #expect(throws: DecryptionError.tooFarAhead) { try bob.receive(messages[1001], from: alice) }
        #expect(bob.stored(alice) == stored)
        #expect(try bob.receive(messages.remove(at: 1000), from: alice).text == "1000")
        for index in 0..<1000 { #expect(try bob.receive(messages[index], from: alice).text == "\(index)") }
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `a message whose kept key had to go counts as decrypted already`(_ version: ProtocolVersion) throws {
        let (alice, bob) = try acquainted(14, version)
        let messages = try (0...1003).map { try alice.send("\($0)", to: bob) }
        try bob.receive(messages[1000], from: alice)
        try bob.receive(messages[1003], from: alice)
        let stored = bob.stored(alice)
        for index in 0..<2 {
            #expect(throws: DecryptionError.alreadyDecrypted) {
                try bob.receive(messages[index], from: alice)
            }
        }
        #expect(bob.stored(alice) == stored)
        #expect(try bob.receive(messages[2], from: alice).text == "2")
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `the highest counters are refused`(_ version: ProtocolVersion) throws {
        let (alice, bob) = try acquainted(14, version)
        let message = try RatchetMessage(alice.send("x", to: bob).keys[0].data, version)
        let stored = bob.stored(alice)
        for counter in [1002, UInt32.max - 1, .max] {
            var header = message.header
            header.n = counter
            #expect(throws: DecryptionError.tooFarAhead) {
                try bob.receive(forged(header, message, for: bob), from: alice)
            }
        }
        #expect(bob.stored(alice) == stored)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `the heartbeat is due once per ratchet key, from counter 53 on`(_ version: ProtocolVersion) throws {
        let (alice, bob) = try acquainted(15, version)
        for counter in 0..<60 {
            let due = try bob.receive(alice.send("x", to: bob), from: alice).decrypted.heartbeatIsDue
            #expect(due == (counter == 53))
            try bob.restart()
        }
        try alice.receive(bob.send(nil, to: alice), from: bob)
        for counter in 0..<60 {
            let due = try bob.receive(alice.send("x", to: bob), from: alice).decrypted.heartbeatIsDue
            #expect(due == (counter == 53))
        }
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `a late message of an earlier ratchet key asks for no heartbeat`(_ version: ProtocolVersion) throws {
        let (alice, bob) = try acquainted(16, version)
        let late = try (0..<60).map { try alice.send("\($0)", to: bob) }
        try bob.receive(late[0], from: alice)
        try alice.receive(bob.send(nil, to: alice), from: bob)
        try bob.receive(alice.send("new", to: bob), from: alice)
        for message in late[1...] {
            #expect(try bob.receive(message, from: alice).decrypted.heartbeatIsDue == false)
        }
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `a message carries a secret of two sizes, nothing else`(_ version: ProtocolVersion) throws {
        let (alice, bob) = try acquainted(18, version)
        for count in [0, 1, 15, 16, 17, 31, 32, 33, 48, 64] {
            let secret = SecretBytes(Bytes(repeating: 1, count: count))
            let sent = try #require(try alice.records[bob.address]?.encrypt(secret, using: &alice.random))
            let stored = bob.stored(alice)
            func opened() throws -> SecretBytes? {
                try bob.records[alice.address]?.decrypt(
                    sent.data, isKeyExchange: sent.isKeyExchange, own: bob.own.identity, preKeys: bob
                ).plaintext
            }
            if count == 32 || count == (version == .legacy ? 16 : 48) {
                #expect(try opened() == secret)
            } else {
                #expect(throws: DecryptionError.invalidMessage("secret")) { try opened() }
                #expect(bob.stored(alice) == stored)
            }
        }
    }

    @Test func `nothing can be sent or read without a session`() throws {
        let (alice, bob) = try acquainted(17)
        let message = try alice.send("x", to: bob)
        bob.records = [:]
        #expect(throws: DecryptionError.noSession) { try bob.receive(message, from: alice) }
        var record = SessionRecord(.legacy)
        #expect(record.isEmpty)
        #expect(throws: EncryptionError.noSession) {
            try record.encrypt(SecretBytes(Bytes(repeating: 0, count: 32)), using: &bob.random)
        }
    }

    private func forged(
        _ header: RatchetHeader, _ message: RatchetMessage, for device: Device
    ) -> EncryptedMessage {
        let authenticated = RatchetMessage.encode(header, message.ciphertext, device.version)
        let data = RatchetMessage.frame(authenticated, mac: message.mac, device.version)
        return EncryptedMessage(
            device.version, sid: 1, keys: [.init(rid: device.own.id, isKeyExchange: false, data: data)],
            payload: nil)
    }
}
