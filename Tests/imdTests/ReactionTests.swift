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
        let text = SendRequest(chat: bob.jid, body: "👍", clientID: "k", plaintext: false)
        let outbound = alice.outbound()
        await #expect(throws: UserError.self) {
            try await alice.write { try outbound.accept(text, mayEncrypt: true, $0) }
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
}
