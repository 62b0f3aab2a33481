// Both versions of OMEMO side by side: which device gets which, and what is in the envelope (threat row 32).
import IMCrypto
import LocalAPI
import OMEMO
import Store
import Testing
import XMPP

@testable import imd

struct VersionsTests {
    @Test func `a device that lists both versions gets legacy until it has sent omemo 2`() async throws {
        let (alice, bob) = try await pair([.legacy, .omemo2])
        let first = try await alice.encrypt("one", to: bob)
        #expect(version(of: first) == .legacy)
        try await bob.receive(first, from: alice.jid)
        try await alice.meetOnly(.omemo2, bob)
        try await bob.meetOnly(.omemo2, alice)
        let answer = try await bob.encrypt("two", to: alice)
        #expect(version(of: answer) == .omemo2)
        try await alice.receive(answer, from: bob.jid)
        #expect(try await alice.bodies() == ["two"])
        try await alice.meet(bob, versions: [.legacy, .omemo2])
        #expect(version(of: try await alice.encrypt("three", to: bob)) == .omemo2)
    }

    /// slixmpp-omemo 2.2.0 completes a key exchange in omemo:2 and cannot read what comes then.
    @Test func `an empty omemo 2 message is no sign that a device reads omemo 2`() async throws {
        let (alice, bob) = try await pair([.legacy, .omemo2])
        try await alice.meetOnly(.omemo2, bob)
        try await bob.meetOnly(.omemo2, alice)
        try await bob.receive(try await alice.encrypt("one", to: bob), from: alice.jid)
        let answer = try #require(try await bob.outbox().first { version(of: $0) == .omemo2 })
        let encrypted = try answer.onlyChild("encrypted", in: ProtocolVersion.omemo2.rawValue)
        #expect(encrypted.child("payload", in: ProtocolVersion.omemo2.rawValue) == nil)
        try await alice.receive(answer, from: bob.jid)
        try await alice.meet(bob, versions: [.legacy, .omemo2])
        #expect(version(of: try await alice.encrypt("two", to: bob)) == .legacy)
    }

    @Test func `an omemo 2 message shows nothing in clear`() async throws {
        let (alice, bob) = try await pair([.omemo2])
        let message = try await alice.encrypt("a secret word", to: bob)
        #expect(message.child("body", in: Namespace.client) == nil)
        #expect(message.child("request", in: Namespace.receipts) == nil)
        #expect(message.child("markable", in: Namespace.chatMarkers) == nil)
        #expect(message.child("origin-id", in: Namespace.stanzaIDs)?["id"] == message.id)
        #expect(!String(decoding: message.xml(), as: UTF8.self).contains("secret"))
    }

    @Test func `what an envelope asks for is answered`() async throws {
        let (alice, bob) = try await pair([.omemo2])
        let message = try await alice.encrypt("hello", to: bob)
        try await bob.receive(message, from: alice.jid)
        let stored = try #require(try await bob.events(.message).first?.message)
        #expect(stored.body == "hello")
        #expect(stored.markable)
        #expect(stored.encryption?.version == .omemo2)
        let receipt = try #require(try await bob.outbox().last)
        #expect(receipt.child("received", in: Namespace.receipts)?["id"] == message.id)
    }

