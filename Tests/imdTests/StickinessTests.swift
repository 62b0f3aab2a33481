// A chat that was encrypted stays so, whatever a server or a contact does (threat row 29), and what waits for a
// person's decision about devices (threat row 30).
import LocalAPI
import OMEMO
import Store
import Testing
import XMPP

@testable import imd

struct StickinessTests {
    @Test func `C29 plaintext into an encrypted chat takes a command for that chat`() async throws {
        let (alice, bob) = try await pair()
        _ = try await alice.encrypt("hello", to: bob)
        let request = SendRequest(chat: bob.jid, body: "in clear", clientID: nil, plaintext: true)
        let outbound = alice.outbound()
        await #expect(throws: UserError.self) {
            try await alice.write { try outbound.accept(request, mayEncrypt: true, $0) }
        }
        #expect(try await alice.outbox().count == 1)
        try await alice.write { [own = alice.own] in
            try $0.clearEncrypted(account: own.account, chat: bob.jid)
        }
        _ = try await alice.write { try outbound.accept(request, mayEncrypt: true, $0) }
        #expect(try await alice.outbox().count == 2)
    }

    @Test func `C29 plaintext that is tried again stays out of a chat encrypted since`() async throws {
        let (alice, bob) = try await pair()
        let request = SendRequest(chat: bob.jid, body: "in clear", clientID: "p", plaintext: true)
        let outbound = alice.outbound()
        let row = try await alice.write { try outbound.accept(request, mayEncrypt: true, $0).message.id }
        try await alice.write { _ = try $0.setState(row, .failed, reason: "bounced", now: Party.now) }
        _ = try await alice.encrypt("hello", to: bob)
        let before = try await alice.write { tx in
            #expect(try tx.requeue(row, evenIfSent: true, now: Party.now))
            try tx.setAwaitsKeys(true, message: row)
            return try tx.outbox(account: outbound.own.account, limit: 100).count
        }
        let outcome = try await alice.write {
            try outbound.encryptWaiting(in: bob.jid, $0).outcomes[row]
        }
        guard case .encryptionRequired? = outcome else {
            Issue.record("it went on")
            return
        }
        #expect(try await alice.outbox().count == before)
        await #expect(throws: UserError.self) {
            try await alice.write { try outbound.accept(request, mayEncrypt: true, $0) }
        }
    }

    @Test func `C29 plaintext that comes into an encrypted chat is marked and told`() async throws {
        let (alice, bob) = try await pair()
        let plain = try stanza("<message type='chat' id='p'><body>psst</body></message>")
        try await bob.receive(plain, from: alice.jid)
        #expect(try await bob.events(.security).isEmpty)
        try await bob.receive(try await alice.encrypt("hello", to: bob), from: alice.jid)
        try await bob.receive(plain, from: alice.jid)
        let events = try await bob.events(.security)
        #expect(events.count == 1)
        #expect(events.first?.detail?.contains("plaintext") == true)
        let messages = try await bob.events(.message).compactMap(\.message)
        #expect(messages.map(\.downgraded) == [false, false, true])
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `C29 a message whose encrypted part was taken out is no message`(_ version: ProtocolVersion)
        async throws
    {
        let (alice, bob) = try await pair()
        let stripped = try stanza(
            """
            <message type='chat' id='s'><body>This message is encrypted.</body>\
            <encryption xmlns='urn:xmpp:eme:0' namespace='\(version.rawValue)'/></message>
            """)
        try await bob.receive(stripped, from: alice.jid)
        #expect(try await bob.bodies().isEmpty)
        let events = try await bob.events(.undecryptable)
        #expect(events.count == 1)
        #expect(events.first?.detail?.contains("stripped") == true)
    }

    @Test func `C29 a device list that became empty is told`() async throws {
        let (alice, bob) = try await pair()
        try await alice.learn(.legacy, [], of: bob.jid)
        let events = try await alice.events(.security)
        #expect(events.map(\.detail).allSatisfy { $0?.contains("devices-gone") == true })
        #expect(events.count == 1)
    }

    @Test func `C30 a message for undecided devices alone is held until somebody decides`() async throws {
        let (alice, bob) = try await pair()
        try await alice.write { [own = alice.own] in
            try $0.setPolicy(.verifiedOnly, account: own.account, jid: bob.jid)
        }
        let outbound = alice.outbound([BundleKey(bob.address, .legacy): try await bob.bundle()])
        let request = SendRequest(chat: bob.jid, body: "secret", clientID: nil, plaintext: false)
        let accepted = try await alice.write { try outbound.accept(request, mayEncrypt: true, $0) }
        guard case .held(let excluded)? = accepted.outcome else {
            Issue.record("\(String(describing: accepted.outcome))")
            return
        }
        #expect(excluded.map(\.device) == [bob.own.device])
        #expect(accepted.message.state == .held)
        #expect(try await alice.outbox().isEmpty)
        #expect(try await alice.events(.device).count == 1, "somebody has to decide")
        let again = try await alice.write { try outbound.encryptWaiting(in: bob.jid, $0) }
        guard case .held? = again.outcomes[accepted.message.id] else {
            Issue.record("\(again.outcomes)")
            return
        }
        try await alice.write { [own = alice.own] tx in
            _ = try tx.setTrust(
                .verified, account: own.account, bob.address, source: .person, now: Party.now)
        }
        _ = try await alice.write { try outbound.encryptWaiting(in: bob.jid, $0) }
        try await bob.receive(try #require(try await alice.outbox().last), from: alice.jid)
        #expect(try await bob.bodies() == ["secret"])
    }

    @Test func `a message does not overtake one that was held`() async throws {
        let (alice, bob) = try await pair()
        try await alice.write { [own = alice.own] in
            try $0.setPolicy(.verifiedOnly, account: own.account, jid: bob.jid)
        }
        let outbound = alice.outbound([BundleKey(bob.address, .legacy): try await bob.bundle()])
        func send(_ body: String) async throws -> Accepted {
            let request = SendRequest(chat: bob.jid, body: body, clientID: nil, plaintext: false)
            var accepted = try await alice.write { try outbound.accept(request, mayEncrypt: true, $0) }
            if accepted.outcome == nil {
                let row = accepted.message.id
                accepted.outcome = try await alice.write {
                    try outbound.encryptWaiting(in: bob.jid, $0).outcomes[row]
                }
            }
            return accepted
        }
        for body in ["first", "second"] {
            guard case .held? = try await send(body).outcome else {
                Issue.record("\(body) is not held")
                return
            }
        }
        try await alice.write { [own = alice.own] tx in
            _ = try tx.setTrust(
                .verified, account: own.account, bob.address, source: .person, now: Party.now)
        }
        guard case .enqueued? = try await send("third").outcome else {
            Issue.record("the third is not sent")
            return
        }
        for stanza in try await alice.outbox() { try await bob.receive(stanza, from: alice.jid) }
        #expect(try await bob.bodies() == ["first", "second", "third"])
    }

    @Test func `what was accepted without a connection goes out behind what was held`() async throws {
        let (alice, bob) = try await pair()
        try await alice.write { [own = alice.own] in
            try $0.setPolicy(.verifiedOnly, account: own.account, jid: bob.jid)
        }
        let outbound = alice.outbound([BundleKey(bob.address, .legacy): try await bob.bundle()])
        for (body, mayEncrypt) in [("held", true), ("later", false)] {
            let request = SendRequest(chat: bob.jid, body: body, clientID: nil, plaintext: false)
            _ = try await alice.write { try outbound.accept(request, mayEncrypt: mayEncrypt, $0) }
        }
        try await alice.write { [own = alice.own] tx in
            _ = try tx.setTrust(
                .verified, account: own.account, bob.address, source: .person, now: Party.now)
        }
        _ = try await alice.write { try outbound.encryptWaiting(in: bob.jid, $0) }
        for stanza in try await alice.outbox() { try await bob.receive(stanza, from: alice.jid) }
        #expect(try await bob.bodies() == ["held", "later"])
    }

    @Test func `C30 a refused device cancels what was held for it`() async throws {
        let (alice, bob) = try await pair()
        try await alice.write { [own = alice.own] in
            try $0.setPolicy(.verifiedOnly, account: own.account, jid: bob.jid)
        }
        let outbound = alice.outbound([BundleKey(bob.address, .legacy): try await bob.bundle()])
        let request = SendRequest(chat: bob.jid, body: "secret", clientID: nil, plaintext: false)
        let accepted = try await alice.write { try outbound.accept(request, mayEncrypt: true, $0) }
        try await alice.write { [own = alice.own] tx in
            _ = try tx.setTrust(
                .distrusted, account: own.account, bob.address, source: .person, now: Party.now)
        }
        _ = try await alice.write { try outbound.encryptWaiting(in: bob.jid, $0) }
        let message = try await alice.write { try $0.message(row: accepted.message.id) }
        #expect(message?.state == .failed)
        #expect(try await alice.outbox().isEmpty)
    }

    private func pair() async throws -> (Party, Party) {
        let (alice, bob) = (try await Party("alice@example.org"), try await Party("bob@example.org"))
        try await alice.meet(bob)
        try await bob.befriend(alice.jid)
        return (alice, bob)
    }
}
