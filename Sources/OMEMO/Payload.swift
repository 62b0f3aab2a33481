/// The content of a message under its own key, encrypted once for all devices.
public import IMCrypto

/// Seals one content for many devices; the secret then travels to each through its ratchet.
public enum Payload {
    /// Encrypts under a fresh key.
    ///
    /// - Parameter content: the text in legacy, an envelope (XEP-0420) in omemo:2.
    /// - Returns: `secret`, for the ratchet: 32 bytes in legacy, key ‖ GCM tag; 48 in omemo:2, key ‖ MAC. `iv`: 12
    ///   bytes in legacy, none in omemo:2.
    public static func seal(
        _ content: Bytes, _ version: ProtocolVersion, using random: inout some RandomNumberGenerator
    ) throws(CryptoError) -> (secret: SecretBytes, iv: Bytes, ciphertext: Bytes) {
        switch version {
        case .legacy: try LegacyPayload.seal(content, using: &random)
        case .omemo2: try OMEMO2Payload.seal(content, using: &random)
        }
    }

    /// Decrypts the payload of a message, which must have one.
    ///
    /// - Parameter secret: what the ratchet gave.
    /// - Throws: `.invalidMessage`; the content is not to be used in any part.
    public static func open(
        _ message: EncryptedMessage, secret: SecretBytes
    ) throws(DecryptionError) -> Bytes {
        guard let payload = message.payload else { throw .invalidMessage("payload") }
        return switch message.version {
        case .legacy: try LegacyPayload.open(payload, iv: message.iv, secret: secret)
        case .omemo2: try OMEMO2Payload.open(payload, secret: secret)
        }
    }

    /// What a message without payload carries through the ratchet: 32 bytes, random in legacy (Conversations refuses
    /// fewer, Profanity any other number), zero in omemo:2 (§4.5).
    public static func emptySecret(
        _ version: ProtocolVersion, using random: inout some RandomNumberGenerator
    ) -> SecretBytes {
        switch version {
        case .legacy: SecretBytes.random(count: LegacyPayload.secretCount, using: &random)
        case .omemo2: SecretBytes(Bytes(repeating: 0, count: 32))
        }
    }

    /// The sizes a ratchet may give: with payload, and without.
    static func isSecretCount(_ count: Int, _ version: ProtocolVersion) -> Bool {
        switch version {
        // A key alone is what some put into empty messages; no payload opens with it.
        case .legacy: count == LegacyPayload.keyCount || count == LegacyPayload.secretCount
        case .omemo2: count == 32 || count == OMEMO2Payload.secretCount
        }
    }

    static func makeIV(
        _ version: ProtocolVersion, using random: inout some RandomNumberGenerator
    ) -> Bytes {
        version == .legacy ? LegacyPayload.makeIV(using: &random) : []
    }
}

/// AES-128-GCM (XEP-0384 0.3 §4.5).
enum LegacyPayload {
    static let keyCount = 16
    /// Key and tag.
    static let secretCount = 32

    static func makeIV(using random: inout some RandomNumberGenerator) -> Bytes {
        SecretBytes.random(count: 12, using: &random).bytes
    }

    static func seal(
        _ text: Bytes, using random: inout some RandomNumberGenerator
    ) throws(CryptoError) -> (secret: SecretBytes, iv: Bytes, ciphertext: Bytes) {
        let key = SecretBytes.random(count: keyCount, using: &random)
        let iv = makeIV(using: &random)
        let sealed = try AES.sealGCM(text, key: key, nonce: iv)
        return (SecretBytes(key.bytes + sealed.tag), iv, sealed.ciphertext)
    }

    /// - Parameters:
    ///   - iv: 12 bytes, or the 16 that clients wrote before 2019.
    ///   - secret: key ‖ tag. A 16-byte key alone is refused: its tag travelled beside the ratchet, where every other
    ///     recipient could have replaced it.
    static func open(
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
}

/// AES-256-CBC with HMAC-SHA-256, both keys derived from one (XEP-0384 §4.4, Message Encryption).
enum OMEMO2Payload {
    static let keyCount = 32
    static let macCount = 16
    /// Key and MAC.
    static let secretCount = 48

    static func seal(
        _ content: Bytes, using random: inout some RandomNumberGenerator
    ) throws(CryptoError) -> (secret: SecretBytes, iv: Bytes, ciphertext: Bytes) {
        let key = SecretBytes.random(count: keyCount, using: &random)
        let keys = derive(key)
        let ciphertext = try AES.encryptCBC(content, key: keys.cipherKey, iv: keys.iv)
        return (SecretBytes(key.bytes + mac(of: ciphertext, keys.macKey)), [], ciphertext)
    }

    static func open(_ ciphertext: Bytes, secret: SecretBytes) throws(DecryptionError) -> Bytes {
        guard secret.count == secretCount else { throw .invalidMessage("secret") }
        let keys = derive(secret.slice(0..<keyCount))
        guard constantTimeEqual(secret.slice(keyCount..<secretCount).bytes, mac(of: ciphertext, keys.macKey))
        else { throw .invalidMessage("payload") }
        do {
            return try AES.decryptCBC(ciphertext, key: keys.cipherKey, iv: keys.iv).bytes
        } catch {
            throw .invalidMessage("payload")
        }
    }

    private static func derive(
        _ key: SecretBytes
    ) -> (cipherKey: SecretBytes, macKey: SecretBytes, iv: Bytes) {
        let derived = HKDF.sha256(key, salt: [], info: Array("OMEMO Payload".utf8), count: 80)
        return (derived.slice(0..<32), derived.slice(32..<64), derived.slice(64..<80).bytes)
    }

    private static func mac(of ciphertext: Bytes, _ key: SecretBytes) -> Bytes {
        Bytes(HMAC.authenticate(ciphertext, key: key, .sha256).prefix(macCount))
    }
}