    @Test func `two versions are two stanzas and one message`() async throws {
        let alice = try await Party("alice@example.org")
        let (old, new) = (try await Party("bob@example.org"), try await Party("bob@example.org"))
        try await alice.learn(.legacy, [old.own.device], of: old.jid)
        try await alice.learn(.omemo2, [new.own.device], of: new.jid)
        _ = try await alice.encrypt("hello", to: old, alsoTo: new)
        let stanzas = try await alice.outbox()
        #expect(stanzas.map(version(of:)) == [.legacy, .omemo2])
        #expect(stanzas[0].id == stanzas[1].id)
        for party in [old, new] {
            for stanza in stanzas { try await party.receive(stanza, from: alice.jid) }
            #expect(try await party.bodies() == ["hello"])
            #expect(try await party.events(.undecryptable).isEmpty)
            let id = try #require(stanzas[0].id)
            let account = party.own.account
            let waiting = try await party.write {
                try $0.takeUnaddressed(account: account, olderThan: 0, now: Party.now)
            }
            for stanza in waiting { #expect(stanza.messageID == id) }
        }
    }

    @Test func `where one of two versions in a stanza cannot be read the other is`() async throws {
        let (alice, bob) = try await pair([.omemo2])
        try await bob.befriend(alice.jid)
        try await bob.receive(try await alice.encrypt("one", to: bob), from: alice.jid)
        var both = try await alice.encrypt("two", to: bob)
        let other = try await Party("alice@example.org")
        try await other.meet(bob)
        let legacy = try await other.encrypt("two", to: bob)
        both.append(try #require(legacy.child("encrypted", in: ProtocolVersion.legacy.rawValue)))
        try await bob.write { [own = bob.own] in try $0.removeSessions(account: own.account, alice.address) }
        try await bob.receive(both, from: alice.jid)
        #expect(try await bob.bodies() == ["one", "two"])
        #expect(try await bob.events(.undecryptable).isEmpty)
        try await bob.receive(both, from: alice.jid)
        #expect(try await bob.bodies() == ["one", "two"])
    }

    @Test func `a device that appears in the other version only is told`() async throws {
        let (alice, bob) = try await pair([.legacy])
        let second = try await Party("bob@example.org")
        try await alice.learn(.omemo2, [bob.own.device], of: bob.jid)
        #expect(try await alice.events(.device).isEmpty, "how things are is no news")
        _ = try await alice.encrypt("hello", to: bob)
        let third = try await Party("carol@example.org")
        try await alice.meet(third)
        _ = try await alice.encrypt("hello", to: third)
        try await alice.learn(.omemo2, [third.own.device, second.own.device], of: third.jid)
        let events = try await alice.events(.device).compactMap(\.detail)
        #expect(events.count == 1)
        #expect(events.first?.contains("\(second.own.device)") == true)
    }

    @Test func `a message is with the server when all its stanzas are`() async throws {
        let alice = try await Party("alice@example.org")
        let (old, new) = (try await Party("bob@example.org"), try await Party("bob@example.org"))
        try await alice.learn(.legacy, [old.own.device], of: old.jid)
        try await alice.learn(.omemo2, [new.own.device], of: new.jid)
        _ = try await alice.encrypt("hello", to: old, alsoTo: new)
        let id = alice.own.account
        let (first, second) = try await alice.write { tx in
            _ = try tx.takeOutbox(account: id, after: 0, limit: 10, now: Party.now)
            return (
                try tx.acknowledge(account: id, through: 1, now: Party.now),
                try tx.acknowledge(account: id, through: 2, now: Party.now)
            )
        }
        #expect(first.isEmpty)
        #expect(second.count == 1)
    }

    @Test func `C32 an envelope from somebody else is refused`() async throws {
        let (alice, bob) = try await pair([.omemo2])
        let body = Element("body", in: Namespace.client, text: "I am the boss")
        for forged in [
            StanzaContent(content: [body], from: try JID("boss@example.org"), to: bob.jid),
            StanzaContent(content: [body], from: nil, to: bob.jid),
            StanzaContent(content: [body], from: alice.jid, to: try JID("carol@example.org")),
        ] {
            try await bob.receive(try await seal(forged, alice, bob), from: alice.jid)
        }
        #expect(try await bob.bodies().isEmpty)
        #expect(try await bob.events(.undecryptable).count == 3)
        let honest = StanzaContent(content: [body], from: alice.jid, to: bob.jid)
        try await bob.receive(try await seal(honest, alice, bob), from: alice.jid)
        #expect(try await bob.bodies() == ["I am the boss"])
    }

    @Test func `what stands beside an envelope in clear is not believed`() async throws {
        let (alice, bob) = try await pair([.omemo2])
        var message = try await alice.encrypt("hello", to: bob)
        message.append(Element("body", in: Namespace.client, text: "the server's words"))
        try await bob.receive(message, from: alice.jid)
        #expect(try await bob.bodies() == ["hello"])
    }

    @Test func `C29 an opt-out stops messages until a person has answered`() async throws {
        let (alice, bob) = try await pair([.omemo2])
        let optOut = Element(
            "opt-out", in: ProtocolVersion.omemo2.rawValue, [:],
            [Element("reason", in: ProtocolVersion.omemo2.rawValue, text: "compliance")])
        let content = StanzaContent(content: [optOut], from: alice.jid, to: bob.jid)
        try await bob.receive(try await seal(content, alice, bob), from: alice.jid)
        #expect(try await bob.events(.security).count == 1)
        try await bob.meet(alice, versions: [.omemo2])
        let request = SendRequest(chat: alice.jid, body: "why?", clientID: nil, plaintext: false)
        let outbound = bob.outbound()
        let refused = try await bob.write { try outbound.accept(request, mayEncrypt: true, $0) }
        guard case .optedOut? = refused.outcome else {
            Issue.record("\(String(describing: refused.outcome))")
            return
        }
        try await bob.write { [own = bob.own] in try $0.clearOptOut(account: own.account, chat: alice.jid) }
        _ = try await bob.encrypt("as before", to: alice)
    }

    // MARK: Support

    private func pair(_ versions: [ProtocolVersion]) async throws -> (Party, Party) {
        let (alice, bob) = (try await Party("alice@example.org"), try await Party("bob@example.org"))
        try await alice.meet(bob, versions: versions)
        try await bob.befriend(alice.jid)
        return (alice, bob)
    }

    private func version(of stanza: Element) -> ProtocolVersion? {
        ProtocolVersion.allCases.first { stanza.child("encrypted", in: $0.rawValue) != nil }
    }

    /// A stanza with this envelope from one party to another.
    private func seal(_ content: StanzaContent, _ alice: Party, _ bob: Party) async throws -> Element {
        let bundle = try await bob.bundle(.omemo2)
        let stanza = try await alice.write { [own = alice.own, address = bob.address] tx in
            var random = SystemRandomNumberGenerator()
            var record = try tx.session(account: own.account, address, .omemo2) ?? SessionRecord(.omemo2)
            if record.isEmpty {
                try record.initiate(with: bundle, own: own.identity, ownDevice: own.device, using: &random)
            }
            var recipients = [Recipient(address: address, record: record)]
            let message = try Fanout.encrypt(
                content.serialized(using: &random), .omemo2, from: own.device, to: &recipients,
                using: &random)
            try tx.save(recipients[0].record, account: own.account, address, .omemo2)
            return MessageStanza.silent(message, to: address.jid, id: StanzaID.random(using: &random))
        }
        return stanza
    }
}

extension Party {
    /// Hears that another party is on the list of one version alone.
    func meetOnly(_ version: ProtocolVersion, _ other: Party) async throws {
        for each in ProtocolVersion.allCases {
            try await learn(each, each == version ? [other.own.device] : [], of: other.jid)
        }
    }
}
