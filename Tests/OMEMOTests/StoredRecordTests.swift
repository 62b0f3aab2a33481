// Session records in rows of schema 2, which knows legacy alone: they must load, and go on.
import Foundation
import IMCrypto
import Testing

@testable import OMEMO

/// One record of a throw-away device, with a message that it has not read.
private struct StoredRecord: Codable, CustomTestStringConvertible, Sendable {
    var state: String
    var identitySeed: String  // hex
    var record: String  // hex
    /// The content of a `<key/>`, hex.
    var message: String?
    var isKeyExchange: Bool?
    /// What the ratchet gave for it, hex.
    var secret: String?

    var testDescription: String { state }

    static let all: [StoredRecord] = {
        guard
            let url = Foundation.Bundle.module.url(
                forResource: "records", withExtension: "json", subdirectory: "Vectors"),
            let data = try? Data(contentsOf: url)
        else { return [] }
        return (try? JSONDecoder().decode([StoredRecord].self, from: data)) ?? []
    }()
}

private struct NoPreKeys: PreKeyStore {
    func preKey(_ id: UInt32) -> KeyPair? { nil }
    func signedPreKey(_ id: UInt32) -> KeyPair? { nil }
}

@Suite struct StoredRecordTests {
    @Test func `there is a record of each kind`() {
        #expect(StoredRecord.all.count == 4)
    }

    @Test(arguments: StoredRecord.all)
    private func `a legacy record loads, is written as it was, and reads on`(_ stored: StoredRecord) throws {
        var record = try SessionRecord(serialized: bytes(hex: stored.record))
        #expect(record.version == .legacy)
        #expect(try record.serialized().bytes == bytes(hex: stored.record))
        guard let message = stored.message, let isKeyExchange = stored.isKeyExchange else {
            #expect(record.isEmpty && record.remoteIdentity != nil)
            return
        }
        let own = try IdentityKeyPair(seed: SecretBytes(bytes(hex: stored.identitySeed)))
        let opened = try record.decrypt(
            bytes(hex: message), isKeyExchange: isKeyExchange, own: own, preKeys: NoPreKeys())
        #expect(try opened.plaintext.bytes == bytes(hex: #require(stored.secret)))
        var random = Seeded(1)
        let secret = Payload.emptySecret(.legacy, using: &random)
        #expect(try !record.encrypt(secret, using: &random).isKeyExchange)
        #expect(record.unansweredCount == 1)
        #expect(try SessionRecord(serialized: record.serialized().bytes).unansweredCount == 1)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `a record of either version stays small`(_ version: ProtocolVersion) throws {
        let (alice, bob) = try acquainted(920, version)
        #expect(try #require(bob.stored(alice)).count < 400)
        #expect(try #require(alice.stored(bob)).count < 400)
    }

    @Test func `a record of one version is none of the other`() throws {
        let (alice, bob) = try acquainted(922, .omemo2)
        var bytes = try #require(bob.stored(alice))
        #expect(bytes[1] == 1)
        let message = try alice.send("x", to: bob).keys[0]
        bytes[1] = 0
        var record = try SessionRecord(serialized: bytes)
        #expect(throws: DecryptionError.self) {
            try record.decrypt(
                message.data, isKeyExchange: message.isKeyExchange, own: bob.own.identity, preKeys: bob)
        }
        bytes[1] = 2
        #expect(throws: CryptoError.invalidSerialization) { try SessionRecord(serialized: bytes) }
    }
}
