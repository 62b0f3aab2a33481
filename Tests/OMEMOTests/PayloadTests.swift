// The payload key and tag, trust levels, and the rules for our own device.
import IMCrypto
import Testing

@testable import OMEMO

@Suite struct PayloadTests {
    private let text = Bytes("hi".utf8)

    private func open(_ ciphertext: Bytes, _ iv: Bytes, _ secret: SecretBytes) throws -> Bytes {
        let message = EncryptedMessage(.legacy, sid: 1, keys: [], iv: iv, payload: ciphertext)
        return try Payload.open(message, secret: secret)
    }

    @Test func `a payload opens with its secret of key and tag`() throws {
        var random = Seeded(1)
        let sealed = try Payload.seal(text, .legacy, using: &random)
        #expect(sealed.secret.count == 32)
        #expect(sealed.iv.count == 12)
        #expect(sealed.ciphertext.count == text.count)
        #expect(try open(sealed.ciphertext, sealed.iv, sealed.secret) == text)
    }

    @Test func `each payload has its own key and nonce`() throws {
        var random = Seeded(2)
        let first = try Payload.seal(text, .legacy, using: &random)
        let second = try Payload.seal(text, .legacy, using: &random)
        #expect(first.secret.bytes.prefix(16) != second.secret.bytes.prefix(16))
        #expect(first.iv != second.iv)
    }

    @Test func `C20 a key without the tag behind it is refused, tag in the payload or not`() throws {
        var random = Seeded(3)
        let sealed = try Payload.seal(text, .legacy, using: &random)
        let tag = sealed.secret.bytes.suffix(16)
        for count in [0, 16, 31, 33, 48] {
            let secret = SecretBytes(
                (sealed.secret.bytes + Bytes(repeating: 0, count: 16)).prefix(count))
            #expect(throws: DecryptionError.invalidMessage("secret")) {
                try open(sealed.ciphertext + tag, sealed.iv, secret)
            }
        }
    }

    @Test func `no bit of ciphertext, nonce, key or tag can be changed`() throws {
        var random = Seeded(4)
        let sealed = try Payload.seal(text, .legacy, using: &random)
        func opens(_ ciphertext: Bytes, _ iv: Bytes, _ secret: Bytes) -> Bool {
            (try? open(ciphertext, iv, SecretBytes(secret))) != nil
        }
        for bit in 0..<(8 * 32) {
            var secret = sealed.secret.bytes
            secret[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(!opens(sealed.ciphertext, sealed.iv, secret))
        }
        for index in sealed.iv.indices {
            var iv = sealed.iv
            iv[index] ^= 1
            #expect(!opens(sealed.ciphertext, iv, sealed.secret.bytes))
        }
        for index in sealed.ciphertext.indices {
            var ciphertext = sealed.ciphertext
            ciphertext[index] ^= 1
            #expect(!opens(ciphertext, sealed.iv, sealed.secret.bytes))
        }
    }

    @Test func `a nonce of a wrong size is an error, not a crash`() throws {
        var random = Seeded(5)
        let sealed = try Payload.seal(text, .legacy, using: &random)
        for count in [0, 1, 11, 13, 64] {
            #expect(throws: DecryptionError.invalidMessage("payload")) {
                try open(sealed.ciphertext, Bytes(repeating: 0, count: count), sealed.secret)
            }
        }
    }

    @Test func `an empty message carries 32 random bytes`() {
        var random = Seeded(6)
        let first = Payload.emptySecret(.legacy, using: &random)
        #expect(first.count == 32)
        #expect(first != Payload.emptySecret(.legacy, using: &random))
    }
}

@Suite struct OwnDeviceTests {
    @Test func `a new device has an id in range, 100 pre-keys and a signed one`() throws {
        var random = Seeded(7)
        for _ in 0..<20 {
            let device = OwnDevice.generate(avoiding: [], at: 5, using: &random)
            #expect((1...0x7fff_ffff).contains(device.id))
            #expect(device.preKeys.map(\.id) == Array(1...100))
            #expect(device.signedPreKey.id == 1)
            #expect(device.signedPreKey.createdAt == 5)
            #expect(Set(device.preKeys.map(\.keyPair.publicKey)).count == 100)
        }
    }

    @Test func `a new device takes no id that is in the list`() {
        var random = Seeded(8)
        let first = OwnDevice.generate(avoiding: [], at: 0, using: &random)
        random = Seeded(8)
        let second = OwnDevice.generate(avoiding: [first.id], at: 0, using: &random)
        #expect(first.id != second.id)
    }

    @Test func `used pre-keys are replaced under new ids`() {
        var random = Seeded(9)
        #expect(
            OwnDevice.makePreKeys(after: 100, published: 97, using: &random).map(\.id) == [101, 102, 103])
        #expect(OwnDevice.makePreKeys(after: 100, published: 100, using: &random).isEmpty)
        #expect(OwnDevice.makePreKeys(after: 100, published: 101, using: &random).isEmpty)
    }

    @Test func `ids return to 1 after the highest`() {
        var random = Seeded(10)
        let keys = OwnDevice.makePreKeys(after: 0x7fff_fffe, published: 97, using: &random)
        #expect(keys.map(\.id) == [0x7fff_ffff, 1, 2])
        #expect(OwnDevice.makePreKeys(after: .max, published: 99, using: &random).map(\.id) == [1])
    }

    @Test func `the signed pre-key is due after a week, whichever way the clock went`() {
        let week: Int64 = 7 * 24 * 3600 * 1000
        #expect(!OwnDevice.signedPreKeyIsDue(createdAt: 1000, now: 1000))
        #expect(!OwnDevice.signedPreKeyIsDue(createdAt: 1000, now: 999 + week))
        #expect(OwnDevice.signedPreKeyIsDue(createdAt: 1000, now: 1000 + week))
        #expect(!OwnDevice.signedPreKeyIsDue(createdAt: week, now: 1))
        #expect(OwnDevice.signedPreKeyIsDue(createdAt: week, now: 0))
        #expect(OwnDevice.signedPreKeyIsDue(createdAt: .min, now: .max))
        #expect(OwnDevice.signedPreKeyIsDue(createdAt: .max, now: .min))
    }

    @Test func `the next signed pre-key is waited for a day at a time`() {
        let day: Int64 = 24 * 60 * 60 * 1000
        #expect(OwnDevice.signedPreKeyDelay(createdAt: 1000, now: 1000) == day)
        #expect(OwnDevice.signedPreKeyDelay(createdAt: 1000, now: 1000 + 7 * day - 5) == 5)
        #expect(OwnDevice.signedPreKeyDelay(createdAt: 1000, now: 1000 + 7 * day) == 0)
        #expect(OwnDevice.signedPreKeyDelay(createdAt: 3 * day, now: 0) == day, "the clock was set back")
        #expect(OwnDevice.signedPreKeyDelay(createdAt: .max, now: 0) == 0)
    }

    @Test func `the next signed pre-key is signed by the same identity`() throws {
        var random = Seeded(11)
        let device = OwnDevice.generate(avoiding: [], at: 0, using: &random)
        let next = SignedPreKey.generate(
            after: device.signedPreKey.id, identity: device.identity, at: 9, using: &random)
        #expect(next.id == 2)
        let bundle = Bundle(
            .legacy, identity: device.identity, signedPreKey: next,
            preKeys: device.bundle(.legacy).preKeys)
        #expect(try Bundle(bundle.element, .legacy).signedPreKeyID == 2)
    }
}
