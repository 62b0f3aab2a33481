// Recorded messages of python-omemo's legacy backend (oldmemo 2.1.0), for machines without it.
import Foundation
import IMCrypto
import Testing

@testable import OMEMO

/// One side of a conversation with a throw-away device of ours, private keys included.
struct Conversation: Codable, CustomTestStringConvertible, Sendable {
    struct PrivateKey: Codable {
        var id: UInt32
        var privateKey: String  // hex
    }

    struct Line: Codable {
        var xml: String
        var text: String
    }

    var device: UInt32
    var identitySeed: String  // hex
    var signedPreKey: PrivateKey
    var preKey: PrivateKey
    var sender: String
    var senderBundle: String
    /// Key exchanges.
    var opening: [Line]
    /// A record of ours, in storage format 1, hex: it has read the first line and sent an answer.
    var record: String
    /// What came after that answer.
    var answered: [Line]

    var testDescription: String { "device \(device)" }

    static let all: [Conversation] = {
        guard
            let url = Foundation.Bundle.module.url(
                forResource: "legacy", withExtension: "json", subdirectory: "Vectors"),
            let data = try? Data(contentsOf: url)
        else { return [] }
        return (try? JSONDecoder().decode([Conversation].self, from: data)) ?? []
    }()
}

private struct RecordedKeys: PreKeyStore {
    let conversation: Conversation

    func preKey(_ id: UInt32) throws -> KeyPair? { try pair(conversation.preKey, id) }
    func signedPreKey(_ id: UInt32) throws -> KeyPair? { try pair(conversation.signedPreKey, id) }

    private func pair(_ key: Conversation.PrivateKey, _ id: UInt32) throws -> KeyPair? {
        id == key.id ? try KeyPair(privateKey: SecretBytes(bytes(hex: key.privateKey))) : nil
    }
}

@Suite struct VectorTests {
    @Test func `there are vectors for both signs`() throws {
        #expect(Conversation.all.count == 2)
        let signs = try Conversation.all.map {
            try OMEMO.Bundle(parse($0.senderBundle), .legacy).identityKey.ed25519[31] & 0x80
        }
        #expect(Set(signs) == [0, 0x80])
    }

    @Test(arguments: Conversation.all, [[0, 1, 2, 3], [3, 0, 2, 1]])
    func `recorded key exchanges decrypt in any order`(_ conversation: Conversation, _ order: [Int]) throws {
        let own = try identity(conversation)
        var record = SessionRecord(
            .legacy, expecting: try OMEMO.Bundle(parse(conversation.senderBundle), .legacy).identityKey)
        for (position, index) in order.enumerated() {
            let line = conversation.opening[index]
            let (text, decrypted) = try open(line, conversation, own, &record)
            #expect(text == line.text)
            #expect(decrypted.isNewSession == (position == 0))
            #expect(decrypted.usedPreKey == (position == 0 ? conversation.preKey.id : nil))
        }
        #expect(throws: DecryptionError.alreadyDecrypted) {
            try open(conversation.opening[2], conversation, own, &record)
        }
    }

    @Test(arguments: Conversation.all, [[0, 1, 2, 3], [3, 0, 2, 1]])
    func `recorded messages decrypt with a stored record of format 1`(
        _ conversation: Conversation, _ order: [Int]
    ) throws {
        let own = try identity(conversation)
        var record = try SessionRecord(serialized: bytes(hex: conversation.record))
        #expect(try record.serialized().bytes == bytes(hex: conversation.record))
        for index in order {
            let line = conversation.answered[index]
            let (text, decrypted) = try open(line, conversation, own, &record)
            #expect(text == line.text)
            #expect(!decrypted.isNewSession)
        }
        // Late key exchanges still belong to the session.
        #expect(try open(conversation.opening[3], conversation, own, &record).text == "opening 3")
    }

    private func identity(_ conversation: Conversation) throws -> IdentityKeyPair {
        try IdentityKeyPair(seed: SecretBytes(bytes(hex: conversation.identitySeed)))
    }

    private func open(
        _ line: Conversation.Line, _ conversation: Conversation, _ own: IdentityKeyPair,
        _ record: inout SessionRecord
    ) throws -> (text: String, decrypted: Decrypted) {
        let message = try EncryptedMessage(parse(line.xml), .legacy)
        let key = try #require(message.keys.first { $0.rid == conversation.device })
        let decrypted = try record.decrypt(
            key.data, isKeyExchange: key.isKeyExchange, own: own,
            preKeys: RecordedKeys(conversation: conversation))
        let text = try Payload.open(message, secret: decrypted.plaintext)
        return (String(decoding: text, as: UTF8.self), decrypted)
    }
}
