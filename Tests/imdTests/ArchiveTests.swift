// The same message may come live, as a carbon and out of the archive: it counts once (threats.md rows 25, 26, F7).
import IMCrypto
import LocalAPI
import OMEMO
import Store
import Testing
import XMPP

@testable import imd

struct ArchiveTests {
    @Test func `live, as a carbon and three times from the archive it is one event`() async throws {
        let (alice, bob) = try await pair()
        var message = try await alice.encrypt("hello", to: bob)
        message["to"] = bob.jid.description
        try await bob.receive(message, from: alice.jid)
        message["from"] = alice.jid.description
        try await bob.receive(carbon("received", message), from: bob.jid)
        for _ in 0..<3 { try await bob.read((id: "7", stanza: message, from: alice.jid)) }
        #expect(try await bob.bodies() == ["hello"])
        #expect(try await bob.events(.undecryptable).isEmpty)
        #expect(try await bob.position == "7")
    }

    @Test func `the archive moves its position, live messages only when it has been read`() async throws {
        let (alice, bob) = try await pair()
        try await bob.read((id: "1", stanza: try plain("one"), from: alice.jid))
        #expect(try await bob.position == "1")
        let live = try plain("two", stanzaID: "9")
        try await bob.take([.stanza(live)], archive: .init(announcesStanzaIDs: true, isCaughtUp: false))
        #expect(try await bob.position == "1")
        try await bob.receive(try plain("three", stanzaID: "10"), from: alice.jid)
        #expect(try await bob.position == "10")
    }

    @Test func `a result that nobody asked for is dropped`() async throws {
        let bob = try await Party("bob@example.org")
        let inner =
            "<message xmlns='jabber:client' from='alice@example.org' type='chat'><body>forged</body></message>"
        let result = try stanza(
            """
            <message><result xmlns='urn:xmpp:mam:2' id='1' queryid='q'><forwarded xmlns='urn:xmpp:forward:0'>\
            \(inner)</forwarded></result></message>
            """)
        for sender in ["m@evil", "bob@example.org", "example.org"] {
            try await bob.receive(result, from: try JID(sender))
        }
        #expect(try await bob.bodies().isEmpty)
        #expect(try await bob.position == nil)
    }

    @Test func `what is older than the device is kept and nothing more`() async throws {
        let (alice, bob) = try await pair()
        let old = try plain("long ago", id: "a", asksReceipt: true)
        let stranger = try await Party("carol@example.org")
        try await stranger.meet(alice)
        let unreadable = try await stranger.encrypt("not for this device", to: alice)
        let effects = try await bob.read(
            (id: "1", stanza: old, from: alice.jid), (id: "2", stanza: unreadable, from: alice.jid),
            isHistory: true)
        #expect(try await bob.bodies().isEmpty)
        #expect(try await bob.events(.undecryptable).isEmpty)
        #expect(!effects.outboxGrew)
        let kept = try await bob.write { [own = bob.own] in
            try $0.messages(account: own.account, chat: alice.jid, limit: 10).map { $0.body }
        }
        #expect(kept == ["long ago"])
    }

    @Test func `a missed message of a friend gets its receipt, one of a stranger none`() async throws {
        let (alice, bob) = try await pair()
        try await bob.read((id: "1", stanza: try plain("hi", id: "a", asksReceipt: true), from: alice.jid))
        #expect(try await bob.outbox().map { $0.child("received", in: Namespace.receipts)?["id"] } == ["a"])
        let stranger = try JID("m@evil")
        try await bob.read((id: "2", stanza: try plain("hi", id: "b", asksReceipt: true), from: stranger))
        #expect(try await bob.outbox().count == 1)
    }

    @Test func `a carbon is never answered`() async throws {
        let (alice, bob) = try await pair()
        var message = try plain("hi", id: "a", asksReceipt: true)
        message["from"] = alice.jid.description
        try await bob.receive(carbon("received", message), from: bob.jid)
        #expect(try await bob.bodies() == ["hi"])
        #expect(try await bob.outbox().isEmpty)
    }

    @Test func `what another device of ours sent is a message of ours`() async throws {
        let (phone, bob) = (try await Party("alice@example.org"), try await Party("bob@example.org"))
        let alice = try await Party("alice@example.org")
        try await phone.meet(bob)
        try await phone.meet(phone, alice)
        var message = try await phone.encrypt("from my phone", to: bob, alsoTo: alice)
        message["from"] = "alice@example.org/phone"
        message["to"] = "bob@example.org"
        try await alice.receive(carbon("sent", message), from: alice.jid)
        let stored = try #require(try await alice.events(.message).first?.message)
        #expect(stored.body == "from my phone")
        #expect(stored.direction == .out)
        #expect(stored.chat == bob.jid)
        #expect(stored.state == .server)
        #expect(stored.encryption?.device == phone.own.device)
    }

