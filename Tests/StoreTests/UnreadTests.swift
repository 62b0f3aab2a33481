// Which messages count as read, and the list of chats.
import Testing
import XMPP

@testable import Store

@Suite struct UnreadTests {
    private let nurse = "nurse@example.com"

    @Test func `a chat counts what came after the last message that was read`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let chat = try JID(juliet)
            func unread() throws -> [Int64] { try tx.chats(account: account).map(\.unread) }
            try #expect(unread() == [])
            let rows = try (1...3).map { try tx.insertIncoming(incoming(account, id: "m\($0)"))?.id ?? 0 }
            try #expect(unread() == [3])
            try tx.markRead(account: account, chat: JID(juliet + "/x"), through: rows[1])
            try #expect(unread() == [1])
            try tx.markRead(account: account, chat: chat, through: rows[0])
            try #expect(unread() == [1], "only forward")
            try tx.markRead(account: account, chat: chat, messageID: "m3")
            try #expect(unread() == [0])
            try #expect(!tx.isEncrypted(account: account, chat: chat))
        }
    }

    @Test func `what we sent, here or elsewhere, counts as read with what was before it`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            func unread() throws -> [Int64] { try tx.chats(account: account).map(\.unread) }
            _ = try tx.insertIncoming(incoming(account, id: "a"))
            try tx.insertOutgoing(outgoing(account, id: "b"))
            try #expect(unread() == [0])
            _ = try tx.insertIncoming(incoming(account, id: "c"))
            try #expect(unread() == [1])
            _ = try tx.insertIncoming(incoming(account, id: "d", direction: .out))
            try #expect(unread() == [0])
            try tx.markRead(account: account, chat: JID(juliet), messageID: "b")
            _ = try tx.insertIncoming(incoming(account, id: "e"))
            try #expect(unread() == [1])
        }
    }

    @Test func `chats are listed newest first, each account's own, with the contact's name`() async throws {
        let test = try await TestStore()
        let nurse = nurse
        try await test.write { tx, account in
            let other = try tx.addAccount(newAccount("romeo@example.org"))
            let tybalt = "tybalt@example.com"
            for (owner, chat) in [(account, juliet), (account, nurse), (account, juliet), (other, tybalt)] {
                _ = try tx.insertIncoming(incoming(owner, chat: chat))
            }
            let item = RosterItem(try JID(nurse), name: "Nurse")
            try tx.replaceRoster(account: account, items: [item], version: nil)
            try tx.markRead(account: other, chat: JID(juliet), through: 9)
            let chats = try tx.chats(account: account)
            #expect(chats.map(\.chat.description) == [juliet, nurse] && chats.map(\.unread) == [2, 1])
            #expect(chats.map(\.name) == [nil, "Nurse"] && chats.map(\.lastAt) == [10, 10])
            try #expect(tx.chats(account: other).map(\.chat.description) == [tybalt])
            try tx.removeAccount(account)
            try #expect(tx.chats(account: account) == [])
        }
    }

    @Test func `chats are found and counted by indices, whatever they hold`() async throws {
        let test = try await TestStore()
        let plan = try await test.read { tx, _ in
            try tx.rows("EXPLAIN QUERY PLAN \(Transaction.selectChats)", Int64(1)) { $0.text(3) }
        }
        #expect(!plan.contains { $0.hasPrefix("SCAN message") }, "\(plan)")
        let rowsRead = plan.filter { $0.hasPrefix("SEARCH message") && !$0.contains("COVERING INDEX") }
        #expect(
            rowsRead == ["SEARCH message USING INDEX messageSent (account=? AND chat=?)"], "the newest only")
        let count = "SEARCH message USING COVERING INDEX messageByChat (account=? AND chat=? AND rowid>?)"
        #expect(plan.contains(count), "\(plan)")
    }
}
