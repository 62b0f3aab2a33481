// X25519: public keys, key pairs, agreement (RFC 7748).
import CSodium

/// An X25519 public key in its only canonical form, so that equal keys have equal bytes.
public struct PublicKey: Hashable, Sendable {
    /// 32 bytes, the little-endian u-coordinate, below 2^255-19.
    public let bytes: Bytes

    /// Checks the form, not the point: `agree` refuses what it must.
    ///
    /// - Parameter bytes: 32 bytes.
    /// - Throws: `.invalidKey` for another size, a set top bit or a value of 2^255-19 or above: no
    ///   implementation makes such keys, and each would be a second name of another key.
    public init(_ bytes: Bytes) throws(CryptoError) {
        guard bytes.count == 32, EdwardsConversion.isCanonical(bytes) else { throw .invalidKey }
        self.bytes = bytes
    }

    /// Decodes the form of legacy OMEMO: `05` and the 32 bytes.
    ///
    /// - Throws: `.invalidKey` for anything else.
    public init(serialized: Bytes) throws(CryptoError) {
        guard serialized.count == 33, serialized[0] == 5 else { throw .invalidKey }
        try self.init(Bytes(serialized[1...]))
    }

    /// `05` and the 32 bytes, as legacy OMEMO sends keys.
    public var serialized: Bytes { [5] + bytes }

    init(trusted bytes: Bytes) {
        self.bytes = bytes
    }
}

/// An X25519 key pair.
public struct KeyPair: Sendable {
    /// What others see.
    public let publicKey: PublicKey
    /// 32 bytes; clamped when used (RFC 7748 §5), kept as given.
    public let privateKey: SecretBytes

    /// A fresh pair from 32 random bytes.
    public static func generate(using random: inout some RandomNumberGenerator) -> KeyPair {
        KeyPair(checked: SecretBytes.random(count: 32, using: &random))
    }

    /// Derives the public key.
    ///
    /// - Throws: `.invalidKey` unless `privateKey` has 32 bytes.
    public init(privateKey: SecretBytes) throws(CryptoError) {
        guard privateKey.count == 32 else { throw .invalidKey }
        self.init(checked: privateKey)
    }

    /// Restores a stored pair without deriving the public key again.
    ///
    /// - Throws: `.invalidKey` unless `privateKey` has 32 bytes. That the two belong together is not checked.
    public init(privateKey: SecretBytes, publicKey: PublicKey) throws(CryptoError) {
        guard privateKey.count == 32 else { throw .invalidKey }
        self.privateKey = privateKey
        self.publicKey = publicKey
    }

    init(trusted privateKey: SecretBytes, _ publicKey: PublicKey) {
        self.privateKey = privateKey
        self.publicKey = publicKey
    }

    private init(checked privateKey: SecretBytes) {
        Sodium.start()
        let bytes = Bytes(unsafeUninitializedCapacity: 32) { out, count in
            privateKey.withUnsafeBytes { _ = crypto_scalarmult_base(out.start, $0.start) }
            count = 32
        }
        self.privateKey = privateKey
        publicKey = PublicKey(trusted: bytes)
    }

    /// The Diffie-Hellman secret shared with the owner of `other`: 32 bytes.
    ///
    /// - Throws: `.lowOrderPoint` if the result is all zero, which means `other` contributes nothing.
    public func agree(with other: PublicKey) throws(CryptoError) -> SecretBytes {
        try SecretBytes(count: 32) { (out) throws(CryptoError) in
            guard agree(with: other, into: out) else { throw .lowOrderPoint }
        }
    }

    /// Writes the shared secret to `out`, 32 bytes.
    ///
    /// - Returns: whether the secret is usable.
    func agree(with other: PublicKey, into out: UnsafeMutableRawBufferPointer) -> Bool {
        X25519.multiply(privateKey, other.bytes, into: out)
    }
}

enum X25519 {
    /// Scalar multiplication (RFC 7748 §5): clamps the scalar, ignores the point's top bit.
    ///
    /// - Parameters:
    ///   - scalar: 32 bytes.
    ///   - point: 32 bytes.
    ///   - out: room for 32 bytes.
    /// - Returns: false if the result is all zero.
    static func multiply(
        _ scalar: SecretBytes, _ point: Bytes, into out: UnsafeMutableRawBufferPointer
    ) -> Bool {
        precondition(scalar.count == 32 && point.count == 32 && out.count >= 32)
        Sodium.start()
        return scalar.withUnsafeBytes { crypto_scalarmult(out.start, $0.start, point) == 0 }
    }
}
