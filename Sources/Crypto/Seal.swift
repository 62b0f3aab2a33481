// Authenticated encryption of stored secrets: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03).
import CSodium

/// Seals secrets under a key, each bound to the place where it is kept.
public enum Seal {
    /// Size of the key, 32 bytes.
    public static let keyCount = 32
    /// How much longer a sealed secret is: 24 bytes of nonce and 16 of tag.
    public static let overhead = 40
    static let nonceCount = 24

    /// Seals under a random nonce; with 24 bytes, those never repeat.
    ///
    /// - Parameters:
    ///   - key: 32 bytes.
    ///   - associated: what the secret belongs to. It opens only with the same.
    /// - Returns: nonce ‖ ciphertext ‖ tag.
    public static func seal(
        _ secret: SecretBytes, key: SecretBytes, associated: Bytes,
        using random: inout some RandomNumberGenerator
    ) -> Bytes {
        let nonce = SecretBytes.random(count: nonceCount, using: &random).bytes
        return secret.withUnsafeBytes { seal($0, nonce: nonce, key: key, associated: associated) }
    }

    static func seal(
        _ secret: UnsafeRawBufferPointer, nonce: Bytes, key: SecretBytes, associated: Bytes
    ) -> Bytes {
        precondition(key.count == keyCount && nonce.count == nonceCount, "sizes of XChaCha20-Poly1305")
        Sodium.start()
        return Bytes(unsafeUninitializedCapacity: overhead + secret.count) { out, count in
            let start = out.start
            start.update(from: nonce, count: nonceCount)
            _ = key.withUnsafeBytes { key in
                crypto_aead_xchacha20poly1305_ietf_encrypt(
                    start + nonceCount, nil, secret.start, UInt64(secret.count), associated,
                    UInt64(associated.count), nil, start, key.start)
            }
            count = overhead + secret.count
        }
    }

    /// Opens what `seal` made.
    ///
    /// - Throws: `.authenticationFailed` for another key, another place or changed bytes.
    public static func open(
        _ sealed: UnsafeRawBufferPointer, key: SecretBytes, associated: Bytes
    ) throws(CryptoError) -> SecretBytes {
        guard key.count == keyCount, sealed.count >= overhead else { throw .authenticationFailed }
        Sodium.start()
        return try SecretBytes(count: sealed.count - overhead) { (out) throws(CryptoError) in
            let isGenuine = key.withUnsafeBytes { key in
                crypto_aead_xchacha20poly1305_ietf_decrypt(
                    out.start, nil, nil, sealed.start + nonceCount, UInt64(sealed.count - nonceCount),
                    associated, UInt64(associated.count), sealed.start, key.start) == 0
            }
            guard isGenuine else { throw .authenticationFailed }
        }
    }

    /// Opens what `seal` made.
    ///
    /// - Throws: `.authenticationFailed` for another key, another place or changed bytes.
    public static func open(
        _ sealed: Bytes, key: SecretBytes, associated: Bytes
    ) throws(CryptoError) -> SecretBytes {
        try sealed.withUnsafeBytes { bytes in
            Result { () throws(CryptoError) in try open(bytes, key: key, associated: associated) }
        }.get()
    }
}
