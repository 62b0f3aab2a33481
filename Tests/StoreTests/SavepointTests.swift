// Parts of a transaction that are undone alone.
import OMEMO
import Testing
import XMPP

@testable import Store

@Suite struct SavepointTests {
    private struct Refused: Error, Equatable {}

    private func append(_ tx: Transaction, _ account: Int64, at time: Int64) throws -> Int64 {
        try tx.appendEvent(type: "presence", account: account, chat: nil, message: nil, detail: nil, at: time)
    }

    @Test func `what a part did is undone, the rest is stored`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            _ = try append(tx, account, at: 1)
            #expect(throws: Refused.self) {
                try tx.savepoint {
                    _ = try append(tx, account, at: 2)
                    throw Refused()
                }
            }
            try #expect(tx.savepoint { try append(tx, account, at: 3) } == 2, "the number was not used")
        }
        try await #expect(test.read { tx, _ in try tx.events(after: 0, limit: 9).map(\.at) } == [1, 3])
        #expect(test.numbers.all.last == 2)
    }

    @Test func `nobody is told of events that were undone`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            try? tx.savepoint {
                _ = try append(tx, account, at: 2)
                throw Refused()
            }
        }
        #expect(test.numbers.all.isEmpty)
    }

    @Test func `parts lie within parts`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            try tx.savepoint {
                _ = try append(tx, account, at: 1)
                try? tx.savepoint {
                    _ = try append(tx, account, at: 2)
                    throw Refused()
                }
                _ = try append(tx, account, at: 3)
            }
        }
        try await #expect(test.read { tx, _ in try tx.events(after: 0, limit: 9).map(\.at) } == [1, 3])
    }

    @Test func `a damaged row ends the part, not the transaction`() async throws {
        let test = try await TestStore()
        let record = try sessionRecord()
        try await test.write { tx, account in
            let address = DeviceAddress(jid: try JID(juliet), device: 1)
            try tx.save(record, account: account, address, .legacy)
            try tx.run("UPDATE session SET record = zeroblob(5)")
            #expect(throws: StoreError.self) {
                try tx.savepoint {
                    _ = try append(tx, account, at: 1)
                    _ = try tx.session(account: account, address, .legacy)
                }
            }
            _ = try append(tx, account, at: 2)
        }
        try await #expect(test.read { tx, _ in try tx.events(after: 0, limit: 9).map(\.at) } == [2])
    }

    @Test func `a full disk ends the transaction`() async throws {
        let test = try await TestStore()
        try test.store.limitPages(to: 1)
        await #expect(throws: StoreError.full) {
            try await test.write { tx, account in
                try? tx.savepoint {
                    for number in 0..<9999 { _ = try append(tx, account, at: Int64(number)) }
                }
            }
        }
        try test.store.limitPages(to: 0)
        try await #expect(test.read { tx, _ in try tx.events(after: 0, limit: 9).isEmpty })
        try await #expect(test.write { tx, account in try append(tx, account, at: 1) } == 1)
    }
}
