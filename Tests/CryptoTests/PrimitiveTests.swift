// Hashes, HMAC, HKDF, PBKDF2, X25519, Ed25519 against the vectors of their specifications.
import Testing

@testable import IMCrypto

private let tail = Bytes("what do ya want for nothing?".utf8)

@Suite struct PrimitiveTests {
    @Test func `digests of abc are those of FIPS 180-4 and RFC 7693`() throws {
        let abc = Bytes("abc".utf8)
        #expect(try Hash.sha1(abc) == bytes(hex: "a9993e364706816aba3e25717850c26c9cd0d89d"))
        #expect(
            try Hash.sha256(abc)
                == bytes(hex: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"))
        #expect(
            try Hash.sha512(abc)
                == bytes(
                    hex: "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                        + "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"))
        #expect(
            try Hash.blake2b(abc, count: 64)
                == bytes(
                    hex: "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
                        + "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923"))
    }

    @Test func `digests of nothing are those of FIPS 180-4`() throws {
        #expect(try Hash.sha1([]) == bytes(hex: "da39a3ee5e6b4b0d3255bfef95601890afd80709"))
        #expect(
            try Hash.sha256([])
                == bytes(hex: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"))
        #expect(Hash.blake2b([], count: 32).count == 32)
        let whole = Bytes((0..<300).map { UInt8(truncatingIfNeeded: $0) })
        var pieces = BLAKE2b(count: 16)
        for start in stride(from: 0, to: whole.count, by: 7) {
            Bytes(whole[start...].prefix(7)).withUnsafeBytes { pieces.update($0) }
        }
        var digest = Bytes(repeating: 0, count: 16)
        digest.withUnsafeMutableBytes { pieces.finish(into: $0) }
        #expect(digest == Hash.blake2b(whole, count: 16))
    }

    @Test func `HMAC matches RFC 4231 and RFC 2202`() throws {
        let key = SecretBytes(Bytes(repeating: 0x0b, count: 20))
        let jefe = SecretBytes(Bytes("Jefe".utf8))
        let hi = Bytes("Hi There".utf8)
        #expect(
            try HMAC.authenticate(hi, key: key, .sha1)
                == bytes(hex: "b617318655057264e28bc0b6fb378c8ef146be00"))
        #expect(
            try HMAC.authenticate(tail, key: jefe, .sha1)
                == bytes(hex: "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"))
        #expect(
            try HMAC.authenticate(hi, key: key, .sha256)
                == bytes(hex: "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"))
        #expect(
            try HMAC.authenticate(tail, key: jefe, .sha256)
                == bytes(hex: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"))
        #expect(
            try HMAC.authenticate(hi, key: key, .sha512)
                == bytes(
                    hex: "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
                        + "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"))
        let long = SecretBytes(Bytes(repeating: 0xaa, count: 131))
        #expect(
            try HMAC.authenticate(
                Bytes("Test Using Larger Than Block-Size Key - Hash Key First".utf8), key: long, .sha256)
                == bytes(hex: "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"))
    }

    @Test func `HKDF matches RFC 5869 appendix A`() throws {
        let short = SecretBytes(Bytes(repeating: 0x0b, count: 22))
        #expect(
            HKDF.sha256(short, salt: Bytes(0...12), info: Bytes(0xf0...0xf9), count: 42).bytes
                == (try bytes(
                    hex: "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
                        + "34007208d5b887185865")))
        #expect(
            HKDF.sha256(
                SecretBytes(Bytes(0x00...0x4f)), salt: Bytes(0x60...0xaf), info: Bytes(0xb0...0xff),
                count: 82
            ).bytes
                == (try bytes(
                    hex: "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
                        + "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
                        + "cc30c58179ec3e87c14c01d5c1f3434f1d87")))
        #expect(
            HKDF.sha256(short, salt: [], info: [], count: 42).bytes
                == (try bytes(
                    hex: "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
                        + "9d201395faa4b61a96c8")))
    }

    @Test func `an empty HKDF salt means 32 zero bytes`() {
        let ikm = SecretBytes(Bytes(1...32))
        #expect(
            HKDF.sha256(ikm, salt: [], info: Bytes("x".utf8), count: 80)
                == HKDF.sha256(ikm, salt: Bytes(repeating: 0, count: 32), info: Bytes("x".utf8), count: 80))
    }

    @Test func `PBKDF2 matches RFC 6070 and RFC 7914`() throws {
        let password = SecretBytes(Bytes("password".utf8))
        let salt = Bytes("salt".utf8)
        for (iterations, expected) in [
            (1, "0c60c80f961f0e71f3a9b524af6012062fe037a6"), (2, "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957"),
            (4096, "4b007901b765489abead49d926f721d065a429c1"),
        ] {
            let key = try PBKDF2.derive(
                .sha1, password: password, salt: salt, iterations: iterations, count: 20)
            #expect(try key.bytes == bytes(hex: expected))
        }
        let long = try PBKDF2.derive(
            .sha1, password: SecretBytes(Bytes("passwordPASSWORDpassword".utf8)),
            salt: Bytes("saltSALTsaltSALTsaltSALTsaltSALTsalt".utf8), iterations: 4096, count: 25)
        #expect(try long.bytes == bytes(hex: "3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038"))
        let scrypt = try PBKDF2.derive(
            .sha256, password: SecretBytes(Bytes("passwd".utf8)), salt: salt, iterations: 1, count: 64)
        #expect(
            try scrypt.bytes
                == bytes(
                    hex: "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
                        + "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"))
    }

    @Test(arguments: [0, -1, Int.max]) func `PBKDF2 refuses impossible numbers`(_ number: Int) {
        let password = SecretBytes(Bytes("p".utf8))
        #expect(throws: CryptoError.invalidLength("iterations")) {
            try PBKDF2.derive(.sha1, password: password, salt: [1], iterations: number, count: 20)
        }
        #expect(throws: CryptoError.invalidLength("count")) {
            try PBKDF2.derive(.sha1, password: password, salt: [1], iterations: 1, count: number)
        }
    }

    @Test func `X25519 matches RFC 7748 section 5_2`() throws {
        for (scalar, point, expected) in [
            (
                "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
                "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
                "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
            ),
            (
                "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
                "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
                "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"
            ),
        ] {
            #expect(try multiply(secret(hex: scalar), bytes(hex: point)) == bytes(hex: expected))
        }
        var (k, u) = (
            Bytes([9]) + Bytes(repeating: 0, count: 31), Bytes([9]) + Bytes(repeating: 0, count: 31)
        )
        for _ in 0..<1000 { (k, u) = (try #require(multiply(SecretBytes(k), u)), k) }
        #expect(try k == bytes(hex: "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"))
    }

    @Test func `two key pairs agree as in RFC 7748 section 6_1`() throws {
        let alice = try KeyPair(
            privateKey: secret(hex: "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"))
        let bob = try KeyPair(
            privateKey: secret(hex: "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
        #expect(
            try alice.publicKey.bytes
                == bytes(hex: "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"))
        let shared = try secret(hex: "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
        #expect(try alice.agree(with: bob.publicKey) == shared)
        #expect(try bob.agree(with: alice.publicKey) == shared)
    }

    @Test(arguments: [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
                + "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                + "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
                + "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ])
    func `Ed25519 matches RFC 8032 section 7_1`(
        _ seed: String, _ publicKey: String, _ message: String, _ signature: String
    ) throws {
        let identity = try IdentityKeyPair(seed: secret(hex: seed))
        #expect(try identity.publicKey.ed25519 == bytes(hex: publicKey))
        #expect(try identity.sign(bytes(hex: message)) == bytes(hex: signature))
        try IdentityKey(ed25519: bytes(hex: publicKey)).verify(
            bytes(hex: signature), of: bytes(hex: message))
    }

    @Test func `comparison sees every difference`() {
        let value = Bytes(0..<32)
        #expect(constantTimeEqual(value, value))
        #expect(constantTimeEqual([], []))
        #expect(!constantTimeEqual(value, Bytes(value.dropLast())))
        for index in value.indices {
            var other = value
            other[index] ^= 0x80
            #expect(!constantTimeEqual(value, other))
        }
    }
}

/// The X25519 function itself, nil for an all-zero result.
func multiply(_ scalar: SecretBytes, _ point: Bytes) -> Bytes? {
    var isUsable = false
    let out = SecretBytes(count: 32) { isUsable = X25519.multiply(scalar, point, into: $0) }
    return isUsable ? out.bytes : nil
}
