// The file on disk: who may touch it, and whether it is imd's and whole, before SQLite may change it.
import Dispatch
import GRDB
import Glibc
import Synchronization

enum DatabaseFile {
    /// Makes sure that folder and file are there and nobody else's.
    ///
    /// The file is created here with mode 0600; SQLite gives `-wal` and `-shm` the same mode.
    ///
    /// - Returns: whether the file is new or empty.
    static func prepare(_ path: String) throws(StoreError) -> Bool {
        let folder = folder(of: path)
        try createFolder(folder)
        try check(folder, kind: S_IFDIR, followingLinks: true, advice: "chmod 700")
        try checkCompanions(of: path)
        // Closing a descriptor drops the process's locks on the file: done before SQLite takes any.
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
        guard descriptor >= 0 else { throw failure(path) }
        defer { Glibc.close(descriptor) }
        try check(path, kind: S_IFREG, followingLinks: false, advice: "chmod 600")
        var start = [UInt8](repeating: 0, count: 16)
        let count = pread(descriptor, &start, start.count, 0)
        guard count >= 0 else { throw failure(path) }
        if count == 0 {
            sync(folder)
            return true
        }
        guard count == 16, start == Array("SQLite format 3\0".utf8) else {
            throw .corrupt("\(path) is not an SQLite database")
        }
        return false
    }

    /// The `-wal` and `-shm` files, where they exist.
    static func checkCompanions(of path: String) throws(StoreError) {
        for companion in [path + "-wal", path + "-shm"] where access(companion, F_OK) == 0 {
            try check(companion, kind: S_IFREG, followingLinks: false, advice: "chmod 600")
        }
    }

    /// Reads an existing database without changing it.
    /// - Throws: `.newer`, `.corrupt`, or what reading it met.
    static func examine(_ path: String, migrator: DatabaseMigrator) throws(StoreError) {
        var configuration = Configuration.common
        configuration.readonly = true
        do {
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            defer { try? queue.close() }
            try queue.read { database in
                let application = try Int.fetchOne(database, sql: "PRAGMA application_id") ?? 0
                let found = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
                let tables = try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master") ?? 0
                guard tables == 0 || application == Migrations.applicationID else {
                    throw StoreError.corrupt("\(path) is a database of another program")
                }
                if try migrator.hasBeenSuperseded(database) || found > Migrations.all.count {
                    throw StoreError.newer(found: found, supported: Migrations.all.count)
                }
            }
            if let damage = try quickCheck(queue) { throw StoreError.corrupt(damage) }
        } catch {
            throw StoreError(database: error)
        }
    }

    /// Looks for damaged pages for at most a tenth of a second: a start must not wait for a large database.
    /// - Returns: what is damaged; nil if nothing is, or time was up.
    private static func quickCheck(_ queue: DatabaseQueue) throws -> String? {
        let alarm = Alarm(queue)
        DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(100)) { alarm.ring() }
        defer { alarm.stop() }
        do {
            let answer = try queue.read { try String.fetchOne($0, sql: "PRAGMA quick_check(1)") }
            // An interrupted check reports the pages it did not come to as unused.
            if answer == "ok" || alarm.hasRung { return nil }
            return answer ?? "no answer from quick_check"
        } catch let error as DatabaseError where error.resultCode == .SQLITE_INTERRUPT {
            return nil
        }
    }

    /// Interrupts a connection, but never one that is not in use any more.
    private final class Alarm: Sendable {
        private let queue: Mutex<DatabaseQueue?>
        private let rang = Atomic(false)

        init(_ queue: DatabaseQueue) { self.queue = Mutex(queue) }

        var hasRung: Bool { rang.load(ordering: .sequentiallyConsistent) }

        func ring() {
            queue.withLock { queue in
                guard let queue else { return }
                rang.store(true, ordering: .sequentiallyConsistent)
                queue.interrupt()
            }
        }

        func stop() { queue.withLock { $0 = nil } }
    }

    private static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func createFolder(_ folder: String) throws(StoreError) {
        if mkdir(folder, 0o700) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, folder != "/", folder != "." else { throw failure(folder) }
        try createFolder(self.folder(of: folder))
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else { throw failure(folder) }
    }

    private static func check(
        _ path: String, kind: mode_t, followingLinks: Bool, advice: String
    ) throws(StoreError) {
        var status = stat()
        guard (followingLinks ? stat(path, &status) : lstat(path, &status)) == 0 else { throw failure(path) }
        guard status.st_mode & S_IFMT == kind else {
            throw .permissions("\(path) is not a \(kind == S_IFDIR ? "folder" : "regular file")")
        }
        guard status.st_uid == geteuid() else { throw .permissions("\(path) belongs to another user") }
        guard status.st_mode & 0o077 == 0 else {
            throw .permissions("\(path) is open to other users; \(advice) it")
        }
    }

    /// A new file's name is on disk only once its folder is.
    private static func sync(_ folder: String) {
        let descriptor = Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        Glibc.close(descriptor)
    }

    private static func failure(_ path: String) -> StoreError {
        switch errno {
        case ENOSPC, EDQUOT: .full
        case EROFS: .readOnly
        case EACCES, EPERM: .permissions("\(path) is not accessible")
        case ELOOP: .permissions("\(path) is a symbolic link")
        case let code: .io("\(path): \(String(cString: strerror(code)))")
        }
    }
}

extension Configuration {
    /// What every connection of imd's has in common.
    static var common: Configuration {
        var configuration = Configuration()
        // Only another process can hold the write lock: somebody with a sqlite3 shell.
        configuration.busyMode = .timeout(5)
        // More of the processor than other programs of the user get is asked for in vain, and that is logged.
        configuration.qos = .default
        return configuration
    }
}
