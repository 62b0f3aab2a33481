// Who may say what, and that a received message changes everything or nothing (threats.md part 1, A and C).
import LocalAPI
import OMEMO
import Store
import Testing
import XMPP

@testable import imd

struct InboundTests {
    @Test func `a first message arrives once, with the sender's fingerprint`() async throws {
        let (alice, bob) = try await pair()
        let message = try await alice.encrypt("hello", to: bob)
        try await bob.receive(message, from: alice.jid)
        let stored = try #require(try await bob.events(.message).first?.message)
        #expect(stored.body == "hello")
        #expect(stored.encryption?.device == alice.own.device)
        #expect(stored.encryption?.fingerprint == alice.own.identity.publicKey.fingerprint)
        #expect(stored.encryption?.trust == .blind)
    }

    @Test func `C25 the same stanza again is one event and no complaint`() async throws {
        let (alice, bob) = try await pair()
        let message = try await alice.encrypt("hello", to: bob)
        for _ in 0..<3 { try await bob.receive(message, from: alice.jid) }
        #expect(try await bob.bodies() == ["hello"])
        #expect(try await bob.events(.undecryptable).isEmpty)
    }

    @Test func `C24 a ciphertext replayed under another name leaves the real sender's session alone`()
        async throws
    {
        let (alice, bob) = try await pair()
        try await bob.receive(try await alice.encrypt("one", to: bob), from: alice.jid)
        try await alice.receive(try #require(try await bob.outbox().first), from: bob.jid)
        let second = try await alice.encrypt("two", to: bob)
        try await bob.receive(second, from: try JID("carol@example.org"))
        #expect(try await bob.bodies() == ["one"])
        #expect(try await bob.events(.undecryptable).count == 1)
        try await bob.receive(second, from: alice.jid)
        #expect(try await bob.bodies() == ["one", "two"])
    }

    @Test func `C27 a flipped bit leaves session and pre-keys as they were`() async throws {
        let (alice, bob) = try await pair()
        let message = try await alice.encrypt("hello", to: bob)
        for part in ["payload", "iv", "key"] {
            try await bob.receive(flipping(part, in: message), from: alice.jid)
        }
        #expect(try await bob.events(.undecryptable).count == 3)
        let address = DeviceAddress(jid: alice.jid, device: alice.own.device)
        let session = try await bob.write { [own = bob.own] in
            try $0.session(account: own.account, address, .legacy)
        }
        #expect(session == nil)
        #expect(try await preKeyIDs(bob) == Array(1...100))
        try await bob.receive(message, from: alice.jid)
        #expect(try await bob.bodies() == ["hello"])
    }

    @Test func `a used pre-key is replaced and never used again`() async throws {
        let (alice, bob) = try await pair()
        let used = try await preKeyIDs(bob)
        let effects = try await bob.receive(try await alice.encrypt("hello", to: bob), from: alice.jid)
        #expect(effects.bundleChanged)
        let now = try await preKeyIDs(bob)
        #expect(now.count == 100)
        #expect(Set(used).subtracting(now).count == 1)
        #expect(Set(now).subtracting(used) == [101])
    }

    @Test func `a stranger learns nothing`() async throws {
        let (mallory, bob) = try await pair(friends: false)
        let message = try await mallory.encrypt("who is there?", to: bob)
        #expect(message.child("request", in: Namespace.receipts) != nil)
        let effects = try await bob.receive(message, from: mallory.jid)
        #expect(try await bob.bodies() == ["who is there?"])
        #expect(effects.replies.isEmpty)
        #expect(try await bob.outbox().isEmpty)
    }

    @Test func `a friend gets a receipt and the empty message that ends the key exchange`() async throws {
        let (alice, bob) = try await pair()
        let message = try await alice.encrypt("hello", to: bob)
        let effects = try await bob.receive(message, from: alice.jid)
        #expect(effects.outboxGrew)
        let waiting = try await bob.outbox()
        #expect(waiting.count == 2)
        #expect(waiting.last?.child("received", in: Namespace.receipts)?["id"] == message.id)
        let empty = try #require(waiting.first)
        let encrypted = try EncryptedMessage(
            try #require(empty.child("encrypted", in: ProtocolVersion.legacy.rawValue)), .legacy)
        #expect(encrypted.payload == nil)
        #expect(empty.child("body", in: Namespace.client) == nil)
        try await alice.receive(empty, from: bob.jid)
        let next = try await alice.encrypt("again", to: bob)
        let key = try EncryptedMessage(
            try #require(next.child("encrypted", in: ProtocolVersion.legacy.rawValue)), .legacy
        ).keys[0]
        #expect(!key.isKeyExchange)
    }

    @Test func `C31 a thousand undecryptable messages build no session and say so once each`() async throws {
        let (alice, bob) = try await pair()
        var message = try await alice.encrypt("hello", to: bob)
        message = flipping("key", in: message)
        for _ in 0..<1000 { try await bob.receive(message, from: alice.jid) }
        #expect(try await bob.events(.undecryptable).count == 1000)
        #expect(try await bob.outbox().isEmpty)
    }

    @Test func `the fallback body is never shown as what was said`() async throws {
        let (alice, bob) = try await pair()
        var message = try await alice.encrypt("hello", to: bob)
        message = flipping("payload", in: message)
        try await bob.receive(message, from: alice.jid)
        #expect(try await bob.bodies().isEmpty)
    }

    @Test func `a key that belongs to another device opens nothing`() async throws {
        let (alice, bob) = try await pair()
        let first = try await alice.encrypt("hello", to: bob)
        let carol = try JID("carol@example.org")
        try await bob.receive(first, from: alice.jid)
        try await bob.receive(try await alice.encrypt("again", to: bob), from: carol)
        let senders = try await bob.events(.message).compactMap { $0.message?.sender.description }
        #expect(senders == ["alice@example.org"])
    }

    @Test func `a damaged session costs one message and not the account`() async throws {
        let (alice, bob) = try await pair()
        try await bob.receive(try await alice.encrypt("one", to: bob), from: alice.jid)
        try await alice.receive(try #require(try await bob.outbox().first), from: bob.jid)
        try bob.damageSessions()
        try await bob.receive(try await alice.encrypt("two", to: bob), from: alice.jid)
        #expect(try await bob.bodies() == ["one"])
        #expect(try await bob.events(.undecryptable).count == 1)
        #expect(try await bob.events(.error).count == 1)
        try await bob.meet(alice)
        let answer = try await bob.encrypt("three", to: alice)
        try await alice.receive(answer, from: bob.jid)
        #expect(try await alice.bodies() == ["three"])
    }

    @Test func `an archive position is kept with the messages before it`() async throws {
        let bob = try await Party("bob@example.org")
        let message = try stanza(
            "<message type='chat'><body>hi</body><stanza-id xmlns='urn:xmpp:sid:0' by='bob@example.org' id='77'/></message>"
        )
        try await bob.receive(message, from: try JID("alice@example.org"))
        let position = try await bob.write { [own = bob.own] in
            try $0.account(id: own.account)?.archivePosition
        }
        #expect(position == "77")
    }

    @Test func `a forged roster push changes nothing`() async throws {
        let bob = try await Party("bob@example.org")
        let push = try stanza(
            "<iq type='set' id='1'><query xmlns='jabber:iq:roster'><item jid='m@evil' subscription='both'/></query></iq>"
        )
        let effects = try await bob.receive(push, from: try JID("m@evil"))
        #expect(effects.replies.first?.type == "error")
        #expect(try await roster(bob).isEmpty)
        try await bob.receive(push, from: bob.jid)
        #expect(try await roster(bob) == ["m@evil"])
    }

    @Test func `a stanza-id from a stranger does not hide the real message`() async throws {
        let bob = try await Party("bob@example.org")
        let forged = try stanza(
            "<message type='chat'><body>forged</body><stanza-id xmlns='urn:xmpp:sid:0' by='m@evil' id='77'/></message>"
        )
        let real = try stanza(
            "<message type='chat'><body>real</body><stanza-id xmlns='urn:xmpp:sid:0' by='bob@example.org' id='77'/></message>"
        )
        try await bob.receive(forged, from: try JID("m@evil"))
        try await bob.receive(real, from: try JID("alice@example.org"))
        try await bob.receive(real, from: try JID("alice@example.org"))
        #expect(try await bob.bodies() == ["forged", "real"])
    }

    @Test func `a bare forward speaks for the one who sent it`() async throws {
        let bob = try await Party("bob@example.org")
        let forward = try stanza(
            """
            <message type='chat'><body>see below</body><forwarded xmlns='urn:xmpp:forward:0'>\
            <message xmlns='jabber:client' from='boss@example.org' type='chat'><body>you are fired</body></message>\
            </forwarded></message>
            """)
        try await bob.receive(forward, from: try JID("m@evil"))
        let stored = try await bob.events(.message).compactMap { $0.message }
        #expect(stored.map { $0.body } == ["see below"])
        #expect(stored.map { $0.sender.description } == ["m@evil"])
    }

    @Test func `carbons are believed from the own account alone`() async throws {
        let bob = try await Party("bob@example.org")
        let carbon = try stanza(
            """
            <message><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
            <message xmlns='jabber:client' from='alice@example.org' type='chat'><body>to my phone</body></message>\
            </forwarded></received></message>
            """)
        for sender in ["m@evil", "bob@example.org/other", "example.org", "bob@example.org.evil"] {
            try await bob.receive(carbon, from: try JID(sender))
        }
        #expect(try await bob.bodies().isEmpty)
        try await bob.receive(carbon, from: bob.jid)
        #expect(try await bob.bodies() == ["to my phone"])
        #expect(try await bob.events(.message).first?.message?.sender.description == "alice@example.org")
    }

    @Test func `another device of ours says what was read there, and nobody else does`() async throws {
        let bob = try await Party("bob@example.org")
        func unread() async throws -> [Int64] {
            try await bob.store.read { [id = bob.own.account] in try $0.chats(account: id).map(\.unread) }
        }
        for id in ["m1", "m2"] {
            let message = try stanza("<message type='chat' id='\(id)'><body>\(id)</body></message>")
            try await bob.receive(message, from: try JID("alice@example.org"))
        }
        let carbon = try stanza(
            """
            <message><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
            <message xmlns='jabber:client' from='bob@example.org/phone' to='alice@example.org' type='chat'>\
            <displayed xmlns='urn:xmpp:chat-markers:0' id='m1'/></message></forwarded></sent></message>
            """)
        try await bob.receive(carbon, from: try JID("m@evil"))
        #expect(try await unread() == [2])
        try await bob.receive(carbon, from: bob.jid)
        #expect(try await unread() == [1])
    }

    @Test(arguments: ["9999-01-01T00:00:00Z", "-0001-01-01T00:00:00Z", "NaN", "yesterday"])
    func `an impossible time is the time of arrival`(_ stamp: String) async throws {
        let bob = try await Party("bob@example.org")
        let message = try stanza(
            "<message type='chat'><body>late</body><delay xmlns='urn:xmpp:delay' from='example.org' stamp='\(stamp)'/></message>"
        )
        try await bob.receive(message, from: try JID("alice@example.org"))
        #expect(try await bob.events(.message).first?.message?.sentAt == Party.now)
    }

    @Test func `remote commands are refused`() async throws {
        let bob = try await Party("bob@example.org")
        let command = try stanza(
            "<iq type='set' id='1'><command xmlns='http://jabber.org/protocol/commands' node='x' action='execute'/></iq>"
        )
        let effects = try await bob.receive(command, from: try JID("m@evil/x"))
        #expect(effects.replies.map { $0.type } == ["error"])
    }

    @Test func `a missing own device is noticed only in the own list`() async throws {
        let bob = try await Party("bob@example.org")
        let event = try stanza(
            """
            <message type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'>\
            <items node='eu.siacs.conversations.axolotl.devicelist'><item id='current'>\
            <list xmlns='eu.siacs.conversations.axolotl'><device id='5'/></list></item></items></event></message>
            """)
        let alice = try JID("alice@example.org")
        #expect(try await bob.receive(event, from: alice).currentLists.isEmpty, "nobody we know")
        try await bob.befriend(alice)
        let effects = try await bob.receive(event, from: alice)
        #expect(effects.currentLists == [ListKey(owner: alice, version: .legacy)])
        #expect(!effects.isUnlisted)
        #expect(try await bob.receive(event, from: bob.jid).isUnlisted)
    }

    // MARK: Support

    private func roster(_ party: Party) async throws -> [String] {
        try await party.write { [own = party.own] in
            try $0.roster(account: own.account).map { $0.jid.description }
        }
    }

    private func preKeyIDs(_ party: Party) async throws -> [UInt32] {
        try await party.bundle().preKeys.map { $0.id }
    }

    private func pair(friends: Bool = true) async throws -> (Party, Party) {
        let (alice, bob) = (try await Party("alice@example.org"), try await Party("bob@example.org"))
        try await alice.meet(bob)
        if friends {
            try await alice.befriend(bob.jid)
            try await bob.befriend(alice.jid)
        }
        return (alice, bob)
    }

    /// Changes one character of the base64 text of a part of the encrypted element.
    private func flipping(_ part: String, in message: Element) -> Element {
        var text = String(decoding: message.xml(), as: UTF8.self)
        guard let open = text.range(of: "<\(part)"), let end = text[open.upperBound...].firstIndex(of: ">")
        else {
            return message
        }
        let place = text.index(end, offsetBy: part == "key" ? 40 : 4)
        text.replaceSubrange(place...place, with: text[place] == "A" ? "B" : "A")
        return (try? stanza(text)) ?? message
    }
}
