// Looks at every row for damage, beside the daemon's work.
import Dispatch
import GRDB
import Synchronization

extension Store {
    /// Examines the whole file: SQLite's own structures, references between rows, and the checksum of every
    /// row that has one. Takes seconds where there are a million messages; neither the writer nor other reads
    /// wait for it.
    ///
    /// - Returns: what is damaged, by table and key, a line each and no more than a hundred; empty if nothing
    ///   is.
    /// - Throws: `.closed` if the store is closed meanwhile, or what kept it from reading.
    public func check() async throws -> [String] {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global(qos: .utility).async {
                continuation.resume(with: Result { try self.checkHere() })
            }
        }
    }

    private func checkHere() throws -> [String] {
        var configuration = Configuration.common
        configuration.label = "imd.check"
        configuration.readonly = true
        configuration.prepareDatabase { try $0.execute(sql: "PRAGMA cache_size = -1024") }
        do {
            let queue = try DatabaseQueue(path: pool.path, configuration: configuration)
            try checks.begin(queue)
            defer {
                try? queue.close()
                checks.end(queue)
            }
            var examination = Examination(of: queue, checks, sealing)
            return try examination.run()
        } catch {
            throw checks.isStopped ? .closed : StoreError(database: error)
        }
    }
}

/// The checks that are under way: closing the store does not wait for their end.
final class Checks: Sendable {
    private struct State {
        var queues: [ObjectIdentifier: DatabaseQueue] = [:]
        var isStopped = false
    }

    private let state = Mutex(State())
    private let running = DispatchGroup()

    var isStopped: Bool { state.withLock { $0.isStopped } }

    func begin(_ queue: DatabaseQueue) throws(StoreError) {
        let isOpen = state.withLock { state in
            if !state.isStopped {
                state.queues[ObjectIdentifier(queue)] = queue
                running.enter()
            }
            return !state.isStopped
        }
        guard isOpen else { throw .closed }
    }

    func end(_ queue: DatabaseQueue) {
        _ = state.withLock { $0.queues.removeValue(forKey: ObjectIdentifier(queue)) }
        running.leave()
    }

    /// Ends all of them, and waits for that.
    func stop() {
        state.withLock { $0.isStopped = true }
        // An interruption between two statements has no effect.
        repeat {
            for queue in state.withLock({ Array($0.queues.values) }) { queue.interrupt() }
        } while running.wait(timeout: .now() + .milliseconds(5)) == .timedOut
    }
}
