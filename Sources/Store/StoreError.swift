// What can go wrong with the database, and how SQLite's and GRDB's errors become it.
import GRDB
import GRDBSQLite
import Glibc

/// Why the database could not do what it was asked. Names tables and files, never message text or keys.
public enum StoreError: Error, Equatable, Sendable {
    /// The file was written by a later imd: schema number `found`, this imd knows up to `supported`. Untouched.
    case newer(found: Int, supported: Int)
    /// Not a database of imd's, damaged pages, or a row whose checksum does not match. The file is kept as it is.
    case corrupt(String)
    /// No space left (or quota reached). Nothing of the call is stored; later calls work once there is space.
    case full
    /// The file or file system cannot be written, or a write was tried inside `Store.read`.
    case readOnly
    /// The file or its folder belongs to somebody else or is open to others. Says which and what to change.
    case permissions(String)
    /// The key that was given does not open what the database keeps sealed.
    case locked(String)
    /// Another process holds the database's write lock.
    case busy
    /// A row that must be unique is there already, or one it refers to is missing.
    case constraint(String)
    /// `Store.close` was called.
    case closed
    /// The disk failed, or SQLite reported something unexpected. Nothing of the call is stored.
    case io(String)
}

extension StoreError: CustomStringConvertible {
    /// One lower-case sentence without a full stop.
    public var description: String {
        switch self {
        case .newer(let found, let supported):
            "the database has schema \(found), this imd knows up to \(supported)"
        case .corrupt(let what): "the database is damaged: \(what)"
        case .full: "no space left for the database"
        case .readOnly: "the database cannot be written"
        case .permissions(let what): "unsafe permissions: \(what)"
        case .locked(let what): "the database cannot be opened: \(what)"
        case .busy: "another process is writing to the database"
        case .constraint(let what): "the database refused a row: \(what)"
        case .closed: "the database is closed"
        case .io(let what): "the database failed: \(what)"
        }
    }
}

extension StoreError {
    /// - Parameters:
    ///   - code: SQLite's result code, extended or not.
    ///   - message: SQLite's text; it names tables and columns, never values.
    ///   - systemError: `errno` of the failed system call, 0 if none.
    init(code: Int32, message: String, systemError: Int32 = 0) {
        switch code & 0xff {
        case SQLITE_FULL: self = .full
        case SQLITE_IOERR where systemError == ENOSPC || systemError == EDQUOT: self = .full
        case SQLITE_IOERR where code == StoreError.sharedMemorySize: self = .full
        case SQLITE_READONLY, SQLITE_PERM: self = .readOnly
        case SQLITE_CORRUPT, SQLITE_NOTADB: self = .corrupt(message)
        case SQLITE_BUSY, SQLITE_LOCKED: self = .busy
        case SQLITE_CONSTRAINT: self = .constraint(message)
        default: self = .io("\(message) (\(code))")
        }
    }

    /// SQLITE_IOERR_SHMSIZE, a macro Swift does not import: the -shm file could not grow.
    private static let sharedMemorySize = SQLITE_IOERR | (19 << 8)

    /// A `StoreError` for what GRDB throws; `nil` for errors that are not the database's.
    init?(_ error: any Error) {
        switch error {
        case let error as StoreError: self = error
        case let error as DatabaseError:
            self.init(code: error.extendedResultCode.rawValue, message: error.message ?? "no message")
        default: return nil
        }
    }

    /// As `init?(_:)`, for calls that can only fail in the database.
    init(database error: any Error) {
        self = StoreError(error) ?? .io(String(describing: type(of: error)))
    }
}
