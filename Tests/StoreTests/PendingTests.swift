// Messages that wait or failed: listed, given up, tried again.
import Testing
import XMPP

@testable import Store

@Suite struct PendingTests {
    @Test func `what waits is listed oldest first, apart from what failed`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let other = try tx.addAccount(newAccount("romeo@example.org"))
            func add(_ id: String, _ account: Int64) throws -> Int64 {
                let row = try tx.insertOutgoing(outgoing(account, id: id)).id
                try tx.enqueue(account: account, stanza: [1], message: row, now: 1)
                return row
            }
            let (sent, queued, elsewhere) = (
                try add("a", account), try add("b", account), try add("c", other)
            )
            _ = try tx.takeOutbox(account: account, after: 0, limit: 1, now: 1)
            let waiting = try tx.insertOutgoing(outgoing(account, id: "d"))
            try tx.setAwaitsKeys(true, message: waiting.id)
            let failed = try add("e", account)
            try tx.setState(failed, .failed, reason: "x", now: 1)
            let elsewhereFailed = try add("f", other)
            try tx.setState(elsewhereFailed, .failed, reason: "x", now: 1)
            try tx.setState(add("g", account), .delivered, now: 1)
            _ = try tx.insertIncoming(incoming(account, id: "h"))
            func list(_ account: Int64?, _ failed: Bool, _ limit: Int = 99) throws -> [Int64] {
                try tx.pending(account: account, failed: failed, limit: limit).messages.map(\.id)
            }
            try #expect(list(account, false) == [sent, queued, waiting.id])
            try #expect(list(nil, false) == [sent, queued, elsewhere, waiting.id])
            try #expect(list(nil, false, 2) == [sent, queued])
            try #expect(list(account, true) == [failed])
            try #expect(list(nil, true) == [failed, elsewhereFailed])
        }
    }

    @Test(arguments: [
        // limit, bytes, how many come
        (9, 99, 3), (3, 99, 3), (2, 99, 2), (9, 31, 3), (9, 30, 3), (9, 21, 3), (9, 20, 2), (9, 11, 2),
        (9, 10, 1),
        (9, 1, 1),
    ]) func `a page ends at its limits and says whether there is more`(
        _ limit: Int, _ bytes: Int, _ count: Int
    ) async throws {
        let test = try await TestStore()
        let page = try await test.write { tx, account in
            for id in ["a", "b", "c"] {
                var message = try outgoing(account, id: id)
                message.body = String(repeating: "x", count: 10)
                try tx.setAwaitsKeys(true, message: tx.insertOutgoing(message).id)
            }
            return try tx.pending(account: account, failed: false, limit: limit, bytes: bytes)
        }
        #expect(page.messages.map(\.messageID) == Array(["a", "b", "c"].prefix(count)))
        #expect(page.more == (count < 3))
    }

    @Test func `failed messages are found by an index`() async throws {
        let test = try await TestStore()
        let plan = try await test.read { tx, _ in
            try tx.rows("EXPLAIN QUERY PLAN \(Transaction.selectFailed)", Int64(1), 1) { $0.text(3) }
        }
        #expect(plan.contains { $0.contains("messageFailed") }, "\(plan)")
    }

    @Test func `waiting messages are found without reading all the others`() async throws {
        let test = try await TestStore()
        let plan = try await test.read { tx, _ in
            try tx.rows("EXPLAIN QUERY PLAN \(Transaction.selectPending)", Int64(1), 1) { $0.text(3) }
        }
        #expect(plan.contains { $0.contains("SEARCH m USING INTEGER PRIMARY KEY") }, "\(plan)")
        #expect(
            !plan.contains { $0.hasPrefix("SCAN") && $0.contains("message") && !$0.contains("INDEX") },
            "\(plan)")
    }

    @Test func `what has not left can be given up`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let message = try tx.insertOutgoing(outgoing(account, id: "a"))
            try tx.enqueue(account: account, stanza: [1], message: message.id, now: 1)
            let waiting = try tx.insertOutgoing(outgoing(account, id: "b"))
            try tx.setAwaitsKeys(true, message: waiting.id)
            let last = try tx.lastEventNumber()
            for row in [message.id, waiting.id] {
                try #expect(tx.cancel(row, now: 5))
                try #expect(!tx.cancel(row, now: 6))
                let now = try tx.message(row: row)
                #expect(now?.state == .failed && now?.reason == "cancelled")
            }
            try #expect(tx.outbox(account: account, limit: 9).isEmpty)
            try #expect(tx.chatsWaiting(account: account).isEmpty)
            let events = try tx.events(after: last, limit: 9)
            #expect(events.map(\.at) == [5, 5])
            #expect(events.allSatisfy { $0.detail?.contains(#""reason":"cancelled""#) == true })
        }
    }

    @Test func `what may have left cannot be given up`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let message = try tx.insertOutgoing(outgoing(account, id: "a"))
            try tx.enqueue(account: account, stanza: [1], message: message.id, now: 1)
            _ = try tx.takeOutbox(account: account, after: 0, limit: 9, now: 1)
            try #expect(!tx.cancel(message.id, now: 2))
            // Back on the outbox for a new stream, it may have arrived on the old one.
            try tx.resetPositions(account: account)
            try #expect(!tx.cancel(message.id, now: 2))
            try #expect(tx.outbox(account: account, limit: 9).count == 1)
            for state in [MessageState.server, .delivered, .displayed] {
                try tx.setState(message.id, state, now: 2)
                try #expect(!tx.cancel(message.id, now: 2))
            }
            let received = try #require(try tx.insertIncoming(incoming(account, id: "in")))
            try #expect(!tx.cancel(received.id, now: 2))
            try #expect(!tx.cancel(4711, now: 2))
        }
    }

    @Test func `only what was never encrypted is queued again by itself, anything by a person`() async throws
    {
        let test = try await TestStore()
        try await test.write { tx, account in
            let waiting = try tx.insertOutgoing(outgoing(account, id: "a"))
            try tx.setAwaitsKeys(true, message: waiting.id)
            let encrypted = try tx.insertOutgoing(outgoing(account, id: "b"))
            try tx.enqueue(account: account, stanza: [1], message: encrypted.id, now: 1)
            let bounced = try tx.insertOutgoing(outgoing(account, id: "c"))
            try tx.enqueue(account: account, stanza: [2], message: bounced.id, now: 1)
            _ = try tx.takeOutbox(account: account, after: 0, limit: 9, now: 1)
            try tx.acknowledge(account: account, through: 2, now: 1)
            for message in [waiting, encrypted, bounced] {
                try #expect(!tx.requeue(message.id, evenIfSent: true, now: 2), "it did not fail")
                try #expect(tx.setState(message.id, .failed, reason: "x", now: 2))
            }
            try #expect(
                tx.outbox(account: account, limit: 9).isEmpty, "a failed message does not go out later")
            try #expect(tx.requeue(waiting.id, now: 3))
            try #expect(!tx.requeue(encrypted.id, now: 3))
            try #expect(!tx.requeue(bounced.id, now: 3))
            try #expect(tx.requeue(bounced.id, evenIfSent: true, now: 4))
            for row in [waiting.id, bounced.id] {
                let again = try tx.message(row: row)
                #expect(again?.state == .queued && again?.reason == nil)
            }
            try #expect(tx.events(after: 0, limit: 99).last?.detail?.contains(#""state":"queued""#) == true)
            let received = try #require(try tx.insertIncoming(incoming(account, id: "in")))
            try #expect(!tx.requeue(received.id, evenIfSent: true, now: 5))
        }
    }
}
