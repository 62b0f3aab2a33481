// Prepared statements: values in, rows out, on SQLite's own calls.
//
// GRDB's argument arrays, row objects and per-statement bookkeeping cost more than SQLite itself on the
// message path; its statement cache is used, its execution is not.
import GRDBSQLite
import IMCrypto
import XMPP

/// A value SQLite can hold. Binding copies it.
protocol Bindable {
    func put(into statement: OpaquePointer, at index: Int32)
}

/// SQLITE_TRANSIENT: SQLite copies the bytes before the call returns. The C macro is a cast Swift cannot import.
private let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

extension Int64: Bindable {
    func put(into statement: OpaquePointer, at index: Int32) { sqlite3_bind_int64(statement, index, self) }
}

extension Int: Bindable {
    func put(into statement: OpaquePointer, at index: Int32) { Int64(self).put(into: statement, at: index) }
}

extension UInt32: Bindable {
    func put(into statement: OpaquePointer, at index: Int32) { Int64(self).put(into: statement, at: index) }
}

extension Bool: Bindable {
    func put(into statement: OpaquePointer, at index: Int32) {
        sqlite3_bind_int(statement, index, self ? 1 : 0)
    }
}

extension String: Bindable {
    func put(into statement: OpaquePointer, at index: Int32) {
        var copy = self
        copy.withUTF8 { text in
            // An empty buffer may have no address, and a null pointer would bind NULL.
            guard let start = text.baseAddress, !text.isEmpty else {
                sqlite3_bind_text(statement, index, "", 0, transient)
                return
            }
            start.withMemoryRebound(to: CChar.self, capacity: text.count) { start in
                _ = sqlite3_bind_text64(
                    statement, index, start, UInt64(text.count), transient, UInt8(SQLITE_UTF8))
            }
        }
    }
}

extension Bytes: Bindable {
    func put(into statement: OpaquePointer, at index: Int32) {
        withUnsafeBytes { bindBlob($0, to: statement, at: index) }
    }
}

extension SecretBytes: Bindable {
    func put(into statement: OpaquePointer, at index: Int32) {
        withUnsafeBytes { bindBlob($0, to: statement, at: index) }
    }
}

private func bindBlob(_ bytes: UnsafeRawBufferPointer, to statement: OpaquePointer, at index: Int32) {
    if let start = bytes.baseAddress, !bytes.isEmpty {
        sqlite3_bind_blob64(statement, index, start, UInt64(bytes.count), transient)
    } else {
        sqlite3_bind_zeroblob(statement, index, 0)
    }
}

extension JID: Bindable {
    func put(into statement: OpaquePointer, at index: Int32) { description.put(into: statement, at: index) }
}

extension Optional: Bindable where Wrapped: Bindable {
    func put(into statement: OpaquePointer, at index: Int32) {
        if let self {
            self.put(into: statement, at: index)
        } else {
            sqlite3_bind_null(statement, index)
        }
    }
}

/// The current row of a statement; columns count from 0.
struct Row {
    let statement: OpaquePointer

    func isNull(_ column: Int32) -> Bool { sqlite3_column_type(statement, column) == SQLITE_NULL }

    func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }

    func bool(_ column: Int32) -> Bool { sqlite3_column_int64(statement, column) != 0 }

    func text(_ column: Int32) -> String {
        guard let start = sqlite3_column_text(statement, column) else { return "" }
        let count = Int(sqlite3_column_bytes(statement, column))
        return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    }

    /// Lends SQLite's own bytes, which the next step of the statement takes away.
    func withBytes<R>(_ column: Int32, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        let start = sqlite3_column_blob(statement, column)
        let count = start == nil ? 0 : Int(sqlite3_column_bytes(statement, column))
        return body(UnsafeRawBufferPointer(start: start, count: count))
    }

    func bytes(_ column: Int32) -> Bytes { withBytes(column) { Bytes($0) } }

    func optionalInteger(_ column: Int32) -> Int64? { isNull(column) ? nil : integer(column) }
    func optionalText(_ column: Int32) -> String? { isNull(column) ? nil : text(column) }
    func optionalBytes(_ column: Int32) -> Bytes? { isNull(column) ? nil : bytes(column) }

    /// - Throws: `.corrupt` if the number does not fit; a device or key id always does.
    func id(_ column: Int32) throws(StoreError) -> UInt32 {
        guard let id = UInt32(exactly: integer(column)) else { throw damaged(column) }
        return id
    }

    func jid(_ column: Int32) throws(StoreError) -> JID {
        do {
            return try JID(text(column))
        } catch {
            throw damaged(column)
        }
    }

    func optionalJID(_ column: Int32) throws(StoreError) -> JID? { isNull(column) ? nil : try jid(column) }

    func value<T: RawRepresentable<String>>(_ column: Int32, as type: T.Type) throws(StoreError) -> T {
        guard let value = T(rawValue: text(column)) else { throw damaged(column) }
        return value
    }

    private func damaged(_ column: Int32) -> StoreError {
        let name = sqlite3_column_name(statement, column).map { String(cString: $0) } ?? "?"
        return .corrupt("unreadable value in column \(name)")
    }
}
