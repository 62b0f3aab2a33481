// Recorded messages of python-omemo's backends (oldmemo and twomemo 2.1.0), for machines without them; see
// Vectors/README.md.
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
        /// What the ratchet gave for it, hex.
        var secret: String
    }

    var version: ProtocolVersion
    var jid: String
    var device: UInt32
    var identitySeed: String  // hex
    var signedPreKey: PrivateKey
    var preKey: PrivateKey
    var sender: String
    var senderBundle: String
    /// The keys that the first line of `opening` names, hex.
    var ephemeralKey: String
    /// What X3DH makes of them, hex.
    var sharedSecret: String
    /// Key exchanges.
    var opening: [Line]
    /// A record of ours, in storage format 1, hex: it has read the first line and sent an answer.
    var record: String
    /// What came after that answer.
    var answered: [Line]

    var testDescription: String { "\(version), device \(device)" }

    static let all: [Conversation] = ["legacy", "omemo2"].flatMap { name -> [Conversation] in
        guard
            let url = Foundation.Bundle.module.url(
                forResource: name, withExtension: "json", subdirectory: "Vectors"),
            let data = try? Data(contentsOf: url)
        else { return [] }
        return (try? JSONDecoder().decode([Conversation].self, from: data)) ?? []
    }
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
    @Test(arguments: ProtocolVersion.allCases)
    func `there are vectors for both signs`(_ version: ProtocolVersion) throws {
        let vectors = Conversation.all.filter { $0.version == version }
        #expect(vectors.count == 2)
        let signs = try vectors.map {
            try OMEMO.Bundle(parse($0.senderBundle), version).identityKey.ed25519[31] & 0x80
        }
        #expect(Set(signs) == [0, 0x80])
    }

    @Test(arguments: Conversation.all)
    func `the keys of a recorded key exchange agree on the recorded secret`(_ vector: Conversation) throws {
        let bundle = try OMEMO.Bundle(parse(vector.senderBundle), vector.version)
        let keys = RecordedKeys(conversation: vector)
        let secret = try X3DH.respond(
            own: identity(vector), signedPreKey: #require(try keys.signedPreKey(vector.signedPreKey.id)),
            preKey: #require(try keys.preKey(vector.preKey.id)),
            remoteIdentity: bundle.identityKey.curve25519,
            ephemeral: PublicKey(bytes(hex: vector.ephemeralKey)),
            vector.version == .legacy ? .legacy : .omemo2)
        #expect(try secret.bytes == bytes(hex: vector.sharedSecret))
    }

    @Test(arguments: Conversation.all, [[0, 1, 2, 3], [3, 0, 2, 1]])
    func `recorded key exchanges decrypt in any order`(_ conversation: Conversation, _ order: [Int]) throws {
        let own = try identity(conversation)
        let bundle = try OMEMO.Bundle(parse(conversation.senderBundle), conversation.version)
        var record = SessionRecord(conversation.version, expecting: bundle.identityKey)
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
        let message = try EncryptedMessage(parse(line.xml), conversation.version)
        let key = try #require(message.keys.first { $0.rid == conversation.device })
        let decrypted = try record.decrypt(
            key.data, isKeyExchange: key.isKeyExchange, own: own,
            preKeys: RecordedKeys(conversation: conversation))
        #expect(try decrypted.plaintext.bytes == bytes(hex: line.secret))
        let text = try Payload.open(message, secret: decrypted.plaintext)
        return (String(decoding: text, as: UTF8.self), decrypted)
    }
}
