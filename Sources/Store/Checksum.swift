// Detects changed bytes in rows of keys, messages and stanzas; SQLite does not look inside a cell.
import Glibc
import IMCrypto

/// 16 bytes of BLAKE2b over table name, primary key and content, each with its length.
///
/// Against failing disks and stray writes, not against somebody who can write the file.
struct Checksum: ~Copyable {
    private static let count = 16

    private var hash = BLAKE2b(count: count)

    init(of table: String) { add(table) }

    mutating func add(_ number: Int64) {
        withUnsafeBytes(of: number.littleEndian) { hash.update($0) }
    }

    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        add(Int64(bytes.count))
        hash.update(bytes)
    }

    mutating func add(_ bytes: Bytes) { bytes.withUnsafeBytes { add($0) } }

    mutating func add(_ secret: SecretBytes) { secret.withUnsafeBytes { add($0) } }

    mutating func add(_ text: String) {
        var text = text
        text.withUTF8 { add(UnsafeRawBufferPointer($0)) }
    }

    /// A missing text is not an empty one.
    mutating func add(_ text: String?) {
        if let text { add(text) } else { add(-1) }
    }

    mutating func add(_ number: Int64?) {
        add(Int64(number == nil ? 0 : 1))
        if let number { add(number) }
    }

    /// What is stored. Ask once, and either for this or for `matches`.
    var value: Bytes {
        mutating get {
            Bytes(unsafeUninitializedCapacity: Self.count) { out, written in
                hash.finish(into: UnsafeMutableRawBufferPointer(out))
                written = Self.count
            }
        }
    }

    /// Whether a column of the current row holds this checksum.
    mutating func matches(_ row: Row, _ column: Int32) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: Self.count, alignment: 8) { digest in
            hash.finish(into: digest)
            return row.withBytes(column) { stored in
                guard let start = stored.baseAddress, let own = digest.baseAddress else { return false }
                return stored.count == Self.count && memcmp(start, own, Self.count) == 0
            }
        }
    }
}
