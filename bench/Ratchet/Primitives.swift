// What one message costs in primitives alone: the same calls with the same sizes, nothing between them. The ratchet
// reuses keyed hashes where these calls cannot, so a share can come out a few per cent too high.
import IMCrypto
import OMEMO

struct Primitives {
    /// Microseconds for the symmetric part of one message on one side: two steps of the chain, the message keys, the
    /// cipher, the MAC.
    let symmetric: Double
    /// Microseconds for the Diffie-Hellman part of one message in ping-pong, both sides together: a fresh key pair,
    /// two agreements, two steps of the root chain.
    let agreement: Double

    init(_ version: ProtocolVersion) throws {
        var random = SystemRandomNumberGenerator()
        let secret = SecretBytes.random(count: version == .legacy ? 32 : 48, using: &random)
        let key = SecretBytes.random(count: 32, using: &random)
        let (salt, iv) = (Bytes(repeating: 0, count: 32), Bytes(repeating: 0, count: 16))
        // Both identity keys, ratchet key, counters, ciphertext.
        let authenticated = Bytes(repeating: 1, count: 66 + 44 + secret.count + 16)
        symmetric = try Ratchet.microseconds(each: 20_000) { _ in
            _ = HMAC.authenticate([1], key: key, .sha256)
            _ = HMAC.authenticate([2], key: key, .sha256)
            _ = HKDF.sha256(key, salt: salt, info: iv, count: 80)
            _ = try AES.encryptCBC(secret, key: key, iv: iv)
            _ = HMAC.authenticate(authenticated, key: key, .sha256)
        }
        let other = KeyPair.generate(using: &random)
        agreement = try Ratchet.microseconds(each: 2_000) { _ in
            let fresh = KeyPair.generate(using: &random)
            for pair in [(fresh, other), (other, fresh)] {
                let agreed = try pair.0.agree(with: pair.1.publicKey)
                _ = HKDF.sha256(agreed, salt: salt, info: iv, count: 64)
            }
        }
    }
}
