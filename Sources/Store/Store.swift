// Opens the one database, runs transactions on it, closes it.
import GRDB
public import IMCrypto
import Synchronization

/// Everything imd keeps: accounts, keys, messages, what waits to be sent, the event log.
///
/// One SQLite file in WAL mode with `synchronous=FULL`: what `write` returned survives power loss.
/// Thread-safe. Nothing runs while nothing is written or read.
public final class Store: Sendable {
    let pool: DatabasePool
    private let queue = WriteQueue()
    private let onCommit: @Sendable (Int64) -> Void
    private let commits = Atomic<Int>(0)
    let checks = Checks()
    let sealing: Sealing

    init(pool: DatabasePool, sealing: Sealing, onCommit: @escaping @Sendable (Int64) -> Void) {
        self.pool = pool
        self.sealing = sealing
        self.onCommit = onCommit
    }

    /// Opens the database, creating file and folder when missing, and brings its schema up to date.
    ///
    /// - Parameters:
    ///   - path: of the file. File 0600 in a folder 0700, both the user's own; SQLite keeps `-wal` and `-shm`
    ///     files beside it.
    ///   - unlock: gives the key under which the database keeps its own.
    ///   - onCommit: called after each commit that appended events, with the highest event number, on the
    ///     writer's queue: return at once and do not wait for the store.
    /// - Throws: `.newer`, `.corrupt`, `.permissions`, `.full`, `.readOnly`, `.busy`, `.io`, `.locked`, and what
    ///   `unlock` throws. A refused file is left as it was.
    public static func open(
        at path: String, unlock: Unlock,
        onCommit: @escaping @Sendable (_ lastEventNumber: Int64) -> Void = { _ in }
    ) throws -> Store {
        let isNew = try DatabaseFile.prepare(path)
        if !isNew { try DatabaseFile.examine(path, migrator: Migrations.migrator()) }
        do {
            let key = try key(of: path, isNew: isNew, unlock)
            let pool = try DatabasePool(path: path, configuration: configuration)
            try pool.writeWithoutTransaction { database in
                // GRDB sets NORMAL whenever it opens a pool, which may lose commits at power loss.
                try database.execute(sql: "PRAGMA synchronous = FULL")
            }
            try Migrations.migrator(key).migrate(pool)
            try sweep(pool)
            let store = Store(pool: pool, sealing: key.sealing, onCommit: onCommit)
            guard try store.settings() == .required else {
                throw StoreError.io("could not set synchronous, journal_mode or foreign_keys")
            }
            try DatabaseFile.checkCompanions(of: path)
            return store
        } catch {
            throw StoreError(error) ?? error
        }
    }

    /// Before the file is opened for writing, which changes it: GRDB makes a table and drops it again.
    private static func key(of path: String, isNew: Bool, _ unlock: Unlock) throws -> WrappedKey {
        guard !isNew else { return try WrappedKey.unlock(nil, unlock) }
        var configuration = Configuration.common
        configuration.readonly = true
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        defer { try? queue.close() }
        return try queue.read { database in
            let key = try WrappedKey.unlock(database, unlock)
            // Without its accounts imd does not run.
            if try Int.fetchOne(database, sql: "PRAGMA user_version") == Migrations.all.count {
                _ = try Transaction(database, key.sealing).accounts()
            }
            return key
        }
    }

    /// What was in clear before it was sealed is still in the file's free places, until all of it is written anew.
    private static func sweep(_ pool: DatabasePool) throws {
        try pool.writeWithoutTransaction { database in
            guard try Int.fetchOne(database, sql: "SELECT swept FROM sealing") == 0 else { return }
            try database.execute(sql: "VACUUM")
            try database.execute(sql: "UPDATE sealing SET swept = 1")
            try database.checkpoint(.truncate)
        }
    }

    private static var configuration: Configuration {
        var configuration = Configuration.common
        configuration.label = "imd.store"
        configuration.maximumReaderCount = 2
        configuration.prepareDatabase { database in
            // In KiB. A log that keeps its size is overwritten in place, which syncs faster than growing.
            try database.execute(
                sql: """
                    PRAGMA cache_size = \(database.configuration.readonly ? -512 : -2048);
                    PRAGMA journal_size_limit = 16777216;
                    PRAGMA temp_store = MEMORY;
                    PRAGMA secure_delete = FAST;
                    """)
        }
        return configuration
    }

