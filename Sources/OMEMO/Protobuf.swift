/// As much of Protocol Buffers as the ratchet messages of both versions need; nothing general.
import IMCrypto

/// Reads fields once each. Refuses what no encoder of these messages writes: repeated fields, groups,
/// numbers beyond 32 bits.
struct ProtobufReader {
    enum Value {
        case number(UInt32)
        case bytes(Bytes)
    }

    private let bytes: Bytes
    private var position: Int
    private var seen: UInt32 = 0

    init(_ bytes: Bytes, from position: Int = 0) {
        self.bytes = bytes
        self.position = position
    }

    mutating func next() throws(DecryptionError) -> (field: UInt32, value: Value)? {
        guard position < bytes.count else { return nil }
        let tag = try number()
        let field = tag >> 3
        // Fields that later versions may add are skipped, but 31 of them are enough.
        guard (1...31).contains(field), seen & (1 << field) == 0 else { throw .invalidMessage("field") }
        seen |= 1 << field
        switch tag & 7 {
        case 0: return (field, .number(try number()))
        case 2:
            let count = Int(try number())
            guard count <= bytes.count - position else { throw .invalidMessage("length") }
            defer { position += count }
            return (field, .bytes(Bytes(bytes[position..<position + count])))
        default: throw .invalidMessage("wire type")
        }
    }

    private mutating func number() throws(DecryptionError) -> UInt32 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 28, by: 7) {
            guard position < bytes.count else { throw .invalidMessage("number") }
            let byte = bytes[position]
            position += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 {
                guard let number = UInt32(exactly: value) else { break }
                return number
            }
        }
        throw .invalidMessage("number")
    }
}

struct ProtobufWriter {
    private(set) var bytes: Bytes = []

    /// - Parameter capacity: enough for all.
    init(capacity: Int) { bytes.reserveCapacity(capacity) }

    /// - Parameter framing: what stands before the first field.
    init(framing: UInt8, capacity: Int) {
        self.init(capacity: capacity + 1)
        bytes.append(framing)
    }

    mutating func append(_ field: UInt32, _ value: UInt32) {
        append(field << 3)
        append(value)
    }

    mutating func append(_ field: UInt32, _ value: Bytes) {
        append(field << 3 | 2)
        append(UInt32(value.count))
        bytes += value
    }

    private mutating func append(_ number: UInt32) {
        var rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}
