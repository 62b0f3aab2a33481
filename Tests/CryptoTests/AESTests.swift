// AES modes against NIST's vectors, and what they refuse.
import IMCrypto
import Testing

@Suite struct AESTests {
    @Test func `CBC matches SP 800-38A section F_2_5`() throws {
        let key = try secret(hex: "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
        let plaintext = try bytes(
            hex: "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
                + "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
        let expected = try bytes(
            hex: "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"
                + "39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b")
        let ciphertext = try AES.encryptCBC(plaintext, key: key, iv: Bytes(0..<16))
        #expect(ciphertext.count == 80)
        #expect(Bytes(ciphertext.prefix(64)) == expected)
        #expect(try AES.encryptCBC(SecretBytes(plaintext), key: key, iv: Bytes(0..<16)) == ciphertext)
        #expect(try AES.decryptCBC(ciphertext, key: key, iv: Bytes(0..<16)).bytes == plaintext)
    }

    @Test(arguments: [
        (16, "", "", "58e2fccefa7e3061367f1d57a4e7455a"),
        (
            16, "00000000000000000000000000000000", "0388dace60b6a392f328c2b971b2fe78",
            "ab6e47d42cec13bdf53a67b21257bddf"
        ),
        (32, "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
        (
            32, "00000000000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18",
            "d0d1c8a799996bf0265b98b5d48ab919"
        ),
    ])
    func `GCM matches cases 1, 2, 13 and 14 of its specification`(
        _ keySize: Int, _ plaintext: String, _ ciphertext: String, _ tag: String
    ) throws {
        let key = SecretBytes(Bytes(repeating: 0, count: keySize))
        let nonce = Bytes(repeating: 0, count: 12)
        let sealed = try AES.sealGCM(bytes(hex: plaintext), key: key, nonce: nonce)
        #expect(try sealed.ciphertext == bytes(hex: ciphertext))
        #expect(try sealed.tag == bytes(hex: tag))
        let opened = try AES.openGCM(sealed.ciphertext, tag: sealed.tag, key: key, nonce: nonce)
        #expect(try opened == bytes(hex: plaintext))
    }

    @Test func `GCM refuses any flipped bit`() throws {
        let key = SecretBytes(Bytes(0..<16))
        let nonce = Bytes(0..<12)
        let sealed = try AES.sealGCM(Bytes("hello".utf8), key: key, nonce: nonce)
        for bit in 0..<(sealed.ciphertext.count + 16) * 8 {
            var all = sealed.ciphertext + sealed.tag
            all[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: CryptoError.authenticationFailed) {
                try AES.openGCM(Bytes(all.dropLast(16)), tag: Bytes(all.suffix(16)), key: key, nonce: nonce)
            }
        }
    }

    @Test func `wrong sizes are refused by name`() {
        let key = SecretBytes(Bytes(0..<32))
        let odd = SecretBytes(Bytes(0..<24))
        let iv = Bytes(0..<16)
        #expect(throws: CryptoError.invalidLength("key")) { try AES.encryptCBC([1], key: odd, iv: iv) }
        #expect(throws: CryptoError.invalidLength("iv")) { try AES.encryptCBC([1], key: key, iv: [1]) }
        #expect(throws: CryptoError.invalidLength("iv")) { try AES.encryptCBC(odd, key: key, iv: []) }
        #expect(throws: CryptoError.invalidLength("key")) { try AES.decryptCBC(iv, key: odd, iv: iv) }
        #expect(throws: CryptoError.invalidLength("iv")) { try AES.decryptCBC(iv, key: key, iv: [1]) }
        #expect(throws: CryptoError.invalidLength("key")) { try AES.sealGCM([1], key: odd, nonce: iv) }
        #expect(throws: CryptoError.invalidLength("nonce")) { try AES.sealGCM([1], key: key, nonce: [1]) }
        #expect(throws: CryptoError.invalidLength("tag")) {
            try AES.openGCM([1], tag: [1], key: key, nonce: iv)
        }
    }

    @Test(arguments: [0, 1, 15, 17, 33]) func `CBC refuses what is not whole blocks`(_ count: Int) {
        #expect(throws: CryptoError.invalidPadding) {
            try AES.decryptCBC(
                Bytes(repeating: 7, count: count), key: SecretBytes(Bytes(0..<32)), iv: Bytes(0..<16))
        }
    }
}
