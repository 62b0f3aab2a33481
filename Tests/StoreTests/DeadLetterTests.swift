// Events that consumers failed at.
import Foundation
import Testing

@testable import Store

@Suite struct DeadLetterTests {
    private func letter(
        _ number: Int64, of consumer: String = "bot", account: Int64? = nil, attempts: Int64 = 1,
        reason: String = "exit status 3", retryAt: Int64? = nil
    ) -> DeadLetter {
        DeadLetter(
            consumer: consumer, number: number, account: account, attempts: attempts, reason: reason,
            at: 100, retryAt: retryAt, event: "{\"number\":\(number)}")
    }

    private func store() async throws -> TestStore {
        let test = try await TestStore()
        try await test.write { tx, _ in
            try tx.createConsumer("bot", at: 0, now: 1)
            try tx.createConsumer("other", at: 0, now: 1)
        }
        return test
    }

    @Test func `an event is kept once for each consumer, as it failed the last time`() async throws {
        let test = try await store()
        try await test.write { tx, account in
            try tx.put(letter(7, account: account))
            try tx.put(letter(7, of: "other"))
            var again = letter(7, attempts: 3, reason: "time limit", retryAt: 900)
            again.event = "another"
            try tx.put(again)
        }
        try await test.read { tx, account in
            let all = try tx.deadLetters(of: nil, limit: 9)
            #expect(all.map(\.consumer) == ["bot", "other"])
            #expect(
                all.first
                    == letter(7, account: account, attempts: 3, reason: "time limit", retryAt: 900))
            try #expect(tx.deadLetters(of: "other", limit: 9).map(\.number) == [7])
            try #expect(tx.deadLetter(of: "bot", number: 7)?.attempts == 3)
            try #expect(tx.deadLetter(of: "bot", number: 8) == nil)
        }
    }

    @Test func `they are listed in the order of the events, and can be removed`() async throws {
        let test = try await store()
        try await test.write { tx, _ in for number: Int64 in [3, 1, 2] { try tx.put(letter(number)) } }
        try await #expect(
            test.read { tx, _ in try tx.deadLetters(of: "bot", limit: 2).map(\.number) } == [1, 2])
        try await #expect(test.write { tx, _ in try tx.removeDeadLetter(of: "bot", number: 1) })
        try await #expect(test.write { tx, _ in try tx.removeDeadLetter(of: "bot", number: 1) } == false)
    }

    @Test func `they go with their consumer, and with their account`() async throws {
        let test = try await store()
        try await test.write { tx, account in
            try tx.put(letter(1, account: account))
            try tx.put(letter(2))
            try tx.put(letter(1, of: "other"))
            try tx.removeConsumer("other")
            try #expect(tx.deadLetters(of: nil, limit: 9).map(\.number) == [1, 2])
            try tx.removeAccount(account)
            try #expect(tx.deadLetters(of: nil, limit: 9).map(\.number) == [2])
        }
        await #expect(throws: StoreError.self) {
            try await test.write { tx, _ in try tx.put(letter(1, of: "nobody")) }
        }
    }

    @Test func `what is due is given in the order of the events, besides what is being tried`() async throws {
        let test = try await store()
        try await test.write { tx, _ in
            try tx.put(letter(1))
            try tx.put(letter(2, retryAt: 500))
            try tx.put(letter(3, retryAt: 300))
            try tx.put(letter(4, retryAt: 900))
            try tx.put(letter(5, of: "other", retryAt: 1))
        }
        try await test.read { tx, _ in
            func due(_ now: Int64, horizon: Int64 = 10_000, _ running: [Int64] = []) throws -> [Int64] {
                try tx.dueLetters(of: "bot", now: now, horizon: horizon, besides: running, limit: 9)
                    .map(\.number)
            }
            try #expect(due(299) == [])
            try #expect(due(500) == [2, 3])
            try #expect(due(900, [3]) == [2, 4])
            try #expect(due(1, horizon: 600) == [4])
            try #expect(tx.waitingLetters(of: "bot", besides: []) == (3, 300))
            try #expect(tx.waitingLetters(of: "bot", besides: [3]) == (2, 500))
            try #expect(tx.waitingLetters(of: "nobody", besides: []) == (0, nil))
        }
    }

    @Test func `what nobody tries again can be had again, from its first attempt`() async throws {
        let test = try await store()
        try await test.write { tx, _ in
            try tx.put(letter(1, attempts: 5))
            try tx.put(letter(2, attempts: 2, retryAt: 900))
            try #expect(tx.reviveLetters(of: "bot", now: 50) == 1)
            let letters = try tx.deadLetters(of: "bot", limit: 9)
            #expect(letters.map(\.attempts) == [0, 2] && letters.map(\.retryAt) == [50, 900])
        }
    }

    @Test func `the oldest of ten thousand make room`() async throws {
        let test = try await store()
        try await test.write { tx, _ in
            try tx.put(letter(0, retryAt: 1))
            try tx.put(letter(1, of: "other"))
            for number in 1...Int64(Transaction.deadLetterLimit) + 2 { try tx.put(letter(number)) }
            let letters = try tx.deadLetters(of: "bot", limit: 20_000)
            #expect(letters.map(\.number).prefix(3) == [0, 3, 4])
            #expect(letters.count == Transaction.deadLetterLimit + 1)
            try #expect(tx.deadLetters(of: "other", limit: 9).count == 1)
        }
    }
}