    /// A server that dies may have archived it for us and not yet for the recipient.
    @Test func `our own encrypted message in the archive stays in the outbox until it is acknowledged`()
        async throws
    {
        let (alice, bob) = try await pair()
        var archived = try await alice.encrypt("once", to: bob)
        _ = try await alice.write { [own = alice.own] in
            try $0.takeOutbox(account: own.account, after: 0, limit: 10, now: Party.now)
        }
        archived["to"] = bob.jid.description
        let effects = try await alice.read((id: "5", stanza: archived, from: alice.jid))
        #expect(effects.states.isEmpty)
        #expect(!effects.isRestored)
        let waiting = try await alice.outbox()
        #expect(waiting.count == 1)
        try await bob.receive(archived, from: alice.jid)
        try await bob.receive(try #require(waiting.first), from: alice.jid)
        #expect(try await bob.bodies() == ["once"])
        #expect(try await bob.events(.undecryptable).isEmpty)
    }

    @Test func `our own message in the clear, found in the archive, does not go out again`() async throws {
        let (alice, bob) = try await pair()
        let outbound = alice.outbound()
        let request = SendRequest(chat: bob.jid, body: "once", clientID: nil, plaintext: true)
        _ = try await alice.write { try outbound.accept(request, mayEncrypt: true, $0) }
        let message = try #require(try await alice.outbox().first)
        _ = try await alice.write { [own = alice.own] in
            try $0.takeOutbox(account: own.account, after: 0, limit: 10, now: Party.now)
        }
        let oldest = try await alice.write { [own = alice.own] in
            try $0.oldestUnconfirmed(account: own.account)
        }
        #expect(oldest == Party.now)
        var archived = message
        archived["to"] = bob.jid.description
        let effects = try await alice.read((id: "5", stanza: archived, from: alice.jid))
        #expect(effects.states.map { $0.state } == [.server])
        #expect(!effects.isRestored)
        #expect(try await alice.outbox().isEmpty)
        #expect(try await alice.bodies().isEmpty)
    }

    @Test func `a text of ours that the database does not know gives up all sessions`() async throws {
        let (alice, bob) = try await pair()
        _ = try await alice.encrypt("known", to: bob)
        var later = try await alice.encrypt("sent after the backup", to: bob)
        later["to"] = bob.jid.description
        later["id"] = "unknown"
        later.nodes.removeAll { node in
            if case .element(let child) = node { child.name == "origin-id" } else { false }
        }
        let effects = try await alice.read((id: "5", stanza: later, from: alice.jid))
        #expect(effects.isRestored)
        #expect(try await alice.events(.error).count == 1)
        let session = try await alice.write { [own = alice.own] in
            try $0.session(account: own.account, DeviceAddress(jid: bob.jid, device: bob.own.device), .legacy)
        }
        #expect(session == nil)
    }

    @Test func `a published bundle from the future gives up all sessions`() async throws {
        let (alice, bob) = try await pair()
        _ = try await alice.encrypt("known", to: bob)
        let own = alice.own
        let published = try await alice.write { tx in
            try tx.replacePreKey(1, with: fresh(), account: own.account)
            return try #require(try tx.currentBundles(of: own, now: Party.now).first)
        }
        try await alice.write { try Restoration(own: own, now: Party.now).compare(with: published, $0) }
        #expect(try await alice.events(.error).isEmpty, "that is what we published ourselves")
        try await alice.write { try $0.setNextPreKeyID(101, account: own.account) }
        try await alice.write { try Restoration(own: own, now: Party.now).compare(with: published, $0) }
        #expect(try await alice.events(.error).count == 1)
        let next = try await alice.write { try $0.account(id: own.account)?.nextPreKeyID }
        #expect(next == 102)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `a published bundle that cannot be ours gives up nothing`(_ version: ProtocolVersion) async throws {
        let (alice, bob) = try await pair()
        _ = try await alice.encrypt("known", to: bob)
        let own = alice.own
        let ours = try await alice.bundle(version)
        let foreign = try await bob.bundle(version)
        let forged = try [UInt32(1 << 30) + 1, .max >> 1].map { try ours.renumbered($0) }
        for published in [foreign] + forged {
            try await alice.write { try Restoration(own: own, now: Party.now).compare(with: published, $0) }
        }
        #expect(try await alice.events(.error).isEmpty)
        let again = try await alice.bundle(version)
        #expect(again == ours)
    }

    @Test func `the highest ids that are believed leave room for others`() async throws {
        let (alice, _) = try await pair()
        let own = alice.own
        let published = try await alice.bundle().renumbered(1 << 30)
        try await alice.write { try Restoration(own: own, now: Party.now).compare(with: published, $0) }
        #expect(try await alice.events(.error).count == 1)
        for _ in 0..<3 {
            let bundle = try await alice.bundle()
            #expect(bundle.preKeys.count == 100)
            #expect(bundle.signedPreKeyID == 1 << 30 + 1)
            try await alice.write { tx in
                let id = try #require(try tx.allPreKeys(account: own.account).last?.id)
                try tx.replacePreKey(id, with: fresh(), account: own.account)
            }
        }
    }

    @Test func `a key used twice while the archive is read opens both messages`() async throws {
        let bob = try await Party("bob@example.org")
        let bundle = try await bob.bundle()
        let (alice, carol) = (try await Party("alice@example.org"), try await Party("carol@example.org"))
        // Both found the same single pre-key in the bundle.
        var shared = bundle.element
        let only = Element("prekeys", in: bundle.element.namespace, [:], [try #require(preKeys(shared).last)])
        shared.nodes.removeAll { if case .element(let child) = $0 { child.name == "prekeys" } else { false } }
        shared.nodes.append(.element(only))
        let common = try OMEMO.Bundle(shared, .legacy)
        var messages: [Element] = []
        for sender in [alice, carol] {
            try await sender.meet(bob)
            messages.append(try await sender.encrypt("hi", to: bob, with: common))
        }
        try await bob.read((id: "1", stanza: messages[0], from: alice.jid))
        try await bob.read((id: "2", stanza: messages[1], from: carol.jid))
        #expect(try await bob.bodies() == ["hi", "hi"])
        let gone = try await bob.write { [own = bob.own] in try $0.removeUsedPreKeys(account: own.account) }
        #expect(gone >= 1)
        #expect(try await bob.bundle().preKeys.count == 100)
    }

    @Test func `displayed moves forward over all that came before`() async throws {
        let (alice, bob) = try await pair()
        for text in ["one", "two", "three"] { _ = try await alice.encrypt(text, to: bob) }
        _ = try await alice.write { [own = alice.own] tx in
            _ = try tx.takeOutbox(account: own.account, after: 0, limit: 10, now: Party.now)
            try tx.acknowledge(account: own.account, through: 10, now: Party.now)
        }
        let ids = try await alice.write { [own = alice.own] in
            try $0.messages(account: own.account, chat: bob.jid, limit: 10).map { $0.messageID }
        }
        let marker = ChatMarkers.displayed(id: ids[1], to: alice.jid).element
        #expect(try await alice.receive(marker, from: JID("m@evil")).states.isEmpty)
        let effects = try await alice.receive(marker, from: bob.jid)
        #expect(effects.states.map { $0.state } == [.displayed, .displayed])
        #expect(try await alice.receive(marker, from: bob.jid).states.isEmpty)
    }

    @Test func `a damaged device row costs what it guards and leaves a gap`() async throws {
        let (alice, bob) = try await pair()
        try await bob.receive(try await alice.encrypt("one", to: bob), from: alice.jid)
        try bob.damage("device", "trust = 'verified'")
        var second = try await alice.encrypt("two", to: bob)
        second["from"] = alice.jid.description
        var other = try plain("beside it")
        other["from"] = "carol@example.org"
        let work: [Work] = [.stanza(second), .stanza(other)]
        await #expect(throws: StoreError.self) { try await bob.take(work) }
        try await bob.take(work, aroundDamage: true)
        #expect(try await bob.bodies() == ["one", "beside it"])
        #expect(try await bob.events(.gap).count == 1)
    }

    // MARK: Support

    private func preKeys(_ bundle: Element) -> [Element] {
        bundle.children.first { $0.name == "prekeys" }?.children ?? []
    }

    private func pair() async throws -> (Party, Party) {
        let (alice, bob) = (try await Party("alice@example.org"), try await Party("bob@example.org"))
        try await alice.meet(bob)
        try await alice.befriend(bob.jid)
        try await bob.befriend(alice.jid)
        return (alice, bob)
    }

    private func plain(
        _ body: String, id: String = "x", stanzaID: String? = nil, asksReceipt: Bool = false
    ) throws -> Element {
        let mark =
            stanzaID.map { "<stanza-id xmlns='urn:xmpp:sid:0' by='bob@example.org' id='\($0)'/>" } ?? ""
        let request = asksReceipt ? "<request xmlns='urn:xmpp:receipts'/>" : ""
        return try stanza("<message type='chat' id='\(id)'><body>\(body)</body>\(mark)\(request)</message>")
    }

    private func carbon(_ direction: String, _ message: Element) -> Element {
        Element(
            "message", in: Namespace.client, [:],
            [
                Element(
                    direction, in: Namespace.carbons, [:],
                    [Element("forwarded", in: Namespace.forward, [:], [message])])
            ])
    }
}

private func fresh() -> KeyPair {
    var random = SystemRandomNumberGenerator()
    return KeyPair.generate(using: &random)
}

extension OMEMO.Bundle {
    /// The same keys with these ids, as a server can show them.
    fileprivate func renumbered(_ id: UInt32) throws -> OMEMO.Bundle {
        var text = String(decoding: element.xml(), as: UTF8.self)
        let (signed, one) = version == .legacy ? ("signedPreKeyId", "preKeyId") : ("spk id", "pk id")
        text = text.replacing("\(signed)='\(signedPreKeyID)'", with: "\(signed)='\(id)'")
        text = text.replacing("\(one)='\(preKeys.map(\.id).max() ?? 0)'", with: "\(one)='\(id)'")
        return try OMEMO.Bundle(Element(stanza: Array(text.utf8)), version)
    }
}
