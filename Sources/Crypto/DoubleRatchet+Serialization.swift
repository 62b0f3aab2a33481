// How a ratchet is stored: fixed-size fields, integers big-endian.

// version 1 · parameters 1 · flags 1 · chains 1 · runs 2 · previous count 4 · root key 32
// [own ratchet key: private 32 · public 32] [sending chain: key 32 · count 4]
// chains × (dh 32 · key 32 · count 4), oldest first
// runs × (dh 32 · entries 2 · entries × (n 4 · message key 32)), oldest first
extension DoubleRatchet {
    private static let formatVersion: UInt8 = 1
    private static let headerSize = 42
    private static let chainSize = 68
    private static let hasRatchetKey: UInt8 = 1
    private static let hasSendingChain: UInt8 = 2

    /// The whole state; its first byte is the version of this format.
    public func serialized() -> SecretBytes {
        var size = Self.headerSize + receiving.count * Self.chainSize
        size += (ratchetKey == nil ? 0 : 64) + (sending == nil ? 0 : 36)
        size += skipped.runs.count * 34 + skipped.count * SkippedKeys.entrySize
        return SecretBytes(count: size) { out in
            var writer = Writer(out: out)
            writer.write(Self.formatVersion)
            writer.write(parameters.version)
            writer.write(
                (ratchetKey == nil ? 0 : Self.hasRatchetKey) | (sending == nil ? 0 : Self.hasSendingChain))
            writer.write(UInt8(receiving.count))
            writer.write(UInt16(skipped.runs.count))
            writer.write(previousCount)
            writer.write(rootKey)
            if let ratchetKey {
                writer.write(ratchetKey.privateKey)
                writer.write(ratchetKey.publicKey)
            }
            if let sending { writer.write(sending) }
            for chain in receiving {
                writer.write(chain.dh)
                writer.write(chain.chain)
            }
            for run in skipped.runs {
                writer.write(run.dh)
                writer.write(UInt16(run.count))
                writer.write(run.entries)
            }
        }
    }

    /// Restores what `serialized()` returned.
    ///
    /// - Throws: `.invalidSerialization` for another version, a wrong size, or a state that cannot be.
    public init(serialized: SecretBytes) throws(CryptoError) {
        self = try serialized.withUnsafeBytes { (bytes) throws(CryptoError) in
            try DoubleRatchet(reading: bytes)
        }
    }

    /// Restores what `serialized()` returned, from an unprotected copy.
    ///
    /// - Throws: `.invalidSerialization` for another version, a wrong size, or a state that cannot be.
    public init(serialized: Bytes) throws(CryptoError) {
        try self.init(serialized: SecretBytes(serialized))
    }

    private init(reading bytes: UnsafeRawBufferPointer) throws(CryptoError) {
        var reader = Reader(bytes: bytes)
        guard try reader.byte() == Self.formatVersion else { throw .invalidSerialization }
        let parameters: Parameters
        switch try reader.byte() {
        case Parameters.legacy.version: parameters = .legacy
        case Parameters.omemo2.version: parameters = .omemo2
        default: throw .invalidSerialization
        }
        let flags = try reader.byte()
        let chainCount = try reader.byte()
        let runCount = try reader.uint16()
        let previousCount = try reader.uint32()
        self.init(parameters: parameters, rootKey: try reader.secret(32))
        self.previousCount = previousCount
        guard chainCount <= Self.maxReceivingChains, runCount <= Self.maxSkip else {
            throw .invalidSerialization
        }
        ratchetKey = flags & Self.hasRatchetKey == 0 ? nil : try reader.keyPair()
        sending = flags & Self.hasSendingChain == 0 ? nil : try reader.chain()
        for _ in 0..<chainCount {
            receiving.append(ReceivingChain(dh: try reader.publicKey(), chain: try reader.chain()))
        }
        skipped = SkippedKeys(runs: try Self.runs(runCount, &reader))
        guard reader.isAtEnd, isConsistent(flags) else { throw .invalidSerialization }
    }

    private static func runs(
        _ count: UInt16, _ reader: inout Reader
    ) throws(CryptoError) -> [SkippedKeys.Run] {
        var runs: [SkippedKeys.Run] = []
        for _ in 0..<count {
            let dh = try reader.publicKey()
            let entries = try reader.uint16()
            guard entries > 0 else { throw .invalidSerialization }
            runs.append(
                SkippedKeys.Run(dh: dh, entries: try reader.secret(Int(entries) * SkippedKeys.entrySize)))
        }
        return runs
    }

    /// Whether the state is one of: initiator before an answer, responder before a message, after sending,
    /// after receiving.
    private func isConsistent(_ flags: UInt8) -> Bool {
        guard flags <= Self.hasRatchetKey | Self.hasSendingChain, skipped.count <= Self.maxSkip else {
            return false
        }
        if sending != nil { return ratchetKey != nil }
        return (ratchetKey != nil) == receiving.isEmpty
    }
}

/// Appends to a buffer of exactly the right size.
private struct Writer {
    let out: UnsafeMutableRawBufferPointer
    var offset = 0

    mutating func write(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.bigEndian) { append($0) }
    }

    mutating func write(_ secret: SecretBytes) {
        secret.withUnsafeBytes { append($0) }
    }

    mutating func write(_ key: PublicKey) {
        key.bytes.withUnsafeBytes { append($0) }
    }

    mutating func write(_ chain: ChainKey) {
        write(chain.key)
        write(chain.count)
    }

    private mutating func append(_ bytes: UnsafeRawBufferPointer) {
        UnsafeMutableRawBufferPointer(rebasing: out[offset..<offset + bytes.count]).copyMemory(from: bytes)
        offset += bytes.count
    }
}

/// Takes fields off a buffer and refuses to read past its end.
private struct Reader {
    let bytes: UnsafeRawBufferPointer
    var offset = 0

    var isAtEnd: Bool { offset == bytes.count }

    private mutating func take(_ count: Int) throws(CryptoError) -> UnsafeRawBufferPointer {
        guard count <= bytes.count - offset else { throw .invalidSerialization }
        defer { offset += count }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
    }

    mutating func byte() throws(CryptoError) -> UInt8 { try take(1)[0] }

    mutating func uint16() throws(CryptoError) -> UInt16 {
        UInt16(bigEndian: try take(2).loadUnaligned(as: UInt16.self))
    }

    mutating func uint32() throws(CryptoError) -> UInt32 {
        UInt32(bigEndian: try take(4).loadUnaligned(as: UInt32.self))
    }

    mutating func secret(_ count: Int) throws(CryptoError) -> SecretBytes { SecretBytes(try take(count)) }

    mutating func publicKey() throws(CryptoError) -> PublicKey {
        let bytes = Bytes(try take(32))
        guard let key = try? PublicKey(bytes) else { throw .invalidSerialization }
        return key
    }

    mutating func keyPair() throws(CryptoError) -> KeyPair {
        try KeyPair(privateKey: secret(32), publicKey: publicKey())
    }

    mutating func chain() throws(CryptoError) -> ChainKey {
        ChainKey(key: try secret(32), count: try uint32())
    }
}
