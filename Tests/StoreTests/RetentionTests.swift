// How long events stay, and what consumers are told of those that went.
import Testing
import XMPP

@testable import Store

@Suite struct RetentionTests {
    /// Events 1, 2, … with these times.
    private func append(_ tx: Transaction, _ account: Int64?, at times: [Int64]) throws {
        for time in times {
            try tx.appendEvent(
                type: "presence", account: account, chat: nil, message: nil, detail: nil, at: time)
        }
    }

    private func numbers(_ tx: Transaction) throws -> [Int64] {
        try tx.events(after: 0, limit: 999).map(\.number)
    }

    @Test func `old events go once every consumer is done with them`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            try append(tx, account, at: Array(1...10))
            try tx.createConsumer("a", at: 8, now: 1)
            try tx.createConsumer("b", at: 3, now: 1)
            try #expect(tx.prune(before: 6, limit: 100) == (3, false))
            try #expect(numbers(tx) == Array(4...10))
            try #expect(tx.droppedThrough() == 3)
            try tx.acknowledge(consumer: "b", number: 10)
            try #expect(tx.prune(before: 6, limit: 100) == (2, false), "6 is not older than 6")
            try #expect(tx.droppedThrough() == 5)
            try #expect(tx.prune(before: 6, limit: 100) == (0, false))
            try #expect(tx.prune(before: 99, limit: 100) == (3, false), "a is at 8")
            try #expect(tx.droppedThrough() == 8)
            try #expect(tx.consumers().map(\.pending) == [2, 0])
        }
    }

    @Test func `without consumers age alone decides, and the numbers go on`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            try append(tx, account, at: [1, 2, 3])
            try #expect(tx.prune(before: 99, limit: 100) == (3, false))
            try #expect(numbers(tx).isEmpty)
            try #expect(tx.droppedThrough() == 3 && tx.lastEventNumber() == 3)
            try #expect(tx.prune(before: 99, limit: 100) == (0, false))
            try append(tx, account, at: [4])
            try #expect(numbers(tx) == [4])
        }
    }

    @Test func `beyond the limit events go whoever has not seen them`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            try append(tx, account, at: Array(1...10))
            try tx.createConsumer("slow", at: 2, now: 1)
            try tx.createConsumer("fast", at: 10, now: 1)
            try #expect(tx.prune(before: 0, limit: 10) == (0, false))
            try #expect(tx.prune(before: 0, limit: 4) == (6, false))
            try #expect(numbers(tx) == [7, 8, 9, 10])
            // What the daemon tells them from: slow missed 3...6, fast nothing.
            try #expect(tx.droppedThrough() == 6)
            try #expect(tx.consumers().map(\.acknowledged) == [10, 2])
            try append(tx, account, at: [11])
            try #expect(tx.prune(before: 0, limit: 4) == (1, false))
            try #expect(tx.droppedThrough() == 7)
            try #expect(tx.prune(before: 0, limit: 0) == (4, false))
            try #expect(numbers(tx).isEmpty && tx.droppedThrough() == 11)
        }
    }

    @Test func `the order is that of the numbers, whatever the clock did`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            try append(tx, account, at: [1, 2, 900, 3, 4])
            try #expect(tx.prune(before: 100, limit: 100) == (2, false))
            try #expect(numbers(tx) == [3, 4, 5])
            try #expect(
                tx.prune(before: 100, limit: 2) == (3, false), "and behind the limit the age counts again")
        }
    }

    @Test func `one call drops no more than a batch`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            try append(tx, account, at: Array(1...10))
            try #expect(tx.prune(before: 8, limit: 100, batch: 3) == (3, true))
            try #expect(tx.droppedThrough() == 3)
            try #expect(tx.prune(before: 8, limit: 100, batch: 3) == (3, true))
            try #expect(tx.prune(before: 8, limit: 100, batch: 3) == (1, false))
            try #expect(numbers(tx) == [8, 9, 10] && tx.droppedThrough() == 7)
        }
    }

    @Test func `a message stays when its events go`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let message = try tx.insertOutgoing(outgoing(account))
            try tx.setState(message.id, .sent, now: 1)
            try #expect(tx.prune(before: 99, limit: 100) == (1, false))
            try #expect(tx.message(row: message.id)?.state == .sent)
        }
    }

    @Test func `events of a removed account leave a gap that nobody missed`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let other = try tx.addAccount(newAccount("romeo@example.org"))
            try append(tx, account, at: [1, 2])
            try append(tx, other, at: [3, 4, 5])
            try append(tx, account, at: [6, 7])
            try tx.removeAccount(other)
            try #expect(tx.prune(before: 6, limit: 100) == (2, false))
            try #expect(tx.droppedThrough() == 2)
            try #expect(numbers(tx) == [6, 7])
        }
    }

    @Test func `nothing is dropped when the transaction is undone`() async throws {
        let test = try await TestStore()
        struct Refused: Error {}
        try await test.write { tx, account in try append(tx, account, at: [1, 2, 3]) }
        await #expect(throws: Refused.self) {
            try await test.write { tx, _ in
                try tx.prune(before: 99, limit: 100)
                throw Refused()
            }
        }
        try await test.read { tx, _ in try #expect(numbers(tx) == [1, 2, 3] && tx.droppedThrough() == 0) }
    }

    @Test func `pruning reads the log in the order of its numbers`() async throws {
        let test = try await TestStore()
        let plan = try await test.read { tx, _ in
            try tx.rows(
                "EXPLAIN QUERY PLAN \(Transaction.selectKept)", 1, Int64(1), Int64(1), Int64(1)
            ) { $0.text(3) }
        }
        #expect(!plan.contains { $0.contains("TEMP B-TREE") }, "\(plan)")
    }

    @Test func `a consumer is set back and ahead, within what ever was`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            try append(tx, account, at: Array(1...10))
            try tx.createConsumer("bot", at: 10, filter: "{}", now: 4)
            let back = try tx.rewindConsumer("bot", to: 4)
            #expect(
                back?.acknowledged == 4 && back?.pending == 6 && back?.filter == "{}" && back?.createdAt == 4)
            try #expect(tx.rewindConsumer("bot", to: -1)?.acknowledged == 0)
            try #expect(tx.rewindConsumer("bot", to: 99)?.acknowledged == 10)
            try #expect(tx.rewindConsumer("bot", to: .min)?.acknowledged == 0)
            try #expect(tx.rewindConsumer("nobody", to: 1) == nil)
            try #expect(tx.consumers().map(\.name) == ["bot"])
        }
    }
}
