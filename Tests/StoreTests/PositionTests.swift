// Positions of stanzas on a stream: taken, acknowledged, forgotten with the stream.
import IMCrypto
import Synchronization
import Testing
import XMPP

@testable import Store

@Suite struct PositionTests {
    /// Messages `m1`, `m2`, … with a stanza each whose only byte is that number.
    @discardableResult
    private func enqueue(_ tx: Transaction, _ account: Int64, _ numbers: ClosedRange<Int>) throws -> [Int64] {
        try numbers.map { number in
            let message = try tx.insertOutgoing(outgoing(account, id: "m\(number)"))
            try tx.enqueue(account: account, stanza: [UInt8(number)], message: message.id, now: 1)
            return message.id
        }
    }

    private func stanzas(_ tx: Transaction, _ account: Int64) throws -> [UInt8] {
        try tx.outbox(account: account, limit: 99).compactMap(\.stanza.first)
    }

    @Test func `stanzas get the positions they are sent in, and their messages are sent`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let rows = try enqueue(tx, account, 1...3)
            try tx.enqueue(account: account, stanza: [99], message: nil, now: 1)
            let last = try tx.lastEventNumber()
            let first = try tx.takeOutbox(account: account, after: 0, limit: 2, now: 7)
            #expect(first.entries.map(\.position) == [1, 2] && first.entries.map(\.stanza) == [[1], [2]])
            #expect(first.moved == Array(rows[..<2]) && first.failed.isEmpty && first.damaged == 0)
            try #expect(tx.events(after: last, limit: 9).map { $0.message?.id } == rows[..<2].map { $0 })
            try #expect(tx.events(after: last, limit: 9).allSatisfy { $0.at == 7 && $0.type == "state" })
            let second = try tx.takeOutbox(account: account, after: 2, limit: 9, now: 8)
            #expect(
                second.entries.map(\.position) == [3, 4] && second.entries.map(\.message) == [rows[2], nil])
            #expect(second.moved == [rows[2]])
            try #expect(tx.message(row: rows[0])?.state == .sent)
            try #expect(tx.outbox(account: account, limit: 9).map(\.position) == [1, 2, 3, 4])
            try #expect(tx.lastPosition(account: account) == 4)
            try #expect(tx.takeOutbox(account: account, after: 4, limit: 9, now: 9).entries.isEmpty)
        }
    }

    @Test func `an acknowledgement is for the positions up to its own`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let rows = try enqueue(tx, account, 1...5)
            // Positions of a stream that has sent other things before.
            _ = try tx.takeOutbox(account: account, after: 100, limit: 4, now: 2)
            try #expect(tx.acknowledge(account: account, through: 100, now: 3).isEmpty)
            try #expect(tx.acknowledge(account: account, through: 102, now: 3) == Array(rows[..<2]))
            try #expect(stanzas(tx, account) == [3, 4, 5])
            try #expect(tx.acknowledge(account: account, through: 102, now: 3).isEmpty)
            try #expect(tx.acknowledge(account: account, through: 9999, now: 3) == Array(rows[2..<4]))
            try #expect(stanzas(tx, account) == [5], "what was not sent cannot have arrived")
            try #expect(tx.message(row: rows[4])?.state == .queued)
            try #expect(tx.lastPosition(account: account) == 0)
        }
    }

    @Test func `a new stream sends everything again in the same order, with the same bytes`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let rows = try enqueue(tx, account, 1...4)
            let first = try tx.takeOutbox(account: account, after: 0, limit: 3, now: 2)
            try tx.acknowledge(account: account, through: 1, now: 2)
            try tx.resetPositions(account: account)
            try #expect(tx.lastPosition(account: account) == 0)
            try #expect(tx.acknowledge(account: account, through: 3, now: 2).isEmpty)
            let again = try tx.takeOutbox(account: account, after: 0, limit: 9, now: 3)
            #expect(again.entries.map(\.stanza) == [[2], [3], [4]])
            #expect(again.entries.prefix(2).map(\.id) == first.entries.dropFirst().map(\.id))
            #expect(again.entries.map(\.position) == [1, 2, 3])
            #expect(again.moved == [rows[3]], "the others are sent already")
            try #expect(tx.acknowledge(account: account, through: 3, now: 4) == Array(rows[1...]))
        }
    }

    @Test func `positions are there after a restart`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            try enqueue(tx, account, 1...3)
            _ = try tx.takeOutbox(account: account, after: 40, limit: 2, now: 2)
        }
        let again = try test.reopen()
        defer { try? again.close() }
        let account = test.account
        try await again.write { tx in
            try #expect(tx.lastPosition(account: account) == 42)
            let next = try tx.takeOutbox(account: account, after: 42, limit: 9, now: 3)
            #expect(next.entries.map(\.stanza) == [[3]] && next.entries.map(\.position) == [43])
            try tx.acknowledge(account: account, through: 42, now: 3)
            try #expect(stanzas(tx, account) == [3])
        }
    }

    @Test func `a message that has arrived meanwhile does not go back`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let rows = try enqueue(tx, account, 1...2)
            try tx.setState(rows[0], .delivered, now: 2)
            try #expect(tx.takeOutbox(account: account, after: 0, limit: 9, now: 3).moved == [rows[1]])
            try #expect(tx.acknowledge(account: account, through: 2, now: 3) == [rows[1]])
            try #expect(tx.message(row: rows[0])?.state == .delivered)
        }
    }

    // MARK: Damage

    @Test(
        arguments: [
            "stanza = CAST(x'00' AS BLOB)", "stanza = x''", "message = (SELECT max(id) FROM message)",
            "message = NULL", "checksum = zeroblob(16)", "checksum = x''",
        ])
    func `a damaged stanza is not sent, its message fails, the others go out`(_ damage: String) async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let rows = try enqueue(tx, account, 1...3)
            // Neither on its way nor to be taken for the one that is lost.
            let waiting = try tx.insertOutgoing(outgoing(account, id: "w"))
            try tx.setAwaitsKeys(true, message: waiting.id)
            let arrived = try tx.insertOutgoing(outgoing(account, id: "a"))
            try tx.setState(arrived.id, .server, now: 1)
            try tx.run("UPDATE outbox SET \(damage) WHERE id = 2")
            let batch = try tx.takeOutbox(account: account, after: 0, limit: 9, now: 5)
            #expect(batch.entries.map(\.stanza) == [[1], [3]] && batch.entries.map(\.position) == [1, 2])
            #expect(batch.moved == [rows[0], rows[2]] && batch.failed == [rows[1]] && batch.damaged == 1)
            let message = try tx.message(row: rows[1])
            #expect(message?.state == .failed && message?.reason == "damaged")
            try #expect(stanzas(tx, account) == [1, 3])
            try #expect(tx.message(row: waiting.id)?.state == .queued)
            try #expect(tx.message(row: arrived.id)?.state == .server)
            let details = try tx.events(after: 0, limit: 9).compactMap(\.detail)
            #expect(details.count { $0.contains(#""state":"failed","reason":"damaged""#) } == 1)
        }
    }

    @Test func `a damaged stanza without a message is counted`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            try tx.enqueue(account: account, stanza: [1], message: nil, now: 1)
            try tx.enqueue(account: account, stanza: [2], message: nil, now: 1)
            try tx.run("UPDATE outbox SET stanza = x'03' WHERE id = 1")
            let batch = try tx.takeOutbox(account: account, after: 0, limit: 1, now: 2)
            #expect(batch.entries.isEmpty && batch.damaged == 1 && batch.failed.isEmpty)
            try #expect(
                tx.takeOutbox(account: account, after: 0, limit: 1, now: 2).entries.map(\.stanza) == [[2]])
        }
    }

    // MARK: Cost

    private func plan(_ sql: String) async throws -> [String] {
        let test = try await TestStore()
        return try await test.read { tx, _ in
            try tx.rows("EXPLAIN QUERY PLAN \(sql)", Int64(1), Int64(1)) { $0.text(3) }
        }
    }

    @Test func `what is next to send is found by an index, in order`() async throws {
        let plan = try await plan(Transaction.selectUnsent)
        #expect(plan == ["SEARCH outbox USING INDEX outboxByPosition (account=? AND position=?)"])
    }

    @Test func `what is acknowledged is found by an index`() async throws {
        let select = try await plan(Transaction.selectAcknowledged)
        let index = "INDEX outboxByPosition (account=? AND position>? AND position<?)"
        #expect(select.first == "SEARCH o USING \(index)", "\(select)")
        let delete = try await plan(Transaction.deleteAcknowledged)
        #expect(delete == ["SEARCH outbox USING COVERING \(index)"], "\(delete)")
    }

    @Test func `five hundred stanzas are taken and acknowledged in a few statements`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            for number in 0..<512 {
                let message = try tx.insertOutgoing(outgoing(account, id: "m\(number)"))
                try tx.enqueue(account: account, stanza: [1], message: message.id, now: 1)
            }
        }
        let account = test.account
        try await test.store.pool.writeWithoutTransaction { database in
            let statements = Mutex(0)
            database.trace { _ in statements.withLock { $0 += 1 } }
            let tx = Transaction(database, test.store.sealing)
            let batch = try tx.takeOutbox(account: account, after: 0, limit: 512, now: 2)
            #expect(batch.entries.count == 512 && batch.moved.count == 512)
            #expect(statements.withLock { $0 } == 5)
            try #expect(tx.acknowledge(account: account, through: 512, now: 3).count == 512)
            #expect(statements.withLock { $0 } <= 10)
            database.trace(options: [])
        }
    }
}
