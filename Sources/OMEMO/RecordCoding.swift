/// The bytes of stored records: big-endian numbers, counted parts, no padding.
import IMCrypto

struct RecordWriter {
    private var bytes: Bytes = []

    /// - Parameter capacity: enough for all, so that no copy is left behind unwiped when the buffer grows.
    init(capacity: Int) { bytes.reserveCapacity(capacity) }

    mutating func append(_ byte: UInt8) {
        bytes.append(byte)
    }

    mutating func append(_ number: UInt32) {
        for shift in stride(from: UInt32(24), through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: number >> shift))
        }
    }

    mutating func append(_ fixed: Bytes) {
        bytes += fixed
    }

    mutating func append(_ secret: SecretBytes) {
        secret.withUnsafeBytes { bytes.append(contentsOf: $0) }
    }

    /// Its size in 4 bytes, then the secret.
    mutating func append(counted secret: SecretBytes) {
        append(UInt32(secret.count))
        append(secret)
    }

    consuming func finish() -> SecretBytes {
        let secret = SecretBytes(bytes)
        bytes.withUnsafeMutableBytes { _ = $0.initializeMemory(as: UInt8.self, repeating: 0) }
        return secret
    }
}

struct RecordReader {
    private let source: Bytes
    private var position = 0

    init(_ source: Bytes) {
        self.source = source
    }

    mutating func byte() throws(CryptoError) -> UInt8 {
        guard position < source.count else { throw .invalidSerialization }
        defer { position += 1 }
        return source[position]
    }

    mutating func number() throws(CryptoError) -> UInt32 {
        try bytes(4).reduce(0) { $0 << 8 | UInt32($1) }
    }

    mutating func bytes(_ count: Int) throws(CryptoError) -> Bytes {
        guard count <= source.count - position else { throw .invalidSerialization }
        defer { position += count }
        return Bytes(source[position..<position + count])
    }

    mutating func counted() throws(CryptoError) -> Bytes {
        try bytes(Int(number()))
    }

    mutating func rest() throws(CryptoError) -> Bytes {
        try bytes(source.count - position)
    }

    func expectEnd() throws(CryptoError) {
        guard position == source.count else { throw .invalidSerialization }
    }
}
