// Reactions (XEP-0444): encrypted in omemo:2, and in no other way unless somebody asks for plaintext.
import IMCrypto
import LocalAPI
import OMEMO
import Store
import Testing
import XMPP

@testable import imd

struct ReactionTests {
    @Test func `in omemo 2 a reaction is in the envelope alone`() async throws {
        let (alice, bob) = try await pair([.omemo2])
        let id = try await heard("deployed", by: alice, from: bob)
        guard case .enqueued(let delivery)? = try await alice.react("👍 🎉", to: id, of: bob).outcome else {
            Issue.record("not sent")
            return
        }
        #expect(delivery.devices.map(\.device) == [bob.own.device])
        let stanza = try #require(try await alice.outbox().last)
        #expect(stanza.child("reactions", in: Namespace.reactions) == nil)
        #expect(!stanza.text.contains("👍") && !stanza.text.contains(id))
        #expect(stanza.child("store", in: Namespace.hints) != nil)
        let content = try await bob.open(stanza, from: alice)
        #expect(content == [Reactions(to: id, ["👍", "🎉"]).element])
    }

    @Test func `row 29: a device with the legacy version alone gets no reaction, and nothing leaves`()
        async throws
    {
        let (alice, bob) = try await pair([.legacy])
        let id = try await heard("deployed", by: alice, from: bob)
        let before = try await alice.outbox().count
        guard case .noTrustedDevice(let excluded)? = try await alice.react("👍", to: id, of: bob).outcome
        else {
            Issue.record("sent")
            return
        }
        #expect(excluded.map(\.reason) == ["legacy-only"] && excluded.map(\.device) == [bob.own.device])
        #expect(try await alice.outbox().count == before)
    }

    @Test func `of several devices those with omemo 2 get it, and the others are named`() async throws {
        let (alice, old) = try await pair([.legacy])
        let id = try await heard("deployed", by: alice, from: old)
        let new = try await Party("bob@example.org")
        try await alice.learn(.omemo2, [new.own.device], of: new.jid)
        let bundle = [BundleKey(new.address, .omemo2): try await new.bundle(.omemo2)]
        guard case .enqueued(let delivery)? = try await alice.react("👍", to: id, of: old, bundle).outcome
        else {
            Issue.record("not sent")
            return
        }
        #expect(delivery.devices.map(\.device) == [new.own.device])
        #expect(delivery.excluded.map(\.device) == [old.own.device])
        #expect(try await alice.outbox().count { $0.encrypts } == 1, "no other version of it")
        #expect(try await new.open(try #require(try await alice.outbox().last), from: alice).count == 1)
    }

