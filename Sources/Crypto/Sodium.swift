// One-time initialisation of libsodium, and the byte type everything here speaks.
import CSodium

/// Bytes that need no protection: public keys, ciphertext, digests.
public typealias Bytes = [UInt8]

enum Sodium {
    private static let started: Bool = sodium_init() >= 0

    /// Chooses libsodium's fastest implementations for this processor, once per process.
    ///
    /// Stops the process if libsodium cannot start: nothing here is safe without it.
    @inline(__always)
    static func start() {
        precondition(started, "libsodium cannot be initialised")
    }
}

/// Why a cryptographic operation was refused. Carries no key and no text.
public enum CryptoError: Error, Equatable, Sendable {
    /// Not a canonical, usable public key, or not a private key of the right size.
    case invalidKey
    /// The signature does not belong to this key and message, or is not in canonical form.
    case invalidSignature
    /// A Diffie-Hellman result was all zero: the peer sent a point of small order.
    case lowOrderPoint
    /// An authenticated decryption found other bytes than were encrypted.
    case authenticationFailed
    /// Ciphertext that is not whole blocks, or whose padding is wrong.
    case invalidPadding
    /// The named input has an impossible size.
    case invalidLength(String)
    /// Stored state that this version did not write, or that was damaged.
    case invalidSerialization
}

/// Compares without revealing through timing where two values differ. Sizes are not secret.
public func constantTimeEqual(_ a: Bytes, _ b: Bytes) -> Bool {
    guard a.count == b.count else { return false }
    return a.isEmpty || sodium_memcmp(a, b, a.count) == 0
}
