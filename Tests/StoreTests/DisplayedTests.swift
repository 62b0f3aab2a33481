// Chat markers (XEP-0333): what a contact has seen, and what we tell it.
import Testing
import XMPP

@testable import Store

@Suite struct DisplayedTests {
    @Test func `a marker is for the message and those before it in the chat`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let chat = try JID(juliet)
            func add(_ id: String, _ state: MessageState?, chat: String = juliet) throws -> Int64 {
                let row = try tx.insertOutgoing(outgoing(account, id: id, chat: chat)).id
                if let state { try tx.setState(row, state, now: 1) }
                return row
            }
            let (sent, server) = (try add("a", .sent), try add("b", .server))
            let (delivered, queued) = (try add("c", .delivered), try add("d", nil))
            let (failed, elsewhere) = (
                try add("e", .failed), try add("f", .server, chat: "nurse@example.com")
            )
            let (marked, later) = (try add("g", .delivered), try add("h", .delivered))
            let last = try tx.lastEventNumber()
            let moved = try tx.markDisplayed(
                account: account, chat: JID(juliet + "/x"), messageID: "g", now: 9)
            #expect(moved == [sent, server, delivered, marked])
            let events = try tx.events(after: last, limit: 9)
            #expect(events.map { $0.message?.id } == moved.map { $0 } && events.allSatisfy { $0.at == 9 })
            #expect(events.allSatisfy { $0.detail?.contains(#""state":"displayed""#) == true })
            try #expect(tx.message(row: queued)?.state == .queued)
            try #expect(tx.message(row: failed)?.state == .failed)
            try #expect(tx.message(row: elsewhere)?.state == .server)
            try #expect(tx.message(row: later)?.state == .delivered)
            try #expect(tx.markDisplayed(account: account, chat: chat, messageID: "g", now: 10).isEmpty)
            try #expect(tx.markDisplayed(account: account, chat: chat, messageID: "a", now: 10).isEmpty)
            try #expect(tx.markDisplayed(account: account, chat: chat, messageID: "h", now: 10) == [later])
            try #expect(!tx.setState(later, .delivered, now: 11), "only forward")
        }
    }

    @Test func `nobody marks messages of another chat, account or direction`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let chat = try JID(juliet)
            let other = try tx.addAccount(newAccount("romeo@example.org"))
            let message = try tx.insertOutgoing(outgoing(account, id: "a"))
            try tx.setState(message.id, .server, now: 1)
            _ = try tx.insertIncoming(incoming(account, id: "in"))
            let nurse = try JID("nurse@example.com")
            try #expect(tx.markDisplayed(account: account, chat: nurse, messageID: "a", now: 2).isEmpty)
            try #expect(tx.markDisplayed(account: other, chat: chat, messageID: "a", now: 2).isEmpty)
            try #expect(tx.markDisplayed(account: account, chat: chat, messageID: "in", now: 2).isEmpty)
            try #expect(tx.markDisplayed(account: account, chat: chat, messageID: "none", now: 2).isEmpty)
            try #expect(tx.message(row: message.id)?.state == .server)
        }
    }

    @Test func `one marker moves a thousand messages, the newest`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            for number in 1...1003 {
                let row = try tx.insertOutgoing(outgoing(account, id: "m\(number)")).id
                try tx.setState(row, .server, now: 1)
            }
            let chat = try JID(juliet)
            let moved = try tx.markDisplayed(account: account, chat: chat, messageID: "m1003", now: 2)
            #expect(moved == Array(4...1003))
            try #expect(
                tx.markDisplayed(account: account, chat: chat, messageID: "m1003", now: 2) == [1, 2, 3])
        }
    }

    @Test func `markers and receipts say nothing of reactions`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            var reaction = try outgoing(account, id: "r1")
            reaction.reactsTo = "i1"
            for message in [reaction, try outgoing(account, id: "m1")] {
                try tx.setState(try tx.insertOutgoing(message).id, .server, now: 1)
            }
            let moved = try tx.markDisplayed(account: account, chat: JID(juliet), messageID: "m1", now: 2)
            #expect(moved == [2])
            try #expect(
                tx.markDelivered(account: account, chat: JID(juliet), messageID: "r1", now: 3) == nil)
            try #expect(tx.markDisplayed(account: account, chat: JID(juliet), messageID: "r1", now: 3) == [])
            try #expect(tx.message(row: 1)?.state == .server)
        }
    }

    @Test func `a message of a chat is found by an index of ids`() async throws {
        let test = try await TestStore()
        let plan = try await test.read { tx, _ in
            try tx.rows("EXPLAIN QUERY PLAN \(Transaction.selectOfChat)", Int64(1), "m1", juliet) {
                $0.text(3)
            }
        }
        #expect(
            plan.count == 1 && plan[0].contains("INDEX messageByMessageID (account=? AND messageID=?)"),
            "\(plan)")
    }

    @Test func `what a marker moves is found by an index`() async throws {
        let test = try await TestStore()
        let plan = try await test.read { tx, _ in
            try tx.rows(
                "EXPLAIN QUERY PLAN \(Transaction.selectUndisplayed)", Int64(1), juliet, Int64(1)
            ) { $0.text(3) }
        }
        let index = "INDEX messageUndisplayed (account=? AND chat=? AND rowid<?)"
        #expect(plan.count == 1 && plan[0].contains(index), "\(plan)")
    }

    @Test func `a message that asks for a marker says so`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let chat = try JID(juliet)
            try #expect(tx.lastIncoming(account: account, chat: chat) == nil)
            var message = try incoming(account, id: "a")
            message.markable = true
            let first = try tx.insertIncoming(message)
            #expect(first?.markable == true)
            try #expect(tx.lastIncoming(account: account, chat: chat) == first)
            let second = try tx.insertIncoming(incoming(account, id: "b"))
            _ = try tx.insertIncoming(incoming(account, id: "c", direction: .out))
            try tx.insertOutgoing(outgoing(account, id: "d"))
            _ = try tx.insertIncoming(incoming(account, id: "e", chat: "nurse@example.com"))
            let last = try tx.lastIncoming(account: account, chat: JID(juliet + "/balcony"))
            #expect(last == second && last?.markable == false)
        }
    }
}
