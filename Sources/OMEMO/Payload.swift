/// The text of a legacy message under its own key: AES-128-GCM (XEP-0384 0.3 §4.5).
public import IMCrypto

/// Seals one text for many devices; the secret then travels to each through its ratchet.
public enum Payload {
    /// The GCM key, 16 bytes.
    static let keyCount = 16
    /// The key and the GCM tag, 32 bytes.
    static let secretCount = 32
    /// The nonce this side writes, 12 bytes.
    static let ivCount = 12

    /// Encrypts a text under a fresh key.
    ///
    /// - Returns: `secret`, 32 bytes, key ‖ tag, for the ratchet; `iv`, 12 bytes; `ciphertext`, as long as
    ///   the text.
    public static func seal(
        _ text: Bytes, using random: inout some RandomNumberGenerator
    ) throws(CryptoError) -> (secret: SecretBytes, iv: Bytes, ciphertext: Bytes) {
        let key = SecretBytes.random(count: keyCount, using: &random)
        let iv = makeIV(using: &random)
        let sealed = try AES.sealGCM(text, key: key, nonce: iv)
        return (SecretBytes(key.bytes + sealed.tag), iv, sealed.ciphertext)
    }

    /// Decrypts a text.
    ///
    /// - Parameters:
    ///   - iv: 12 bytes, or the 16 that clients wrote before 2019.
    ///   - secret: what the ratchet gave, key ‖ tag. A 16-byte key alone is refused: its tag travelled
    ///     beside the ratchet, where every other recipient could have replaced it.
    /// - Throws: `.invalidMessage`; the text is not to be shown in any part.
    public static func open(
        _ ciphertext: Bytes, iv: Bytes, secret: SecretBytes
    ) throws(DecryptionError) -> Bytes {
        guard secret.count == secretCount else { throw .invalidMessage("secret") }
        do {
            return try AES.openGCM(
                ciphertext, tag: secret.slice(keyCount..<secretCount).bytes,
                key: secret.slice(0..<keyCount), nonce: iv)
        } catch {
            throw .invalidMessage("payload")
        }
    }

    /// What a message without payload carries through the ratchet: 32 random bytes.
    ///
    /// Conversations refuses fewer than 32, Profanity any other number.
    public static func emptySecret(using random: inout some RandomNumberGenerator) -> SecretBytes {
        SecretBytes.random(count: secretCount, using: &random)
    }

    static func makeIV(using random: inout some RandomNumberGenerator) -> Bytes {
        SecretBytes.random(count: ivCount, using: &random).bytes
    }
}
