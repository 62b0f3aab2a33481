// Writes that share a commit: together on disk, apart in failure.
import Dispatch
import Foundation
import Synchronization
import Testing

@testable import Store

@Suite struct GroupCommitTests {
    private struct Refused: Error, Equatable {}

    /// Holds the writer while `calls` come in, then lets all of them commit.
    private func together<T: Sendable>(
        _ test: TestStore, _ calls: [@Sendable (Transaction) throws -> T]
    ) async -> (results: [Result<T, any Error>], commits: Int) {
        let gate = DispatchSemaphore(value: 0)
        let entered = DispatchSemaphore(value: 0)
        test.store.write({ _ in
            entered.signal()
            gate.wait()
        }) { _ in }
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                entered.wait()
                continuation.resume()
            }
        }
        let before = test.store.commitCount
        let done = DispatchGroup()
        let results = Mutex<[Int: Result<T, any Error>]>([:])
        for (index, call) in calls.enumerated() {
            done.enter()
            test.store.write(call) { result in
                results.withLock { $0[index] = result }
                done.leave()
            }
        }
        gate.signal()
        await withCheckedContinuation { continuation in
            done.notify(queue: .global()) { continuation.resume() }
        }
        let all = results.withLock { results in calls.indices.compactMap { results[$0] } }
        // The writer counts after telling the callers; a write behind them waits for that.
        _ = try? await test.store.write { _ in }
        return (all, test.store.commitCount - before - 2)
    }

    @Test func `a hundred waiting writes are one commit`() async throws {
        let test = try await TestStore()
        let account = test.account
        let (results, commits) = await together(
            test, (0..<100).map { number in { try event(number, account, $0) } })
        #expect(commits == 1)
        let numbers = try results.map { try $0.get() }
        #expect(
            numbers == numbers.sorted() && Set(numbers).count == 100, "bodies run in the order of the calls")
        try await #expect(test.read { tx, _ in try tx.events(after: 0, limit: 1000).count } == 100)
        #expect(test.numbers.all == numbers.suffix(1), "told once, of the last event")
    }

    @Test func `more writers than one group are all served`() async throws {
        let test = try await TestStore()
        let account = test.account
        let (results, commits) = await together(
            test, (0..<1200).map { number in { try event(number, account, $0) } })
        #expect(commits == 3)
        #expect(Set(try results.map { try $0.get() }).count == 1200)
    }

    @Test func `a throwing body takes only its own rows back`() async throws {
        let test = try await TestStore()
        let account = test.account
        let (results, commits) = await together(
            test,
            (0..<9).map { number in
                { tx in
                    let event = try event(number, account, tx)
                    if number % 3 == 1 { throw Refused() }
                    return event
                }
            })
        #expect(commits == 1)
        for (number, result) in results.enumerated() {
            if number % 3 == 1 {
                #expect(throws: Refused.self) { try result.get() }
            } else {
                #expect(throws: Never.self) { try result.get() }
            }
        }
        let stored = try await test.read { tx, _ in try tx.events(after: 0, limit: 100).map(\.at) }
        #expect(stored == [0, 2, 3, 5, 6, 8])
    }

    @Test func `a body that swallows a refused row keeps the rest`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            _ = try? tx.createConsumer("a", at: 0, now: 1)
            _ = try? tx.createConsumer("a", at: 0, now: 2)
            try tx.appendEvent(type: "error", account: account, chat: nil, message: nil, detail: nil, at: 3)
        }
        try await #expect(test.read { tx, _ in try tx.consumers().map(\.createdAt) } == [1])
        try await #expect(test.read { tx, _ in try tx.events(after: 0, limit: 9).count } == 1)
    }

    @Test func `a lone throwing body leaves nothing`() async throws {
        let test = try await TestStore()
        await #expect(throws: Refused.self) {
            try await test.write { tx, account in
                _ = try event(1, account, tx)
                throw Refused()
            }
        }
        try await #expect(test.read { tx, _ in try tx.events(after: 0, limit: 9).isEmpty })
        #expect(test.numbers.all.isEmpty)
    }

    @Test func `concurrent tasks commit less often than they write`() async throws {
        let test = try await TestStore()
        let before = test.store.commitCount
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for number in 0..<300 {
                tasks.addTask { try await test.write { tx, account in _ = try event(number, account, tx) } }
            }
            try await tasks.waitForAll()
        }
        #expect(test.store.commitCount - before < 300)
        try await #expect(test.read { tx, _ in try tx.events(after: 0, limit: 999).count } == 300)
    }

    @Test func `on a full disk nothing is stored, and writing goes on once there is space`() async throws {
        let test = try await TestStore()
        let account = test.account
        try test.store.limitPages(to: 60)
        let big = String(repeating: "x", count: 40_000)
        var failures = 0
        for number in 0..<20 {
            do {
                _ = try await test.write { tx, account in
                    try tx.appendEvent(
                        type: "error", account: account, chat: nil, message: nil, detail: big,
                        at: Int64(number))
                }
            } catch {
                #expect(error as? StoreError == .full)
                failures += 1
            }
        }
        #expect(failures > 0)
        try await #expect(test.read { tx, _ in try tx.events(after: 0, limit: 99).count } == 20 - failures)
        try test.store.limitPages(to: 0)
        let (results, _) = await together(
            test, (0..<5).map { number in { try event(number, account, $0) } })
        try #expect(results.map { try $0.get() }.count == 5)
    }

    @Test func `a body that swallows a full disk does not count as stored`() async throws {
        let test = try await TestStore()
        try test.store.limitPages(to: 60)
        await #expect(throws: StoreError.full) {
            try await test.write { tx, account in
                let big = String(repeating: "x", count: 1_000_000)
                _ = try? tx.appendEvent(
                    type: "error", account: account, chat: nil, message: nil, detail: big, at: 1)
                _ = try? tx.createConsumer("a", at: 0, now: 1)
            }
        }
        try await #expect(test.read { tx, _ in try tx.consumers().isEmpty })
    }
}

@discardableResult
private func event(_ number: Int, _ account: Int64, _ tx: Transaction) throws -> Int64 {
    try tx.appendEvent(
        type: "presence", account: account, chat: nil, message: nil, detail: nil, at: Int64(number))
}
