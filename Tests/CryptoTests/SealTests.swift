// Secrets at rest: XChaCha20-Poly1305, Argon2id, and long secrets in pieces.
import IMCrypto
import Testing

@testable import IMCrypto

struct SealTests {
    /// draft-irtf-cfrg-xchacha-03, A.3.1.
    @Test func `XChaCha20-Poly1305 gives the draft's ciphertext`() throws {
        let text =
            "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."
        let key = SecretBytes(Bytes(0x80...0x9f))
        let nonce = Bytes(0x40...0x57)
        let associated = try bytes("50515253c0c1c2c3c4c5c6c7")
        let sealed = SecretBytes(Bytes(text.utf8)).withUnsafeBytes {
            Seal.seal($0, nonce: nonce, key: key, associated: associated)
        }
        let expected =
            "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39"
            + "ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
            + "21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49"
        #expect(sealed == nonce + (try bytes(expected)))
        #expect(try Seal.open(sealed, key: key, associated: associated).bytes == Bytes(text.utf8))
    }

    @Test func `no bit of a sealed secret, its key or its place can be changed`() throws {
        var random = SystemRandomNumberGenerator()
        let key = SecretBytes.random(count: 32, using: &random)
        let sealed = Seal.seal(SecretBytes([1, 2, 3]), key: key, associated: [7], using: &random)
        for bit in 0..<(8 * sealed.count) {
            var changed = sealed
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: CryptoError.authenticationFailed) {
                try Seal.open(changed, key: key, associated: [7])
            }
        }
        for other in [Bytes(), [8], [7, 7]] {
            #expect(throws: CryptoError.self) { try Seal.open(sealed, key: key, associated: other) }
        }
        let otherKey = SecretBytes.random(count: 32, using: &random)
        #expect(throws: CryptoError.self) { try Seal.open(sealed, key: otherKey, associated: [7]) }
        for count in 0..<sealed.count {
            #expect(throws: CryptoError.self) {
                try Seal.open(Bytes(sealed.prefix(count)), key: key, associated: [7])
            }
        }
    }

    @Test func `two seals of one secret share no byte to compare`() {
        var random = SystemRandomNumberGenerator()
        let key = SecretBytes.random(count: 32, using: &random)
        let secret = SecretBytes([1, 2, 3])
        let first = Seal.seal(secret, key: key, associated: [], using: &random)
        #expect(first != Seal.seal(secret, key: key, associated: [], using: &random))
        #expect(first.count == 3 + Seal.overhead)
    }

    /// Made with argon2-cffi 25.1.0: `hash_secret_raw(b"correct horse", bytes(range(16)), 2, 8192, 1, 32, Type.ID)`.
    @Test func `a passphrase gives the key that other implementations derive`() throws {
        let parameters = PassphraseKey.Parameters(
            salt: Bytes(0..<16), operations: 2, memory: 8192 * 1024)
        let key = try PassphraseKey.derive(SecretBytes("correct horse".utf8), parameters)
        #expect(
            key.bytes == (try bytes(argon2)))
    }

    private let argon2 = "5d6feb78fec962f9fe4465119605b64a5dbce8acde9e8ae0c8b3d4c2f518c9a4"

    @Test func `parameters from a file cannot ask for any amount of work`() {
        var parameters = PassphraseKey.Parameters(salt: Bytes(0..<16), operations: 11, memory: 8192)
        #expect(throws: CryptoError.self) { try PassphraseKey.derive(SecretBytes([1]), parameters) }
        (parameters.operations, parameters.memory) = (1, 2 << 30)
        #expect(throws: CryptoError.self) { try PassphraseKey.derive(SecretBytes([1]), parameters) }
        (parameters.memory, parameters.salt) = (8192, [])
        #expect(throws: CryptoError.self) { try PassphraseKey.derive(SecretBytes([1]), parameters) }
    }

    @Test func `pieces open in their order, whole, and tell which is the last`() throws {
        var random = SystemRandomNumberGenerator()
        let key = SecretBytes.random(count: 32, using: &random)
        let writer = SealedStreamWriter(key: key)
        let pieces = [Bytes("one".utf8), [], Bytes(repeating: 7, count: 70_000)]
        let sealed = pieces.enumerated().map { writer.push($1, isFinal: $0 == 2) }
        let reader = try SealedStreamReader(header: writer.header, key: key)
        for (index, piece) in sealed.enumerated() {
            let opened = try reader.pull(piece)
            #expect(opened.piece == pieces[index] && opened.isFinal == (index == 2))
        }
        for order in [[1], [2], [0, 2], [0, 0]] {
            let reader = try SealedStreamReader(header: writer.header, key: key)
            for index in order.dropLast() { _ = try reader.pull(sealed[index]) }
            #expect(throws: CryptoError.self) { try reader.pull(sealed[order.last ?? 0]) }
        }
        var changed = sealed[0]
        changed[5] ^= 1
        let other = try SealedStreamReader(header: writer.header, key: key)
        #expect(throws: CryptoError.self) { try other.pull(changed) }
        #expect(throws: CryptoError.self) { try other.pull(Bytes(sealed[0].prefix(10))) }
    }

    private func bytes(_ hex: String) throws -> Bytes {
        try stride(from: 0, to: hex.count, by: 2).map { offset in
            let start = hex.index(hex.startIndex, offsetBy: offset)
            return try #require(UInt8(hex[start..<hex.index(start, offsetBy: 2)], radix: 16))
        }
    }
}
