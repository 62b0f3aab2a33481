// What may be done to the database between begin and commit; the other files add the tables' methods.
import GRDB
import GRDBSQLite

/// A transaction, valid only inside the body given to `Store.write` or `Store.read`.
///
/// Its methods are in one file per table. All of them throw `StoreError`; a body that lets one out is rolled back.
public struct Transaction {
    let database: Database
    let sealing: Sealing
    let scope: Scope

    /// What outlives a single statement but not the transaction.
    final class Scope {
        /// Set when SQLite failed in a way that may have undone the transaction: no statement may follow, it
        /// would commit by itself. Also catches bodies that swallow the error.
        var failure: StoreError?
        /// Highest event number appended, if any.
        var lastEventNumber: Int64?
    }

    init(_ database: Database, _ sealing: Sealing, scope: Scope = Scope()) {
        self.database = database
        self.sealing = sealing
        self.scope = scope
    }
}

extension Transaction {
    /// Runs a statement that returns no rows.
    /// - Parameter sql: constant text; everything variable is in `values`, bound to `?1`, `?2`, … in order.
    /// - Returns: how many rows it inserted, changed or deleted.
    @discardableResult
    func run<each Value: Bindable>(_ sql: String, _ values: repeat each Value) throws(StoreError) -> Int {
        let statement = try prepare(sql, repeat each values)
        defer { finish(statement) }
        let code = sqlite3_step(statement)
        guard code == SQLITE_DONE || code == SQLITE_ROW else { throw failure(code, of: statement) }
        return Int(sqlite3_changes(sqlite3_db_handle(statement)))
    }

    /// As `run`, and returns the new row's id.
    func insert<each Value: Bindable>(_ sql: String, _ values: repeat each Value) throws(StoreError) -> Int64
    {
        let statement = try prepare(sql, repeat each values)
        defer { finish(statement) }
        let code = sqlite3_step(statement)
        guard code == SQLITE_DONE else { throw failure(code, of: statement) }
        return sqlite3_last_insert_rowid(sqlite3_db_handle(statement))
    }

    /// All rows, or those up to and with the one for which `isLast` is true. `read` must not run another statement
    /// with the same text.
    func rows<Result, each Value: Bindable>(
        _ sql: String, _ values: repeat each Value, read: (Row) throws(StoreError) -> Result,
        isLast: (Result) -> Bool = { _ in false }
    ) throws(StoreError) -> [Result] {
        let statement = try prepare(sql, repeat each values)
        defer { finish(statement) }
        var results: [Result] = []
        while true {
            switch sqlite3_step(statement) {
            case SQLITE_ROW:
                let result = try read(Row(statement: statement))
                results.append(result)
                if isLast(result) { return results }
            case SQLITE_DONE: return results
            case let code: throw failure(code, of: statement)
            }
        }
    }

    /// The first row, or nil if there is none.
    func first<Result, each Value: Bindable>(
        _ sql: String, _ values: repeat each Value, read: (Row) throws(StoreError) -> Result
    ) throws(StoreError) -> Result? {
        let statement = try prepare(sql, repeat each values)
        defer { finish(statement) }
        switch sqlite3_step(statement) {
        case SQLITE_ROW: return try read(Row(statement: statement))
        case SQLITE_DONE: return nil
        case let code: throw failure(code, of: statement)
        }
    }

    private func prepare<each Value: Bindable>(
        _ sql: String, _ values: repeat each Value
    ) throws(StoreError) -> OpaquePointer {
        if let failure = scope.failure { throw failure }
        let statement: OpaquePointer
        do {
            // The cache keeps the statement until the connection closes, so the bare pointer stays valid.
            statement = try database.cachedStatement(sql: sql).sqliteStatement
        } catch {
            let failure = StoreError(database: error)
            scope.failure = failure
            throw failure
        }
        var index: Int32 = 1
        for value in repeat each values {
            value.put(into: statement, at: index)
            index += 1
        }
        assert(sqlite3_bind_parameter_count(statement) == index - 1, "wrong number of values for: \(sql)")
        return statement
    }

    /// Also forgets the values: SQLite's copies of message texts and keys are not kept until the next use.
    private func finish(_ statement: OpaquePointer) {
        sqlite3_reset(statement)
        sqlite3_clear_bindings(statement)
    }

    private func failure(_ code: Int32, of statement: OpaquePointer) -> StoreError {
        let connection = sqlite3_db_handle(statement)
        let message = sqlite3_errmsg(connection).map { String(cString: $0) } ?? "no message"
        let failure = StoreError(
            code: sqlite3_extended_errcode(connection), message: message,
            systemError: sqlite3_system_errno(connection))
        // A refused row undoes its own statement only; the body may go on.
        if code & 0xff != SQLITE_CONSTRAINT { scope.failure = failure }
        return failure
    }
}
