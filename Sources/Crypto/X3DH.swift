// X3DH: the shared secret that starts a session, for both sides (XEP-0384 §4.2).
import CSodium

/// Extended triple Diffie-Hellman with a mandatory one-time pre-key.
public enum X3DH {
    /// What the OMEMO versions do differently.
    public struct Parameters: Sendable {
        let info: StaticString

        /// `eu.siacs.conversations.axolotl`
        public static let legacy = Parameters(info: "WhisperText")
        /// `urn:xmpp:omemo:2`
        public static let omemo2 = Parameters(info: "OMEMO X3DH")
    }

    /// The initiator's side. The caller has verified the signature of `signedPreKey`.
    ///
    /// - Returns: 32 bytes.
    /// - Throws: `.lowOrderPoint` if any of the peer's keys contributes nothing.
    public static func initiate(
        own: IdentityKeyPair, ephemeral: KeyPair, remoteIdentity: IdentityKey, signedPreKey: PublicKey,
        preKey: PublicKey, _ parameters: Parameters
    ) throws(CryptoError) -> SecretBytes {
        try derive(
            (own.keyPair, signedPreKey), (ephemeral, remoteIdentity.curve25519), (ephemeral, signedPreKey),
            (ephemeral, preKey), parameters)
    }

    /// The responder's side, from the keys that the key exchange names.
    ///
    /// - Returns: 32 bytes.
    /// - Throws: `.lowOrderPoint` if any of the peer's keys contributes nothing.
    public static func respond(
        own: IdentityKeyPair, signedPreKey: KeyPair, preKey: KeyPair, remoteIdentity: PublicKey,
        ephemeral: PublicKey, _ parameters: Parameters
    ) throws(CryptoError) -> SecretBytes {
        try derive(
            (signedPreKey, remoteIdentity), (own.keyPair, ephemeral), (signedPreKey, ephemeral),
            (preKey, ephemeral), parameters)
    }

    private typealias Agreement = (own: KeyPair, remote: PublicKey)

    private static func derive(
        _ first: Agreement, _ second: Agreement, _ third: Agreement, _ fourth: Agreement,
        _ parameters: Parameters
    ) throws(CryptoError) -> SecretBytes {
        // 32 bytes FF keep this input apart from an XEdDSA hash (X3DH §2.2).
        let agreed = try SecretBytes(count: 160) { (ikm) throws(CryptoError) in
            for index in 0..<32 { ikm[index] = 0xff }
            var offset = 32
            for agreement in [first, second, third, fourth] {
                let out = UnsafeMutableRawBufferPointer(rebasing: ikm[offset..<offset + 32])
                guard agreement.own.agree(with: agreement.remote, into: out) else { throw .lowOrderPoint }
                offset += 32
            }
        }
        return SecretBytes(count: 32) { out in
            agreed.withUnsafeBytes { ikm in
                HKDF.derive(HKDF.zeroSalt, ikm: ikm, info: parameters.info.buffer, into: out)
            }
        }
    }
}

extension StaticString {
    /// The UTF-8 bytes, without a copy; the constants here are never single scalars.
    var buffer: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: utf8Start, count: utf8CodeUnitCount)
    }
}