    /// Runs `body` inside a write transaction and returns its result once that is on disk.
    ///
    /// Calls that come while another commit is under way share the next one; each body has its own savepoint.
    /// Bodies run one at a time, in the order of the calls, each exactly once; cancelling the task does not
    /// stop them.
    ///
    /// - Throws: what `body` throws, or `StoreError`. Either way nothing of the body is stored; other calls
    ///   are not affected, unless the disk failed under all of them.
    public nonisolated(nonsending) func write<T: Sendable>(
        _ body: @escaping @Sendable (Transaction) throws -> T
    ) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            write(body) { continuation.resume(with: $0) }
        }
    }

    /// As `write`, for callers that are not asynchronous: returns at once, in the order of the calls, and
    /// tells `completion` the result after the commit, on the writer's queue.
    public func write<T: Sendable>(
        _ body: @escaping @Sendable (Transaction) throws -> T,
        completion: @escaping @Sendable (Result<T, any Error>) -> Void
    ) {
        let write = Write(
            run: { transaction in
                let value = try body(transaction)
                return { failure in completion(failure.map { .failure($0) } ?? .success(value)) }
            }, fail: { completion(.failure($0)) })
        let isAccepted = queue.append(write) { pool.asyncWriteWithoutTransaction { self.drain($0) } }
        if !isAccepted { completion(.failure(StoreError.closed)) }
    }

    private func drain(_ database: Database) {
        let commit = GroupCommit(database: database, sealing: sealing, onCommit: onCommit)
        while true {
            let group = queue.take()
            if group.isEmpty { return }
            commits.add(commit.commit(group), ordering: .relaxed)
        }
    }

    /// Runs `body` on one unchanging snapshot of the database, at the same time as writes and one other read.
    ///
    /// It runs on the calling task's thread: a short read takes less time than changing threads would.
    ///
    /// - Throws: what `body` throws, or `StoreError`.
    public func read<T: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> T) async throws -> T {
        do {
            return try queue.read { try readHere(body) }
        } catch {
            throw StoreError(error) ?? error
        }
    }

    private func readHere<T>(_ body: (Transaction) throws -> T) throws -> T {
        try pool.unsafeRead { database in
            let transaction = Transaction(database, sealing)
            try transaction.run("BEGIN DEFERRED TRANSACTION")
            defer { if database.isInsideTransaction { try? database.rollback() } }
            let value = try body(transaction)
            try transaction.run("COMMIT TRANSACTION")
            return value
        }
    }

    /// Finishes the reads and writes that were asked for, ends checks and closes the file. Later calls throw
    /// `.closed`. Not to be called by the body of a read or write.
    public func close() throws(StoreError) {
        guard queue.close() else { return }
        checks.stop()
        do {
            // So that the one file is complete for whoever copies it: the pool closes its readers last, and
            // they cannot do that. What stays in the log for want of space is not lost.
            pool.writeWithoutTransaction { _ = try? $0.checkpoint(.truncate) }
            try pool.close()
        } catch {
            throw StoreError(database: error)
        }
    }
}

extension Store {
    /// What the durability promise rests on.
    struct Settings: Equatable {
        /// 2 is FULL.
        var synchronous: Int
        var journalMode: String
        var foreignKeys: Bool

        static let required = Settings(synchronous: 2, journalMode: "wal", foreignKeys: true)
    }

    /// Read back from the writer connection.
    func settings() throws -> Settings {
        try pool.writeWithoutTransaction { database in
            Settings(
                synchronous: try Int.fetchOne(database, sql: "PRAGMA synchronous") ?? -1,
                journalMode: try String.fetchOne(database, sql: "PRAGMA journal_mode") ?? "",
                foreignKeys: try Bool.fetchOne(database, sql: "PRAGMA foreign_keys") ?? false)
        }
    }

    /// How many transactions were committed by `write` since the store was opened.
    var commitCount: Int { commits.load(ordering: .relaxed) }

    /// The database may not grow beyond this many pages: a full disk for tests. 0 lifts the limit.
    func limitPages(to count: Int) throws {
        let limit = count == 0 ? 1_073_741_823 : count
        try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA max_page_count = \(limit)") }
    }
}