    @Test func `row 29: in an encrypted chat plaintext is refused for reactions, too`() async throws {
        let (alice, bob) = try await pair([.legacy])
        let id = try await heard("deployed", by: alice, from: bob)
        let before = try await alice.outbox().count
        await #expect(throws: UserError.encryptionRequired(bob.jid)) {
            try await alice.react("👍", to: id, of: bob, plaintext: true)
        }
        #expect(try await alice.outbox().count == before)
    }

    @Test func `in a chat in clear a reaction goes in clear, if that is asked for`() async throws {
        let alice = try await Party("alice@example.org")
        let bob = try await Party("bob@example.org")
        let message = XMPP.Message(to: alice.jid, id: "m-1", body: "hello").element
        try await alice.receive(message, from: bob.jid)
        try await alice.react("👍", to: "m-1", of: bob, plaintext: true)
        let stanza = try #require(try await alice.outbox().last)
        #expect(stanza.child("reactions", in: Namespace.reactions) == Reactions(to: "m-1", ["👍"]).element)
        #expect(stanza.child("body", in: Namespace.client) == nil)
        #expect(stanza.child("store", in: Namespace.hints) != nil)
    }

    @Test func `a reaction is to a message of that chat`() async throws {
        let (alice, bob) = try await pair([.omemo2])
        let carol = try await Party("carol@example.org")
        // Carol was there first with the id that Bob's message has.
        let id = "m-1"
        for each in [id, "c-1"] {
            let message = XMPP.Message(to: alice.jid, id: each, body: "hello").element
            try await alice.receive(message, from: carol.jid)
        }
        try await alice.receive(try await bob.encrypt("deployed", to: alice).named(id), from: bob.jid)
        for unknown in ["c-1", "nothing", ""] {
            await #expect(throws: UserError.noMessage(unknown, in: bob.jid)) {
                try await alice.react("👍", to: unknown, of: bob)
            }
        }
        guard case .enqueued? = try await alice.react("👍", to: id, of: bob).outcome else {
            Issue.record("not sent")
            return
        }
    }

    @Test func `our own message is meant by the caller's key, and by its id on the wire`() async throws {
        let (alice, bob) = try await pair([.omemo2])
        let text = try await alice.encrypt("job is done", to: bob, id: "job-1")
        let accepted = try await alice.react("✅", to: "job-1", of: bob)
        #expect(accepted.message.reactsTo == text.id)
        let content = try await bob.open(try #require(try await alice.outbox().last), from: alice)
        #expect(content == [Reactions(to: try #require(text.id), ["✅"]).element])
    }

    @Test func `an idempotency key stands for one reaction`() async throws {
        let (alice, bob) = try await pair([.omemo2])
        let id = try await heard("deployed", by: alice, from: bob)
        try await alice.react("👍", to: id, of: bob, key: "k")
        let count = try await alice.outbox().count
        #expect(try await alice.react("👍", to: id, of: bob, key: "k").isDuplicate)
        #expect(try await alice.outbox().count == count)
        let outbound = alice.outbound()
        let other = try await heard("rolled back", by: alice, from: bob)
        for reactsTo in [nil, other, "nonsense"] {
            let request = SendRequest(
                chat: bob.jid, body: "👍", clientID: "k", plaintext: false, reactsTo: reactsTo)
            await #expect(throws: UserError.self) {
                try await alice.write { try outbound.accept(request, mayEncrypt: true, $0) }
            }
        }
    }

    @Test func `a reaction is shown as what it is`() async throws {
        let (alice, bob) = try await pair([.omemo2])
        let id = try await heard("deployed", by: alice, from: bob)
        let row = try await alice.react("👍", to: id, of: bob).message.id
        let stored = try #require(try await alice.write { try $0.message(row: row) })
        let shown = stored.shown(account: alice.jid)
        #expect(shown.reactsTo == id && shown.body == "👍" && !stored.isDamaged)
        #expect(shown.encryption?.protocol == ProtocolVersion.omemo2.rawValue)
    }

    @Test func `a device that lists both versions gets texts in legacy and reactions in omemo 2`()
        async throws
    {
        let (alice, bob) = try await pair([.legacy, .omemo2])
        let id = try await heard("deployed", by: alice, from: bob)
        let text = try await alice.encrypt("thanks", to: bob)
        #expect(text.child("encrypted", in: ProtocolVersion.legacy.rawValue) != nil)
        let bundle = [BundleKey(bob.address, .omemo2): try await bob.bundle(.omemo2)]
        try await alice.react("👍", to: id, of: bob, bundle)
        let content = try await bob.open(try #require(try await alice.outbox().last), from: alice)
        #expect(content == [Reactions(to: id, ["👍"]).element])
    }

    @Test func `row 25: a reaction that comes twice is silent`() async throws {
        let (alice, bob) = try await pair([.omemo2])
        let id = try await heard("deployed", by: alice, from: bob)
        try await alice.react("👍", to: id, of: bob)
        let stanza = try #require(try await alice.outbox().last)
        let effects = try await bob.receive(stanza, stanza, from: alice.jid)
        var again = stanza
        again["from"] = alice.jid.description
        try await bob.take([.stanza(again)], archive: Inbound.Archive(textless: effects.textless))
        try await #expect(bob.events(.undecryptable).isEmpty)
        try await #expect(bob.events(.message).isEmpty)
    }

    @Test func `an id of any length costs no memory`() async throws {
        let (alice, bob) = try await pair([.omemo2])
        let id = try await heard("deployed", by: alice, from: bob)
        try await alice.react("👍", to: id, of: bob)
        let stanza = try #require(try await alice.outbox().last).named(String(repeating: "x", count: 256))
        let effects = try await bob.receive(stanza, from: alice.jid)
        #expect(effects.textless.isEmpty)
    }

    @Test func `a reaction that is held holds up no text`() async throws {
        let (alice, old, new) = (
            try await Party("alice@example.org"), try await Party("bob@example.org"),
            try await Party("bob@example.org")
        )
        try await alice.learn(.legacy, [old.own.device], of: old.jid)
        try await alice.learn(.omemo2, [new.own.device], of: new.jid)
        try await alice.receive(XMPP.Message(to: alice.jid, id: "m-1", body: "hello").element, from: old.jid)
        var settings = TrustSettings()
        settings.policy = .verifiedOnly
        let outbound = Outbound(
            own: alice.own, policies: Policies(settings), now: Party.now,
            bundles: [
                BundleKey(old.address, .legacy): try await old.bundle(),
                BundleKey(new.address, .omemo2): try await new.bundle(.omemo2),
            ])
        let requests = [
            SendRequest(chat: old.jid, body: "👍", clientID: nil, plaintext: false, reactsTo: "m-1"),
            SendRequest(chat: old.jid, body: "the text", clientID: nil, plaintext: false),
        ]
        let rows = try await alice.write { tx in
            let rows = try requests.map { try outbound.accept($0, mayEncrypt: true, tx).message.id }
            _ = try outbound.encryptWaiting(in: old.jid, tx)
            try #expect(rows.map { try tx.message(row: $0)?.state } == [.held, .held])
            return rows
        }
        let outcomes = try await alice.write { [own = alice.own] tx in
            try tx.setTrust(.verified, account: own.account, old.address, source: .person, now: Party.now)
            return try outbound.encryptWaiting(in: old.jid, tx).outcomes
        }
        guard case .held? = outcomes[rows[0]], case .enqueued? = outcomes[rows[1]] else {
            Issue.record("\(outcomes)")
            return
        }
    }

    @Test func `a decision about a device that can be sent no reaction is not waited for`() async throws {
        let (alice, bob) = (try await Party("alice@example.org"), try await Party("bob@example.org"))
        try await alice.meet(bob)
        try await alice.receive(XMPP.Message(to: alice.jid, id: "m-1", body: "hello").element, from: bob.jid)
        var settings = TrustSettings()
        settings.policy = .verifiedOnly
        let outbound = Outbound(
            own: alice.own, policies: Policies(settings), now: Party.now,
            bundles: [BundleKey(bob.address, .legacy): try await bob.bundle()])
        let request = SendRequest(chat: bob.jid, body: "👍", clientID: nil, plaintext: false, reactsTo: "m-1")
        let outcome = try await alice.write { try outbound.accept(request, mayEncrypt: true, $0).outcome }
        guard case .noTrustedDevice(let excluded)? = outcome else {
            Issue.record("\(String(describing: outcome))")
            return
        }
        #expect(excluded.map(\.reason) == ["legacy-only"])
    }

    /// What a message is to be is read from its row: a bit that flips there must not send it in clear, nor as text.
    @Test(arguments: ["plaintext = 1", "reactsTo = NULL", "reactsTo = 'm-2'"])
    func `row F7: a damaged row is never sent`(change: String) async throws {
        let (alice, bob) = (try await Party("alice@example.org"), try await Party("bob@example.org"))
        try await alice.meet(bob, versions: [.legacy, .omemo2])
        try await alice.receive(XMPP.Message(to: alice.jid, id: "m-1", body: "hello").element, from: bob.jid)
        let isText = change.hasPrefix("plaintext")
        let request = SendRequest(
            chat: bob.jid, body: isText ? "secret" : "👍", clientID: nil, plaintext: false,
            reactsTo: isText ? nil : "m-1")
        let outbound = alice.outbound([
            BundleKey(bob.address, .legacy): try await bob.bundle(),
            BundleKey(bob.address, .omemo2): try await bob.bundle(.omemo2),
        ])
        let row = try await alice.write { try outbound.accept(request, mayEncrypt: false, $0).message.id }
        try alice.damage("message", change)
        let outcomes = try await alice.write { try outbound.encryptWaiting(in: bob.jid, $0).outcomes }
        guard case .damaged? = outcomes[row] else {
            Issue.record("\(outcomes)")
            return
        }
        #expect(try await alice.outbox().isEmpty)
    }

    @Test func `a message without an id cannot be reacted to`() async throws {
        let (alice, bob) = (try await Party("alice@example.org"), try await Party("bob@example.org"))
        try await alice.receive(XMPP.Message(to: alice.jid, id: nil, body: "hello").element, from: bob.jid)
        await #expect(throws: UserError.noMessage("", in: bob.jid)) {
            try await alice.react("👍", to: "", of: bob, plaintext: true)
        }
    }

    @Test func `the caller's key comes before an id that the contact chose`() async throws {
        let (alice, bob) = try await pair([.omemo2])
        let own = try await alice.encrypt("job is done", to: bob, id: "job-1")
        try await alice.receive(try await bob.encrypt("hello", to: alice).named("job-1"), from: bob.jid)
        #expect(try await alice.react("✅", to: "job-1", of: bob).message.reactsTo == own.id)
    }

    // MARK: Support

    private func pair(_ versions: [ProtocolVersion]) async throws -> (Party, Party) {
        let (alice, bob) = (try await Party("alice@example.org"), try await Party("bob@example.org"))
        try await alice.meet(bob, versions: versions)
        try await bob.meet(alice, versions: versions)
        return (alice, bob)
    }

    /// - Returns: the message's id.
    private func heard(_ body: String, by alice: Party, from bob: Party) async throws -> String {
        let message = try await bob.encrypt(body, to: alice)
        try await alice.receive(message, from: bob.jid)
        return try #require(message.id)
    }
}

