// Message digests.
import CSodium
import Crypto

/// Digests of public bytes.
public enum Hash {
    /// SHA-1, 20 bytes: only where a specification demands it (XEP-0115, XEP-0084, SCRAM-SHA-1).
    public static func sha1(_ bytes: Bytes) -> Bytes { Bytes(Crypto.Insecure.SHA1.hash(data: bytes)) }

    /// SHA-256, 32 bytes.
    public static func sha256(_ bytes: Bytes) -> Bytes {
        Bytes(unsafeUninitializedCapacity: 32) { out, count in
            crypto_hash_sha256(out.start, bytes, UInt64(bytes.count))
            count = 32
        }
    }

    /// SHA-512, 64 bytes.
    public static func sha512(_ bytes: Bytes) -> Bytes {
        Bytes(unsafeUninitializedCapacity: 64) { out, count in
            crypto_hash_sha512(out.start, bytes, UInt64(bytes.count))
            count = 64
        }
    }

    /// BLAKE2b without key (RFC 7693).
    ///
    /// - Parameter count: size of the digest, 16...64 bytes.
    public static func blake2b(_ bytes: Bytes, count: Int) -> Bytes {
        var hash = BLAKE2b(count: count)
        bytes.withUnsafeBytes { hash.update($0) }
        return Bytes(unsafeUninitializedCapacity: count) { out, written in
            hash.finish(into: UnsafeMutableRawBufferPointer(out))
            written = count
        }
    }
}

/// BLAKE2b without key (RFC 7693) over bytes that come in pieces.
public struct BLAKE2b: ~Copyable {
    // Swift cannot import the C structure, which wants an alignment of 64.
    private let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64)
    private let count: Int

    private static let size = crypto_generichash_statebytes()
    private var state: OpaquePointer { OpaquePointer(memory) }

    /// - Parameter count: size of the digest, 16...64 bytes.
    public init(count: Int) {
        precondition((16...64).contains(count), "BLAKE2b digests have 16...64 bytes here")
        Sodium.start()
        self.count = count
        crypto_generichash_init(state, nil, 0, count)
    }

    deinit {
        sodium_memzero(memory, Self.size)
        memory.deallocate()
    }

    /// Goes on with the next bytes.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        crypto_generichash_update(state, bytes.start, UInt64(bytes.count))
    }

    /// Writes the digest, once.
    ///
    /// - Parameter out: as many bytes as were asked for, or more.
    public mutating func finish(into out: UnsafeMutableRawBufferPointer) {
        precondition(out.count >= count, "no room for the digest")
        crypto_generichash_final(state, out.start, count)
    }
}

/// The hash functions that HMAC and PBKDF2 are used with.
public enum HashAlgorithm: Sendable, CaseIterable {
    /// 20 bytes.
    case sha1
    /// 32 bytes.
    case sha256
    /// 64 bytes.
    case sha512
}
