// The payload of urn:xmpp:omemo:2: key and MAC (XEP-0384 §4.4, Message Encryption).
import IMCrypto
import Testing

@testable import OMEMO

@Suite struct OMEMO2PayloadTests {
    private let content = Bytes("<envelope/>".utf8)

    private func sealed(_ seed: UInt64) throws -> (message: EncryptedMessage, secret: SecretBytes) {
        var random = Seeded(seed)
        let sealed = try Payload.seal(content, .omemo2, using: &random)
        #expect(sealed.iv.isEmpty)
        return (EncryptedMessage(.omemo2, sid: 1, keys: [], payload: sealed.ciphertext), sealed.secret)
    }

    @Test func `a payload opens with its secret of key and MAC`() throws {
        let (message, secret) = try sealed(760)
        #expect(secret.count == 48)
        #expect(message.payload?.count == 16)
        #expect(try Payload.open(message, secret: secret) == content)
        #expect(try sealed(761).secret != secret)
    }

    /// §4.4, step by step: HKDF-SHA-256 to 80 bytes, AES-256-CBC, HMAC-SHA-256 cut to 16 bytes.
    @Test func `a payload is sealed by the steps of the specification`() throws {
        let (message, secret) = try sealed(762)
        let keys = HKDF.sha256(
            secret.slice(0..<32), salt: Bytes(repeating: 0, count: 32), info: Bytes("OMEMO Payload".utf8),
            count: 80)
        let ciphertext = try AES.encryptCBC(
            content, key: keys.slice(0..<32), iv: keys.slice(64..<80).bytes)
        #expect(message.payload == ciphertext)
        #expect(
            secret.bytes.suffix(16)
                == HMAC.authenticate(ciphertext, key: keys.slice(32..<64), .sha256).prefix(16))
    }

    @Test func `C20 C27 no bit of ciphertext, key or MAC can be changed`() throws {
        var (message, secret) = try sealed(763)
        for bit in 0..<(8 * 48) {
            var altered = secret.bytes
            altered[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: DecryptionError.invalidMessage("payload")) {
                try Payload.open(message, secret: SecretBytes(altered))
            }
        }
        let genuine = try #require(message.payload)
        for bit in 0..<(8 * genuine.count) {
            message.payload?[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: DecryptionError.invalidMessage("payload")) {
                try Payload.open(message, secret: secret)
            }
            message.payload = genuine
        }
        for other in [[], Bytes(genuine.dropLast()), genuine + genuine] {
            message.payload = other
            #expect(throws: DecryptionError.invalidMessage("payload")) {
                try Payload.open(message, secret: secret)
            }
        }
        message.payload = nil
        #expect(throws: DecryptionError.invalidMessage("payload")) {
            try Payload.open(message, secret: secret)
        }
    }

    @Test func `C20 a key without the MAC behind it is refused, and so is what empty messages carry`() throws
    {
        let (message, secret) = try sealed(764)
        var random = Seeded(765)
        #expect(Payload.emptySecret(.omemo2, using: &random).bytes == Bytes(repeating: 0, count: 32))
        let longer = secret.bytes + Bytes(repeating: 0, count: 16)
        for count in [0, 16, 32, 47, 49, 64] {
            #expect(throws: DecryptionError.invalidMessage("secret")) {
                try Payload.open(message, secret: SecretBytes(longer.prefix(count)))
            }
        }
    }
}
