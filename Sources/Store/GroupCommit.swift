// Concurrent writes share one transaction and one sync of the disk.
import Dispatch
import GRDB
import Synchronization

/// One call of `Store.write`, waiting for its turn and then for its commit.
struct Write: Sendable {
    /// Tells the caller how the commit went: nil for well.
    typealias Completion = @Sendable (StoreError?) -> Void

    /// Runs the body. What it throws belongs to this caller alone.
    let run: @Sendable (Transaction) throws -> Completion
    /// Tells the caller that nothing of the body is stored.
    let fail: @Sendable (any Error) -> Void
}

/// The writes that wait, in the order they came; and who may still use the connections.
final class WriteQueue: Sendable {
    private struct State {
        var waiting: [Write] = []
        var isDraining = false
        var isClosed = false
    }

    /// Keeps one transaction's memory and the first caller's wait bounded.
    static let groupLimit = 512

    private let state = Mutex(State())
    private let reads = DispatchGroup()

    /// - Parameter startDrain: called if nobody takes groups at the moment, before any later `close` returns.
    /// - Returns: false once closed.
    func append(_ write: Write, startDrain: () -> Void) -> Bool {
        state.withLock { state in
            guard !state.isClosed else { return false }
            state.waiting.append(write)
            if !state.isDraining {
                state.isDraining = true
                startDrain()
            }
            return true
        }
    }

    /// The next group; empty once none waits, and then the next `append` asks for a drain again.
    func take() -> [Write] {
        state.withLock { state in
            if state.waiting.count <= Self.groupLimit {
                defer { state.waiting.removeAll() }
                state.isDraining = !state.waiting.isEmpty
                return state.waiting
            }
            defer { state.waiting.removeFirst(Self.groupLimit) }
            return Array(state.waiting.prefix(Self.groupLimit))
        }
    }

    /// Runs a read unless closed. GRDB would let one that comes beside the closing run after it, on a connection
    /// that it opens for that, or on freed memory.
    /// - Throws: `.closed`, or what `body` throws.
    func read<T>(_ body: () throws -> T) throws -> T {
        let isOpen = state.withLock { state in
            if !state.isClosed { reads.enter() }
            return !state.isClosed
        }
        guard isOpen else { throw StoreError.closed }
        defer { reads.leave() }
        return try body()
    }

    /// Refuses what comes from now on and waits for the reads that are under way.
    /// - Returns: false if it was closed before.
    func close() -> Bool {
        let wasOpen = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        reads.wait()
        return wasOpen
    }
}

/// Runs groups of writes on the writer connection.
struct GroupCommit {
    let database: Database
    let sealing: Sealing
    /// Told of the highest event number after each commit that appended events.
    let onCommit: @Sendable (Int64) -> Void

    private static let begin = "BEGIN IMMEDIATE TRANSACTION"
    private static let commit = "COMMIT TRANSACTION"
    private static let savepoint = "SAVEPOINT write"
    private static let release = "RELEASE SAVEPOINT write"
    private static let undo = "ROLLBACK TRANSACTION TO SAVEPOINT write"

    /// - Returns: how many transactions were committed: 1 unless SQLite gave one up midway.
    func commit(_ group: [Write]) -> Int {
        var rest = group[...]
        var commits = 0
        while !rest.isEmpty {
            if commitPrefix(of: &rest) { commits += 1 }
        }
        return commits
    }

    /// Runs and commits all of `rest`, or as much of it as comes before a failure that undid the transaction.
    ///
    /// A body runs once: writes that such a failure undid are told so, not repeated.
    private func commitPrefix(of rest: inout ArraySlice<Write>) -> Bool {
        let scope = Transaction.Scope()
        let transaction = Transaction(database, sealing, scope: scope)
        var stored: [Write.Completion] = []
        stored.reserveCapacity(rest.count)
        do {
            try database.cachedStatement(sql: Self.begin).execute()
        } catch {
            let failure = StoreError(database: error)
            for write in rest { write.fail(failure) }
            rest = []
            return false
        }
        let isShared = rest.count > 1
        while let write = rest.popFirst() {
            let lastEventNumber = scope.lastEventNumber
            do {
                if isShared { try transaction.run(Self.savepoint) }
                let completion = try write.run(transaction)
                if let failure = scope.failure { throw failure }
                if isShared { try transaction.run(Self.release) }
                stored.append(completion)
            } catch {
                scope.failure = nil
                scope.lastEventNumber = lastEventNumber
                let othersStand = isShared && undo(in: transaction)
                if !othersStand { try? database.rollback() }
                write.fail(StoreError(error) ?? error)
                if othersStand { continue }
                for completion in stored { completion(StoreError(database: error)) }
                return false
            }
        }
        return end(scope, stored)
    }

    /// - Returns: whether the writes before this one are still part of the transaction.
    private func undo(in transaction: Transaction) -> Bool {
        guard database.isInsideTransaction else { return false }
        do {
            try transaction.run(Self.undo)
            try transaction.run(Self.release)
            return true
        } catch {
            return false
        }
    }

    private func end(_ scope: Transaction.Scope, _ stored: [Write.Completion]) -> Bool {
        do {
            try database.cachedStatement(sql: Self.commit).execute()
        } catch {
            try? database.rollback()
            for completion in stored { completion(StoreError(database: error)) }
            return false
        }
        for completion in stored { completion(nil) }
        if let number = scope.lastEventNumber { onCommit(number) }
        return true
    }
}
