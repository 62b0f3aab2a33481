// Identity keys: one Ed25519 key per device, with its X25519 form beside it.
import CSodium

/// The public identity of a device: an Ed25519 key and the X25519 key that is the same point.
public struct IdentityKey: Hashable, Sendable {
    /// 32 bytes (RFC 8032 §5.1.2); bit 7 of the last byte is the sign of x.
    public let ed25519: Bytes
    /// The form that takes part in key agreement and that legacy OMEMO publishes.
    public let curve25519: PublicKey

    /// Checks the key and computes its X25519 form.
    ///
    /// - Throws: `.invalidKey` unless the 32 bytes are the canonical encoding of a point of the prime-order
    ///   group.
    public init(ed25519: Bytes) throws(CryptoError) {
        guard ed25519.count == 32, EdwardsConversion.isCanonical(ed25519, ignoringTopBit: true) else {
            throw .invalidKey
        }
        Sodium.start()
        var isValid = false
        let u = Bytes(unsafeUninitializedCapacity: 32) { out, count in
            // Refuses points off the curve, of small order and with a torsion part.
            isValid = crypto_sign_ed25519_pk_to_curve25519(out.start, ed25519) == 0
            count = isValid ? 32 : 0
        }
        guard isValid else { throw .invalidKey }
        self.ed25519 = ed25519
        curve25519 = PublicKey(trusted: u)
    }

    /// The Ed25519 key whose X25519 form is `curve25519`; there are two, told apart by their sign.
    ///
    /// - Throws: `.invalidKey` if there is none in the prime-order group.
    public init(curve25519: PublicKey, signBit: Bool) throws(CryptoError) {
        guard var y = EdwardsConversion.edwardsY(montgomeryU: curve25519.bytes) else { throw .invalidKey }
        if signBit { y[31] |= 0x80 }
        try self.init(ed25519: y)
    }

    /// Puts back together what was stored. Only sizes are checked: both parts come from a key that was valid
    /// when it was saved, and the check costs more than decrypting a message.
    ///
    /// - Throws: `.invalidKey` unless both have 32 bytes.
    public init(restoring ed25519: Bytes, curve25519: Bytes) throws(CryptoError) {
        guard ed25519.count == 32 else { throw .invalidKey }
        self.ed25519 = ed25519
        self.curve25519 = try PublicKey(curve25519)
    }

    /// What people compare: 64 lower-case hex digits of the X25519 form.
    public var fingerprint: String {
        let digits = Bytes("0123456789abcdef".utf8)
        return String(
            decoding: curve25519.bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self
        )
    }

    /// Verifies an Ed25519 signature (RFC 8032 §5.1.7).
    ///
    /// - Throws: `.invalidSignature`, also for S of L or above and for R of small order.
    public func verify(_ signature: Bytes, of message: Bytes) throws(CryptoError) {
        guard signature.count == 64 else { throw .invalidSignature }
        Sodium.start()
        guard crypto_sign_verify_detached(signature, message, UInt64(message.count), ed25519) == 0 else {
            throw .invalidSignature
        }
    }

    /// Equal Ed25519 keys have equal X25519 forms.
    public static func == (a: IdentityKey, b: IdentityKey) -> Bool { a.ed25519 == b.ed25519 }

    /// Hashes the Ed25519 form.
    public func hash(into hasher: inout Hasher) { hasher.combine(ed25519) }
}

/// The identity of this device: an Ed25519 key pair that also serves as an X25519 one.
public struct IdentityKeyPair: Sendable {
    /// What others see.
    public let publicKey: IdentityKey
    /// 32 bytes (RFC 8032 §5.1.5); everything else derives from it.
    public let seed: SecretBytes
    /// The X25519 form.
    public let keyPair: KeyPair
    private let signingKey: SecretBytes  // seed and public key, as libsodium wants it

    /// A fresh identity from 32 random bytes.
    public static func generate(using random: inout some RandomNumberGenerator) -> IdentityKeyPair {
        IdentityKeyPair(checked: SecretBytes.random(count: 32, using: &random))
    }

    /// Derives everything from a stored seed.
    ///
    /// - Throws: `.invalidKey` unless `seed` has 32 bytes.
    public init(seed: SecretBytes) throws(CryptoError) {
        guard seed.count == 32 else { throw .invalidKey }
        self.init(checked: seed)
    }

    private init(checked seed: SecretBytes) {
        Sodium.start()
        var ed25519 = Bytes(repeating: 0, count: 32)
        var u = Bytes(repeating: 0, count: 32)
        let signingKey = SecretBytes(count: 64) { out in
            seed.withUnsafeBytes { _ = crypto_sign_seed_keypair(&ed25519, out.start, $0.start) }
        }
        let scalar = SecretBytes(count: 32) { out in
            signingKey.withUnsafeBytes {
                _ = crypto_sign_ed25519_sk_to_curve25519(out.start, $0.start)
            }
        }
        scalar.withUnsafeBytes { _ = crypto_scalarmult_base(&u, $0.start) }
        let publicKey = PublicKey(trusted: u)
        self.seed = seed
        self.signingKey = signingKey
        self.publicKey = IdentityKey(trusted: ed25519, publicKey)
        keyPair = KeyPair(trusted: scalar, publicKey)
    }

    /// Signs with Ed25519 (RFC 8032 §5.1.6): 64 bytes.
    public func sign(_ message: Bytes) -> Bytes {
        Bytes(unsafeUninitializedCapacity: 64) { out, count in
            signingKey.withUnsafeBytes {
                _ = crypto_sign_detached(
                    out.start, nil, message, UInt64(message.count), $0.start)
            }
            count = 64
        }
    }
}

extension IdentityKey {
    fileprivate init(trusted ed25519: Bytes, _ curve25519: PublicKey) {
        self.ed25519 = ed25519
        self.curve25519 = curve25519
    }
}
