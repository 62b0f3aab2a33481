// Signatures of legacy OMEMO: Ed25519 over keys that are published in their X25519 form.

/// Ed25519 signatures whose bit 7 of byte 63 carries the sign of the signer's Edwards key, because the
/// published X25519 key lacks it. S is below 2^253, so the bit is free.
public enum XEdDSA {
    /// Signs in the legacy form: 64 bytes.
    public static func sign(_ message: Bytes, with identity: IdentityKeyPair) -> Bytes {
        var signature = identity.sign(message)
        signature[63] |= identity.publicKey.ed25519[31] & 0x80
        return signature
    }

    /// Verifies a signature in the legacy form.
    ///
    /// - Parameter key: the signer's X25519 identity key.
    /// - Returns: the signer's identity with the sign that the signature proved.
    /// - Throws: `.invalidSignature`; `.invalidKey` if `key` is not the X25519 form of any identity.
    public static func verify(
        _ signature: Bytes, of message: Bytes, by key: PublicKey
    ) throws(CryptoError) -> IdentityKey {
        guard signature.count == 64 else { throw .invalidSignature }
        let identity = try IdentityKey(curve25519: key, signBit: signature[63] & 0x80 != 0)
        var plain = signature
        plain[63] &= 0x7f
        try identity.verify(plain, of: message)
        return identity
    }
}
