// The AES modes that libsodium lacks.
import Crypto
import CryptoExtras

/// AES-256-CBC with PKCS#7 padding, and AES-GCM with 128-bit tags.
public enum AES {
    /// Encrypts with AES-256-CBC and PKCS#7 padding.
    ///
    /// - Parameters:
    ///   - key: 32 bytes.
    ///   - iv: 16 bytes.
    /// - Returns: the next multiple of 16 bytes above the plaintext's size.
    /// - Throws: `.invalidLength` for another size of key or IV.
    public static func encryptCBC(
        _ plaintext: Bytes, key: SecretBytes, iv: Bytes
    ) throws(CryptoError) -> Bytes {
        let key = try symmetricKey(key, sizes: 32)
        guard iv.count == 16 else { throw .invalidLength("iv") }
        do {
            let iv = try Crypto.AES._CBC.IV(ivBytes: iv)
            return Bytes(try Crypto.AES._CBC.encrypt(plaintext, using: key, iv: iv))
        } catch {
            throw .invalidLength("plaintext")
        }
    }

    /// Encrypts a secret, such as the key and tag of an OMEMO payload, in the same way.
    public static func encryptCBC(
        _ plaintext: SecretBytes, key: SecretBytes, iv: Bytes
    ) throws(CryptoError) -> Bytes {
        let key = try symmetricKey(key, sizes: 32)
        guard iv.count == 16 else { throw .invalidLength("iv") }
        do {
            let iv = try Crypto.AES._CBC.IV(ivBytes: iv)
            return Bytes(
                try plaintext.withUnsafeBytes { try Crypto.AES._CBC.encrypt($0, using: key, iv: iv) })
        } catch {
            throw .invalidLength("plaintext")
        }
    }

    /// Decrypts AES-256-CBC and removes the PKCS#7 padding.
    ///
    /// Padding is no authentication: check a MAC over the ciphertext first.
    ///
    /// - Throws: `.invalidPadding` if the ciphertext is not whole blocks or ends wrongly; `.invalidLength` for
    ///   a key of other than 32 or an IV of other than 16 bytes.
    public static func decryptCBC(
        _ ciphertext: Bytes, key: SecretBytes, iv: Bytes
    ) throws(CryptoError) -> SecretBytes {
        let key = try symmetricKey(key, sizes: 32)
        guard iv.count == 16 else { throw .invalidLength("iv") }
        guard !ciphertext.isEmpty, ciphertext.count.isMultiple(of: 16) else { throw .invalidPadding }
        do {
            let iv = try Crypto.AES._CBC.IV(ivBytes: iv)
            return SecretBytes(try Crypto.AES._CBC.decrypt(ciphertext, using: key, iv: iv))
        } catch {
            throw .invalidPadding
        }
    }

    /// Encrypts and authenticates with AES-128-GCM or AES-256-GCM, by the size of the key.
    ///
    /// - Parameters:
    ///   - key: 16 or 32 bytes.
    ///   - nonce: 12 or 16 bytes, never used twice with one key.
    /// - Returns: ciphertext of the plaintext's size, and a 16-byte tag.
    /// - Throws: `.invalidLength` for other sizes.
    public static func sealGCM(
        _ plaintext: Bytes, key: SecretBytes, nonce: Bytes
    ) throws(CryptoError) -> (ciphertext: Bytes, tag: Bytes) {
        let key = try symmetricKey(key, sizes: 16, 32)
        guard nonce.count == 12 || nonce.count == 16 else { throw .invalidLength("nonce") }
        do {
            let nonce = try Crypto.AES.GCM.Nonce(data: nonce)
            let box = try Crypto.AES.GCM.seal(plaintext, using: key, nonce: nonce)
            return (Bytes(box.ciphertext), Bytes(box.tag))
        } catch {
            throw .invalidLength("plaintext")
        }
    }

    /// Checks the tag, then decrypts.
    ///
    /// - Throws: `.authenticationFailed` if anything was changed; `.invalidLength` for sizes that `sealGCM`
    ///   refuses and tags of other than 16 bytes.
    public static func openGCM(
        _ ciphertext: Bytes, tag: Bytes, key: SecretBytes, nonce: Bytes
    ) throws(CryptoError) -> Bytes {
        let key = try symmetricKey(key, sizes: 16, 32)
        guard nonce.count == 12 || nonce.count == 16 else { throw .invalidLength("nonce") }
        guard tag.count == 16 else { throw .invalidLength("tag") }
        do {
            let nonce = try Crypto.AES.GCM.Nonce(data: nonce)
            let box = try Crypto.AES.GCM.SealedBox(nonce: nonce, ciphertext: ciphertext, tag: tag)
            return Bytes(try Crypto.AES.GCM.open(box, using: key))
        } catch {
            throw .authenticationFailed
        }
    }

    private static func symmetricKey(_ key: SecretBytes, sizes: Int...) throws(CryptoError) -> SymmetricKey {
        guard sizes.contains(key.count) else { throw .invalidLength("key") }
        return key.withUnsafeBytes { SymmetricKey(data: $0) }
    }
}
