// Identity keys, conversions and legacy signatures: both signs, and everything that is refused.
import IMCrypto
import Testing

/// 2^255-19 and the group order, little-endian.
private let prime = Bytes([0xed]) + Bytes(repeating: 0xff, count: 30) + [0x7f]
private let order =
    (try? bytes(hex: "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")) ?? []

/// Identities of both signs, from fixed seeds.
private let identities: [IdentityKeyPair] = {
    var random = SeededGenerator(11)
    return (0..<16).map { _ in IdentityKeyPair.generate(using: &random) }
}()

@Suite struct IdentityTests {
    @Test func `the samples have both signs`() {
        #expect(Set(identities.map { $0.publicKey.ed25519[31] >> 7 }) == [0, 1])
    }

    @Test(arguments: identities) func `a legacy signature names its signer`(_ identity: IdentityKeyPair)
        throws
    {
        let message = identity.publicKey.curve25519.serialized
        let signature = XEdDSA.sign(message, with: identity)
        #expect(signature[63] >> 7 == identity.publicKey.ed25519[31] >> 7)
        let signer = try XEdDSA.verify(signature, of: message, by: identity.publicKey.curve25519)
        #expect(signer == identity.publicKey)
        #expect(signer.curve25519 == identity.publicKey.curve25519)
    }

    @Test(arguments: identities.prefix(4))
    func `no bit of a legacy signature can change`(_ identity: IdentityKeyPair) throws {
        let message = Bytes("signed".utf8)
        let signature = XEdDSA.sign(message, with: identity)
        for bit in 0..<512 {
            var other = signature
            other[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: CryptoError.invalidSignature) {
                try XEdDSA.verify(other, of: message, by: identity.publicKey.curve25519)
            }
        }
        #expect(throws: CryptoError.invalidSignature) {
            try XEdDSA.verify(signature, of: message + [0], by: identity.publicKey.curve25519)
        }
        #expect(throws: CryptoError.invalidSignature) {
            try XEdDSA.verify(Bytes(signature.dropLast()), of: message, by: identity.publicKey.curve25519)
        }
    }

    @Test(arguments: identities) func `S plus L is refused in both forms`(_ identity: IdentityKeyPair) throws
    {
        let message = Bytes("signed".utf8)
        var plain = identity.sign(message)
        var carry = 0
        for index in 0..<32 {
            carry += Int(plain[32 + index]) + Int(order[index])
            plain[32 + index] = UInt8(carry & 0xff)
            carry >>= 8
        }
        #expect(carry == 0 && plain[63] & 0x80 == 0)
        var legacy = plain
        legacy[63] |= identity.publicKey.ed25519[31] & 0x80
        #expect(throws: CryptoError.invalidSignature) {
            try identity.publicKey.verify(plain, of: message)
        }
        #expect(throws: CryptoError.invalidSignature) {
            try XEdDSA.verify(legacy, of: message, by: identity.publicKey.curve25519)
        }
    }

    @Test(arguments: identities) func `both forms of an identity convert into each other`(
        _ identity: IdentityKeyPair
    ) throws {
        let key = identity.publicKey
        #expect(try IdentityKey(ed25519: key.ed25519).curve25519 == key.curve25519)
        let sign = key.ed25519[31] & 0x80 != 0
        #expect(try IdentityKey(curve25519: key.curve25519, signBit: sign) == key)
        #expect(try IdentityKey(curve25519: key.curve25519, signBit: !sign) != key)
        #expect(try IdentityKey(restoring: key.ed25519, curve25519: key.curve25519.bytes) == key)
        #expect(identity.keyPair.publicKey == key.curve25519)
        #expect(try IdentityKeyPair(seed: identity.seed).publicKey == key)
    }

    @Test func `a fingerprint is the X25519 key in lower-case hex`() throws {
        let fingerprint = identities[0].publicKey.fingerprint
        #expect(fingerprint.count == 64)
        #expect(fingerprint == fingerprint.lowercased())
        #expect(try bytes(hex: fingerprint) == identities[0].publicKey.curve25519.bytes)
    }

    @Test func `u of minus one has no Edwards form`() throws {
        var minusOne = prime
        minusOne[0] -= 1
        let key = try PublicKey(minusOne)
        #expect(throws: CryptoError.invalidKey) { try IdentityKey(curve25519: key, signBit: false) }
        #expect(throws: CryptoError.invalidKey) { try IdentityKey(curve25519: key, signBit: true) }
    }

    @Test func `a point of the twist is no identity`() throws {
        // RFC 7748: u = 2 is not on the curve (the Legendre symbol of u^3 + 486662u^2 + u is -1).
        let key = try PublicKey([2] + Bytes(repeating: 0, count: 31))
        #expect(throws: CryptoError.invalidKey) { try IdentityKey(curve25519: key, signBit: false) }
    }

    @Test func `only the canonical form of a public key is accepted`() throws {
        for offset: UInt8 in 0...18 {
            var bytes = prime
            bytes[0] += offset
            #expect(throws: CryptoError.invalidKey) { try PublicKey(bytes) }
            #expect(throws: CryptoError.invalidKey) { try IdentityKey(ed25519: bytes) }
            bytes[31] |= 0x80
            #expect(throws: CryptoError.invalidKey) { try PublicKey(bytes) }
            #expect(throws: CryptoError.invalidKey) { try IdentityKey(ed25519: bytes) }
        }
        var highBit = identities[0].publicKey.curve25519.bytes
        highBit[31] |= 0x80
        #expect(throws: CryptoError.invalidKey) { try PublicKey(highBit) }
    }

    @Test(arguments: [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ])
    func `points of small order are no identity`(_ hex: String) {
        #expect(throws: CryptoError.invalidKey) { try IdentityKey(ed25519: bytes(hex: hex)) }
    }

    @Test func `the serialized form is 05 and 32 bytes`() throws {
        let key = identities[0].publicKey.curve25519
        #expect(key.serialized == [5] + key.bytes)
        #expect(try PublicKey(serialized: key.serialized) == key)
        for wrong in [[], [5], key.bytes, [4] + key.bytes, [5] + key.bytes + [0]] as [Bytes] {
            #expect(throws: CryptoError.invalidKey) { try PublicKey(serialized: wrong) }
        }
    }

    @Test(arguments: [0, 31, 33, 64]) func `keys of the wrong size are refused`(_ size: Int) {
        let bytes = Bytes(repeating: 1, count: size)
        #expect(throws: CryptoError.invalidKey) { try PublicKey(bytes) }
        #expect(throws: CryptoError.invalidKey) { try IdentityKey(ed25519: bytes) }
        #expect(throws: CryptoError.invalidKey) { try KeyPair(privateKey: SecretBytes(bytes)) }
        #expect(throws: CryptoError.invalidKey) { try IdentityKeyPair(seed: SecretBytes(bytes)) }
    }
}
