// Keyed hashes and key derivation: HMAC, HKDF, PBKDF2.
import CSodium
import Crypto
import CryptoExtras

/// HMAC (RFC 2104).
public enum HMAC {
    /// The authentication code of `message`: 20, 32 or 64 bytes by `algorithm`.
    ///
    /// - Parameter key: any size.
    public static func authenticate(_ message: Bytes, key: SecretBytes, _ algorithm: HashAlgorithm) -> Bytes {
        switch algorithm {
        case .sha1:
            return key.withUnsafeBytes { key in
                Bytes(
                    Crypto.HMAC<Crypto.Insecure.SHA1>.authenticationCode(
                        for: message, using: SymmetricKey(data: key)))
            }
        case .sha256:
            return Bytes(unsafeUninitializedCapacity: 32) { out, count in
                var state = key.withUnsafeBytes { HMACSHA256(key: $0) }
                message.withUnsafeBytes { state.update($0) }
                state.finish(into: out.start)
                count = 32
            }
        case .sha512:
            return Bytes(unsafeUninitializedCapacity: 64) { out, count in
                var state = crypto_auth_hmacsha512_state()
                key.withUnsafeBytes {
                    _ = crypto_auth_hmacsha512_init(&state, $0.start, $0.count)
                }
                crypto_auth_hmacsha512_update(&state, message, UInt64(message.count))
                crypto_auth_hmacsha512_final(&state, out.start)
                count = 64
            }
        }
    }
}

/// A running HMAC-SHA-256. A keyed state may be copied: each copy saves hashing the key again.
struct HMACSHA256 {
    private var state = crypto_auth_hmacsha256_state()

    @inline(__always)
    init(key: UnsafeRawBufferPointer) {
        crypto_auth_hmacsha256_init(&state, key.start, key.count)
    }

    @inline(__always)
    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        crypto_auth_hmacsha256_update(&state, bytes.start, UInt64(bytes.count))
    }

    @inline(__always)
    mutating func update(_ byte: UInt8) {
        var byte = byte
        crypto_auth_hmacsha256_update(&state, &byte, 1)
    }

    /// Writes 32 bytes. libsodium wipes the state.
    @inline(__always)
    mutating func finish(into out: UnsafeMutableRawPointer) {
        crypto_auth_hmacsha256_final(&state, out)
    }

    /// For a keyed state that was copied and is never finished itself.
    @inline(__always)
    mutating func wipe() {
        sodium_memzero(&state, MemoryLayout.size(ofValue: state))
    }
}

/// HKDF (RFC 5869).
public enum HKDF {
    /// Extract, then expand.
    ///
    /// - Parameters:
    ///   - salt: may be empty, which means 32 zero bytes.
    ///   - count: 1...8160 bytes.
    public static func sha256(_ ikm: SecretBytes, salt: Bytes, info: Bytes, count: Int) -> SecretBytes {
        precondition((1...255 * 32).contains(count), "HKDF-SHA-256 yields 1...8160 bytes")
        return SecretBytes(count: count) { out in
            ikm.withUnsafeBytes { ikm in
                info.withUnsafeBytes { info in
                    salt.withUnsafeBytes { salt in
                        derive(HMACSHA256(key: salt), ikm: ikm, info: info, into: out)
                    }
                }
            }
        }
    }

    /// The keyed state for a salt of 32 zero bytes, which X3DH and the message keys use.
    static let zeroSalt = HMACSHA256(key: UnsafeRawBufferPointer(start: nil, count: 0))

    /// Fills `out`, at most 8160 bytes; allocates nothing.
    ///
    /// - Parameter salted: an HMAC state keyed with the salt.
    @inline(__always)
    static func derive(
        _ salted: HMACSHA256, ikm: UnsafeRawBufferPointer, info: UnsafeRawBufferPointer,
        into out: UnsafeMutableRawBufferPointer
    ) {
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { scratch in
            let block = UnsafeMutableRawBufferPointer(rebasing: scratch[0..<32])
            let pseudorandomKey = UnsafeMutableRawBufferPointer(rebasing: scratch[32..<64])
            var extract = salted
            extract.update(ikm)
            extract.finish(into: pseudorandomKey.start)
            var keyed = HMACSHA256(key: UnsafeRawBufferPointer(pseudorandomKey))
            var offset = 0
            var counter: UInt8 = 1
            while offset < out.count {
                var expand = keyed
                if offset > 0 { expand.update(UnsafeRawBufferPointer(block)) }
                expand.update(info)
                expand.update(counter)
                expand.finish(into: block.start)
                let end = min(offset + 32, out.count)
                UnsafeMutableRawBufferPointer(rebasing: out[offset..<end])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: block[0..<(end - offset)]))
                offset = end
                counter &+= 1
            }
            keyed.wipe()
            sodium_memzero(scratch.start, 64)
        }
    }
}

/// PBKDF2 with HMAC (RFC 8018 §5.2), for SCRAM.
public enum PBKDF2 {
    /// Blocks the thread for the time `iterations` take: the caller bounds them.
    ///
    /// - Parameters:
    ///   - iterations: 1 or more; SCRAM's `i`.
    ///   - count: size of the key in bytes, 1 or more.
    /// - Throws: `.invalidLength` for a count or a number of iterations below 1 or beyond 2^31-1.
    public static func derive(
        _ algorithm: HashAlgorithm, password: SecretBytes, salt: Bytes, iterations: Int, count: Int
    ) throws(CryptoError) -> SecretBytes {
        guard (1...Int(Int32.max)).contains(iterations) else { throw .invalidLength("iterations") }
        guard (1...Int(Int32.max)).contains(count) else { throw .invalidLength("count") }
        let hash: KDF.Insecure.PBKDF2.HashFunction =
            switch algorithm {
            case .sha1: .insecureSHA1
            case .sha256: .sha256
            case .sha512: .sha512
            }
        do {
            let key = try password.withUnsafeBytes { password in
                try KDF.Insecure.PBKDF2.deriveKey(
                    from: password, salt: salt, using: hash, outputByteCount: count,
                    unsafeUncheckedRounds: iterations)
            }
            return key.withUnsafeBytes { SecretBytes($0) }
        } catch {
            throw .invalidLength("password")
        }
    }
}
