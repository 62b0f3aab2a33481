// Project Wycheproof's vectors, where a copy of them is at hand.
import Foundation
import Testing

@testable import IMCrypto

/// `IMD_WYCHEPROOF`, else `../shared/vectors/wycheproof` beside the package.
private let directory: URL? = {
    let place: URL
    if let path = ProcessInfo.processInfo.environment["IMD_WYCHEPROOF"] {
        place = URL(filePath: path)
    } else {
        let package = (0..<3).reduce(URL(filePath: #filePath)) { url, _ in url.deletingLastPathComponent() }
        place = package.deletingLastPathComponent().appending(path: "shared/vectors/wycheproof")
    }
    return FileManager.default.fileExists(atPath: place.path) ? place : nil
}()

private struct File<Group: Decodable>: Decodable {
    let testGroups: [Group]
}

private struct Group<Case: Decodable>: Decodable {
    let tests: [Case]
    let keySize: Int?
    let ivSize: Int?
    let tagSize: Int?
}

private enum Outcome: String, Decodable { case valid, invalid, acceptable }

private func groups<T: Decodable>(_ type: T.Type, _ file: String) throws -> [T] {
    let directory = try #require(directory)
    let data = try Data(contentsOf: directory.appending(path: file))
    return try JSONDecoder().decode(File<T>.self, from: data).testGroups
}

@Suite(.enabled(if: directory != nil, "no Wycheproof vectors: set IMD_WYCHEPROOF"))
struct WycheproofTests {
    private struct XDH: Decodable {
        let tcId: Int
        let flags: [String]
        let `public`, `private`, shared: String
        let result: Outcome
    }

    @Test func `X25519 agrees and refuses every all-zero result`() throws {
        var refused = 0
        for test in try groups(Group<XDH>.self, "x25519_test.json").flatMap(\.tests) {
            let expected = try bytes(hex: test.shared)
            let result = try multiply(secret(hex: test.private), bytes(hex: test.public))
            if expected.allSatisfy({ $0 == 0 }) {
                #expect(result == nil, "case \(test.tcId)")
                refused += 1
            } else {
                #expect(result == expected, "case \(test.tcId)")
            }
        }
        #expect(refused >= 31)
    }

    @Test func `keys without influence are refused wherever a peer can put one`() throws {
        let tests = try groups(Group<XDH>.self, "x25519_test.json").flatMap(\.tests)
        let weak = tests.filter { $0.flags.contains("ZeroSharedSecret") }
        #expect(weak.count >= 31)
        var parsed: Set<PublicKey> = []
        for test in weak {
            let encoded = try bytes(hex: test.public)
            if isReduced(encoded) {
                let key = try PublicKey(encoded)
                parsed.insert(key)
                try expectRefused(key)
            } else {
                #expect(throws: CryptoError.invalidKey, "case \(test.tcId)") { try PublicKey(encoded) }
            }
        }
        // RFC 7748 §6.1: below 2²⁵⁵−19 there are five.
        #expect(parsed.count == 5)
    }

    /// Whether a little-endian number is below 2²⁵⁵−19.
    private func isReduced(_ number: Bytes) -> Bool {
        let prime: Bytes = [0xed] + Bytes(repeating: 0xff, count: 30) + [0x7f]
        return number.reversed().lexicographicallyPrecedes(prime.reversed())
    }

    private func expectRefused(_ key: PublicKey) throws {
        var random = SeededGenerator(7)
        let own = IdentityKeyPair.generate(using: &random)
        let pair = KeyPair.generate(using: &random)
        let peer = IdentityKeyPair.generate(using: &random).publicKey
        let good = pair.publicKey
        #expect(throws: CryptoError.invalidKey) { try IdentityKey(curve25519: key, signBit: false) }
        #expect(throws: CryptoError.invalidKey) { try IdentityKey(curve25519: key, signBit: true) }
        for (spk, opk) in [(key, good), (good, key)] {
            #expect(throws: CryptoError.lowOrderPoint) {
                try X3DH.initiate(
                    own: own, ephemeral: pair, remoteIdentity: peer, signedPreKey: spk, preKey: opk, .legacy)
            }
        }
        for (identity, ephemeral) in [(key, good), (good, key)] {
            #expect(throws: CryptoError.lowOrderPoint) {
                try X3DH.respond(
                    own: own, signedPreKey: pair, preKey: pair, remoteIdentity: identity,
                    ephemeral: ephemeral, .omemo2)
            }
        }
        let secret = SecretBytes(Bytes(0..<32))
        #expect(throws: RatchetError.invalidKey) {
            try DoubleRatchet(
                initiator: secret, remoteSignedPreKey: key, parameters: .legacy, using: &random)
        }
        var responder = DoubleRatchet(responder: secret, signedPreKey: pair, parameters: .legacy)
        let before = responder.serialized()
        #expect(throws: RatchetError.invalidKey) {
            try responder.receivingKeys(RatchetHeader(dh: key, n: 0, pn: 0))
        }
        #expect(responder.serialized() == before)
    }

    private struct EdDSAGroup: Decodable {
        struct Key: Decodable { let pk: String }
        struct Case: Decodable {
            let tcId: Int
            let msg, sig: String
            let result: Outcome
        }
        let publicKey: Key
        let tests: [Case]
    }

    @Test func `Ed25519 verifies what is valid and nothing else`() throws {
        for group in try groups(EdDSAGroup.self, "ed25519_test.json") {
            let key = try IdentityKey(ed25519: bytes(hex: group.publicKey.pk))
            for test in group.tests {
                let isValid = (try? key.verify(bytes(hex: test.sig), of: bytes(hex: test.msg))) != nil
                #expect(isValid == (test.result == .valid), "case \(test.tcId)")
                // The legacy form of the same signature carries the sign of the key.
                var legacy = try bytes(hex: test.sig)
                guard legacy.count == 64, legacy[63] & 0x80 == 0 else { continue }
                legacy[63] |= key.ed25519[31] & 0x80
                let signer = try? XEdDSA.verify(legacy, of: bytes(hex: test.msg), by: key.curve25519)
                #expect(signer == (isValid ? key : nil), "case \(test.tcId), legacy")
            }
        }
    }

    private struct HKDFCase: Decodable {
        let tcId: Int
        let ikm, salt, info, okm: String
        let size: Int
        let result: Outcome
    }

    @Test func `HKDF-SHA-256 agrees`() throws {
        for test in try groups(Group<HKDFCase>.self, "hkdf_sha256_test.json").flatMap(\.tests)
        where test.result == .valid {
            let key = try HKDF.sha256(
                secret(hex: test.ikm), salt: bytes(hex: test.salt), info: bytes(hex: test.info),
                count: test.size)
            #expect(try key.bytes == bytes(hex: test.okm), "case \(test.tcId)")
        }
    }

    private struct GCMCase: Decodable {
        let tcId: Int
        let key, iv, aad, msg, ct, tag: String
        let result: Outcome
    }

    @Test func `AES-GCM agrees for the sizes that OMEMO uses`() throws {
        var count = 0
        for group in try groups(Group<GCMCase>.self, "aes_gcm_test.json")
        where [128, 256].contains(group.keySize) && [96, 128].contains(group.ivSize) && group.tagSize == 128 {
            for test in group.tests where test.aad.isEmpty {
                count += 1
                let (key, nonce) = (try secret(hex: test.key), try bytes(hex: test.iv))
                let opened = try? AES.openGCM(
                    bytes(hex: test.ct), tag: bytes(hex: test.tag), key: key, nonce: nonce)
                #expect(try opened == (test.result == .valid ? bytes(hex: test.msg) : nil), "\(test.tcId)")
                guard test.result == .valid else { continue }
                let sealed = try AES.sealGCM(bytes(hex: test.msg), key: key, nonce: nonce)
                #expect(try sealed.ciphertext == bytes(hex: test.ct), "case \(test.tcId)")
                #expect(try sealed.tag == bytes(hex: test.tag), "case \(test.tcId)")
            }
        }
        #expect(count > 50)
    }

    private struct CBCCase: Decodable {
        let tcId: Int
        let key, iv, msg, ct: String
        let result: Outcome
    }

    @Test func `AES-256-CBC agrees and refuses every wrong padding`() throws {
        for group in try groups(Group<CBCCase>.self, "aes_cbc_pkcs5_test.json") where group.keySize == 256 {
            for test in group.tests {
                let (key, iv) = (try secret(hex: test.key), try bytes(hex: test.iv))
                let opened = try? AES.decryptCBC(bytes(hex: test.ct), key: key, iv: iv).bytes
                #expect(try opened == (test.result == .valid ? bytes(hex: test.msg) : nil), "\(test.tcId)")
                guard test.result == .valid else { continue }
                #expect(
                    try AES.encryptCBC(bytes(hex: test.msg), key: key, iv: iv) == bytes(hex: test.ct),
                    "case \(test.tcId)")
            }
        }
    }

    private struct MACCase: Decodable {
        let tcId: Int
        let key, msg, tag: String
        let result: Outcome
    }

    @Test(arguments: [
        (HashAlgorithm.sha1, "hmac_sha1_test.json"), (.sha256, "hmac_sha256_test.json"),
        (.sha512, "hmac_sha512_test.json"),
    ])
    func `HMAC agrees`(_ algorithm: HashAlgorithm, _ file: String) throws {
        for group in try groups(Group<MACCase>.self, file) {
            for test in group.tests {
                let code = try HMAC.authenticate(bytes(hex: test.msg), key: secret(hex: test.key), algorithm)
                let tag = Bytes(code.prefix((group.tagSize ?? 0) / 8))
                #expect(
                    try constantTimeEqual(tag, bytes(hex: test.tag)) == (test.result == .valid),
                    "case \(test.tcId)")
            }
        }
    }

    private struct PBKDFCase: Decodable {
        let tcId: Int
        let password, salt, dk: String
        let iterationCount, dkLen: Int
    }

    @Test(arguments: [
        (HashAlgorithm.sha1, "pbkdf2_hmacsha1_test.json"), (.sha256, "pbkdf2_hmacsha256_test.json"),
        (.sha512, "pbkdf2_hmacsha512_test.json"),
    ])
    func `PBKDF2 agrees`(_ algorithm: HashAlgorithm, _ file: String) throws {
        for test in try groups(Group<PBKDFCase>.self, file).flatMap(\.tests) {
            let key = try PBKDF2.derive(
                algorithm, password: secret(hex: test.password), salt: bytes(hex: test.salt),
                iterations: test.iterationCount, count: test.dkLen)
            #expect(try key.bytes == bytes(hex: test.dk), "case \(test.tcId)")
        }
    }
}
