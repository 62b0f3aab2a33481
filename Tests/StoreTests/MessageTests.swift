// The archive: each message once, found again, and nothing in it is ever SQL.
import Foundation
import OMEMO
import Testing
import XMPP

@testable import Store

@Suite struct MessageTests {
    @Test func `a message comes back as it was stored`() async throws {
        let test = try await TestStore()
        let encryption = MessageEncryption(
            version: .legacy, device: 2_147_483_647, fingerprint: "ab", trust: .verified)
        let stored = try await test.write { tx, account in
            var message = try incoming(account, id: "x", body: "O Romeo \u{1F339}\0 end", stanzaID: "s1")
            message.encryption = encryption
            return try tx.insertIncoming(message)
        }
        let row = try #require(stored?.id)
        let read = try await test.read { tx, _ in try tx.message(row: row) }
        #expect(read == stored)
        #expect(read?.encryption == encryption && read?.plaintext == false && read?.state == .received)
        #expect(read?.body == "O Romeo \u{1F339}\0 end")
    }

    @Test func `an archive id is stored once per account`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            try #expect(tx.insertIncoming(incoming(account, id: "a", stanzaID: "s1")) != nil)
            try #expect(tx.insertIncoming(incoming(account, id: "b", stanzaID: "s1")) == nil)
            let other = try tx.addAccount(newAccount("romeo@example.org"))
            try #expect(tx.insertIncoming(incoming(other, id: "a", stanzaID: "s1")) != nil)
        }
    }

    @Test func `a possible copy without archive id is stored once per chat, id and text`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            try #expect(tx.insertIncoming(incoming(account)) != nil)
            try #expect(tx.insertIncoming(incoming(account, mayBeCopy: true)) == nil)
            try #expect(tx.insertIncoming(incoming(account, body: "other", mayBeCopy: true)) != nil)
            try #expect(
                tx.insertIncoming(incoming(account, chat: "nurse@example.com", mayBeCopy: true)) != nil)
            try #expect(tx.insertIncoming(incoming(account, id: "m2", mayBeCopy: true)) != nil)
        }
    }

    @Test func `a copy of our own message does not hide one from the contact`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            try #expect(tx.insertIncoming(incoming(account, direction: .out)) != nil)
            try #expect(tx.insertIncoming(incoming(account, mayBeCopy: true)) != nil)
            try #expect(tx.insertIncoming(incoming(account, mayBeCopy: true, direction: .out)) == nil)
            try #expect(tx.insertIncoming(incoming(account, mayBeCopy: true)) == nil)
        }
    }

    @Test func `a live stanza that repeats id and text is another message`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            try #expect(tx.insertIncoming(incoming(account)) != nil)
            try #expect(tx.insertIncoming(incoming(account)) != nil)
        }
    }

    @Test func `texts without any id are never taken for repetitions`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            try #expect(tx.insertIncoming(incoming(account, id: "", mayBeCopy: true)) != nil)
            try #expect(tx.insertIncoming(incoming(account, id: "", mayBeCopy: true)) != nil)
        }
    }

    @Test func `the archive's copy of a live message gives it its archive id, one copy each`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let live = try #require(try tx.insertIncoming(incoming(account)))
            try #expect(tx.insertIncoming(incoming(account, stanzaID: "s1", mayBeCopy: true)) == nil)
            try #expect(tx.message(row: live.id)?.stanzaID == "s1")
            try #expect(tx.insertIncoming(incoming(account, stanzaID: "s1", mayBeCopy: true)) == nil)
            try #expect(tx.insertIncoming(incoming(account, stanzaID: "s2", mayBeCopy: true)) != nil)
        }
    }

    @Test func `an archive id that is stored is known, per account`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            _ = try tx.insertIncoming(incoming(account, stanzaID: "s1"))
            let other = try tx.addAccount(newAccount("romeo@example.org"))
            try #expect(tx.isStored(account: account, stanzaID: "s1"))
            try #expect(!tx.isStored(account: other, stanzaID: "s1"))
            try #expect(!tx.isStored(account: account, stanzaID: "s2"))
            try #expect(!tx.isStored(account: account, stanzaID: ""))
        }
    }

    @Test func `our own message that comes back gets its archive id, once`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let (chat, nurse) = (try JID(juliet), try JID("nurse@example.com"))
            let message = try tx.insertOutgoing(outgoing(account, id: "a"))
            func attach(_ stanzaID: String, _ chat: JID, _ messageID: String) throws -> Bool {
                try tx.attachStanzaID(stanzaID, account: account, chat: chat, messageID: messageID)
            }
            try #expect(!attach("s1", nurse, "a"))
            try #expect(!attach("s1", chat, "b"))
            try #expect(!attach("s1", chat, ""))
            _ = try tx.insertIncoming(incoming(account, id: "in"))
            try #expect(!attach("s1", chat, "in"), "not ours")
            try #expect(tx.message(row: message.id)?.stanzaID == nil)
            try #expect(attach("s1", JID(juliet + "/balcony"), "a"))
            try #expect(tx.message(row: message.id)?.stanzaID == "s1")
            // Sent again on a new stream, it is in the archive twice.
            try #expect(attach("s2", chat, "a"))
            try #expect(tx.message(row: message.id)?.stanzaID == "s1")
        }
    }

    @Test func `an archive id of another message is not given twice`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            _ = try tx.insertIncoming(incoming(account, stanzaID: "s1"))
            let message = try tx.insertOutgoing(outgoing(account, id: "a"))
            try #expect(tx.attachStanzaID("s1", account: account, chat: JID(juliet), messageID: "a"))
            try #expect(tx.message(row: message.id)?.stanzaID == nil)
        }
    }

    @Test func `texts of our other devices without an id are never taken for one of ours`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            _ = try tx.insertIncoming(incoming(account, id: "", direction: .out))
            try #expect(!tx.attachStanzaID("s1", account: account, chat: JID(juliet), messageID: ""))
        }
    }

    @Test func `a client id stands for one message`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let first = try tx.insertOutgoing(outgoing(account, id: "a", clientID: "job-7"))
            let second = try tx.insertOutgoing(outgoing(account, id: "b", body: "again", clientID: "job-7"))
            #expect(second == first)
            try #expect(tx.message(account: account, clientID: "job-7") == first)
            try #expect(tx.insertOutgoing(outgoing(account, id: "c", clientID: "job-8")).messageID == "c")
            try #expect(tx.insertOutgoing(outgoing(account, id: "d")).messageID == "d")
            try #expect(tx.messages(account: account, chat: JID(juliet), limit: 9).count == 3)
        }
    }

    @Test func `history is paged backwards and reads forwards`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            for number in 1...5 { _ = try tx.insertIncoming(incoming(account, id: "m\(number)")) }
            _ = try tx.insertIncoming(incoming(account, id: "x", chat: "nurse@example.com"))
            let chat = try JID(juliet)
            let newest = try tx.messages(account: account, chat: chat, limit: 2)
            #expect(newest.map(\.messageID) == ["m4", "m5"])
            let before = try tx.messages(account: account, chat: chat, before: newest[0].id, limit: 9)
            #expect(before.map(\.messageID) == ["m1", "m2", "m3"])
            try #expect(tx.hasMessages(account: account, chat: chat, before: newest[0].id))
            try #expect(!tx.hasMessages(account: account, chat: chat, before: before[0].id))
        }
    }

    @Test func `a page of history ends where its text is enough, and is never empty`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            for number in 1...4 {
                let body = String(repeating: "é", count: number)
                _ = try tx.insertIncoming(incoming(account, id: "m\(number)", body: body))
            }
            let chat = try JID(juliet)
            func page(_ bytes: Int) throws -> [String] {
                try tx.messages(account: account, chat: chat, limit: 9, bytes: bytes).map(\.messageID)
            }
            try #expect(page(1) == ["m4"])
            try #expect(page(8) == ["m4"])
            try #expect(page(9) == ["m3", "m4"])
            try #expect(page(20) == ["m1", "m2", "m3", "m4"])
        }
    }

    @Test func `who repeats an id does not hide the message that had it`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let ours = try tx.insertOutgoing(outgoing(account, id: "same"))
            _ = try tx.insertIncoming(incoming(account, id: "same"))
            try #expect(tx.message(account: account, messageID: "same") == ours)
            try #expect(tx.message(messageID: "same") == ours)
        }
    }

    static let hostile = [
        "'; DROP TABLE message; --", "a'--@x", "\" OR NEAR(", "\\", "%", "_", "NULL", "?1", ":x", "\u{0}",
        "x\u{0}y", "\u{1f}", "\u{202e}", "",
    ]

    @Test(arguments: hostile)
    func `text from outside is stored and compared literally`(_ text: String) async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            _ = try tx.insertIncoming(incoming(account, id: "decoy"))
            let message = try #require(
                try tx.insertIncoming(incoming(account, id: text, body: text, stanzaID: text)))
            try #expect(tx.message(row: message.id)?.body == text)
            try #expect(tx.message(account: account, messageID: text)?.id == message.id)
            let ours = try tx.insertOutgoing(outgoing(account, id: "o", body: text, clientID: text))
            try #expect(tx.message(account: account, clientID: text)?.id == ours.id)
            try tx.setState(ours.id, .failed, reason: text, now: 1)
            try #expect(tx.message(row: ours.id)?.reason == text)
            try tx.createConsumer(text, at: 0, filter: text, now: 1)
            try #expect(tx.consumer(text)?.filter == text)
            let item = RosterItem(try JID(juliet), name: text, groups: text.isEmpty ? [] : [text, "b"])
            try tx.applyRosterItem(item, version: text, account: account)
            try #expect(tx.roster(account: account).first?.name == text)
            try #expect(tx.account(id: account)?.rosterVersion == text)
        }
        try await #expect(
            test.read { tx, account in
                try tx.messages(account: account, chat: JID(juliet), limit: 9)
            }.count == 3)
    }

    @Test func `a JID with a quote is a JID`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            // RFC 7622 §3.3.1 forbids the apostrophe; the domain and resource parts are less strict.
            let sender = try JID("juliet@example.com/a'--@x")
            var message = try incoming(account)
            message.sender = sender
            let stored = try #require(try tx.insertIncoming(message))
            try #expect(tx.message(row: stored.id)?.sender == sender)
        }
    }

    @Test func `errors do not tell what a message says`() async throws {
        let test = try await TestStore()
        let error = await #expect(throws: StoreError.self) {
            try await test.write { tx, _ in try tx.insertIncoming(incoming(4711, body: "secret text")) }
        }
        #expect(error.map { "\($0)" }?.contains("secret") == false)
    }
}