extension Party {
    @discardableResult
    fileprivate func react(
        _ emojis: String, to id: String, of other: Party, _ bundles: [BundleKey: OMEMO.Bundle] = [:],
        plaintext: Bool = false, key: String? = nil
    ) async throws -> Accepted {
        let request = SendRequest(
            chat: other.jid, body: emojis, clientID: key, plaintext: plaintext, reactsTo: id)
        let outbound = outbound(bundles)
        return try await write { try outbound.accept(request, mayEncrypt: true, $0) }
    }

    /// What is in the envelope of a stanza.
    fileprivate func open(_ stanza: Element, from sender: Party) async throws -> [Element] {
        let message = try stanza.encryptedMessage(.omemo2)
        let (own, address) = (own, sender.address)
        let payload = try await write { tx in
            var record =
                try tx.session(account: own.account, address, .omemo2) ?? SessionRecord(.omemo2)
            let key = try #require(message.keys.first { $0.rid == own.device })
            let decrypted = try record.decrypt(
                key.data, isKeyExchange: key.isKeyExchange, own: own.identity,
                preKeys: tx.preKeys(account: own.account))
            try tx.save(record, account: own.account, address, .omemo2)
            return try Payload.open(message, secret: decrypted.plaintext)
        }
        let content = try StanzaContent(payload)
        try content.verify(sender: sender.jid, recipient: jid)
        return content.content
    }
}

extension Element {
    fileprivate var text: String { String(decoding: xml(), as: UTF8.self) }
    /// Whether it is an encrypted message with content.
    fileprivate var encrypts: Bool {
        ProtocolVersion.allCases.contains {
            child("encrypted", in: $0.rawValue)?.child("payload", in: $0.rawValue) != nil
        }
    }
}
