// Recorded messages of python-omemo's backends (oldmemo and twomemo 2.1.0) and of imd, for machines without an oracle
// and for other implementations; see Vectors/README.md.
import Foundation
import Testing
import XMPP

@testable import IMCrypto
@testable import OMEMO

/// One side of a conversation with a throw-away device, the private keys of the other side included. All values but
/// ids, addresses and XML are hexadecimal.
struct Conversation: Codable, CustomTestStringConvertible, Sendable {
    struct PrivateKey: Codable {
        var id: UInt32
        var privateKey: String
    }

    /// A chain of messages, and the Diffie-Hellman step that starts it.
    struct Chain: Codable {
        /// Of who sends on it; its private half only where the receiving device sends.
        var ratchetKey: String
        var privateRatchetKey: String?
        var agreement: String
        var rootKey: String
        var chainKey: String
    }

    struct Line: Codable {
        var xml: String
        /// The content of the payload; nil for an empty message.
        var text: String?
        /// What the ratchet gives for it.
        var secret: String
        var n: UInt32
        var pn: UInt32
        /// Cipher key, MAC key and IV.
        var messageKeys: String
        /// The same of the payload; omemo:2 only, for in legacy they are in `secret` and in the message.
        var payloadKeys: String?
    }

    /// Who wrote `opening` and `answered`, and who read them at once.
    var madeBy: String
    var checkedBy: String
    var version: ProtocolVersion
    var jid: String
    var device: UInt32
    var identitySeed: String
    var signedPreKey: PrivateKey
    var preKey: PrivateKey
    var sender: String
    var senderBundle: String
    /// The keys that the first line of `opening` names.
    var ephemeralKey: String
    /// What X3DH makes of them.
    var sharedSecret: String
    var openingChain: Chain
    /// Key exchanges.
    var opening: [Line]
    var answerChain: Chain
    /// The empty message that the device sent after it had read the first line.
    var answer: Line
    /// A record of ours behind that answer, in storage format 1; only where imd was the device.
    var record: String?
    var answeredChain: Chain
    /// What came after that answer.
    var answered: [Line]

    var testDescription: String { "\(version) by \(madeBy), device \(device)" }

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

/// Draws what it was given, so that a recorded ratchet key is made again.
private struct Drawn: RandomNumberGenerator {
    var words: [UInt64]

    init(_ bytes: Bytes) {
        words = stride(from: 0, to: bytes.count, by: 8).map { start in
            bytes[start..<start + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
    }

    mutating func next() -> UInt64 { words.isEmpty ? 0 : words.removeFirst() }
}

@Suite struct VectorTests {
    private static let stored = Conversation.all.filter { $0.record != nil }

    @Test(arguments: ProtocolVersion.allCases)
    func `there are vectors for both signs, by imd and by another`(_ version: ProtocolVersion) throws {
        let vectors = Conversation.all.filter { $0.version == version }
        #expect(vectors.count == 4)
        for author in ["imd", "python-omemo"] {
            let signs = try vectors.filter { $0.madeBy == author }.map {
                try OMEMO.Bundle(parse($0.senderBundle), version).identityKey.ed25519[31] & 0x80
            }
            #expect(Set(signs) == [0, 0x80])
        }
    }

    @Test(arguments: Conversation.all)
    func `the keys of a recorded key exchange agree on the recorded secret`(_ vector: Conversation) throws {
        #expect(try hex(sharedSecret(vector).bytes) == vector.sharedSecret)
    }

    @Test(arguments: Conversation.all)
    func `the recorded secret leads to every recorded chain and message key`(_ vector: Conversation) throws {
        let signed = try #require(try RecordedKeys(conversation: vector).signedPreKey(vector.signedPreKey.id))
        var ratchet = try DoubleRatchet(
            responder: sharedSecret(vector), signedPreKey: signed,
            parameters: vector.version == .legacy ? .legacy : .omemo2)
        for line in vector.opening { try expectKeys(of: line, vector, &ratchet) }
        expect(vector.openingChain, ratchet.rootKey, ratchet.receiving.last?.dh)
        var random = Drawn(try bytes(hex: #require(vector.answerChain.privateRatchetKey)))
        let (header, keys) = try ratchet.sendingKeys(using: &random)
        expect(vector.answerChain, ratchet.rootKey, header.dh)
        #expect(header.n == vector.answer.n && header.pn == vector.answer.pn)
        #expect(hex(keys.cipherKey.bytes + keys.macKey.bytes + keys.iv) == vector.answer.messageKeys)
        for line in vector.answered { try expectKeys(of: line, vector, &ratchet) }
        expect(vector.answeredChain, ratchet.rootKey, ratchet.receiving.last?.dh)
    }

    @Test(arguments: Conversation.all)
    func `the first key of a recorded chain is that of its first message`(_ vector: Conversation) throws {
        let info = vector.version == .legacy ? "WhisperMessageKeys" : "OMEMO Message Key Material"
        for (chain, line) in [
            (vector.openingChain, vector.opening[0]), (vector.answerChain, vector.answer),
            (vector.answeredChain, vector.answered[0]),
        ] {
            let chainKey = SecretBytes(try bytes(hex: chain.chainKey))
            let messageKey = HMAC.authenticate([1], key: chainKey, .sha256)
            let keys = HKDF.sha256(SecretBytes(messageKey), salt: [], info: Bytes(info.utf8), count: 80)
            #expect(hex(keys.bytes) == line.messageKeys)
        }
    }

    @Test(arguments: Conversation.all)
    func `recorded payloads open with the recorded keys`(_ vector: Conversation) throws {
        for line in vector.opening + vector.answered {
            let message = try EncryptedMessage(parse(line.xml), vector.version)
            let payload = try #require(message.payload)
            let secret = try bytes(hex: line.secret)
            if vector.version == .legacy {
                let text = try AES.openGCM(
                    payload, tag: Bytes(secret[16...]), key: SecretBytes(Bytes(secret[..<16])),
                    nonce: message.iv)
                #expect(String(decoding: text, as: UTF8.self) == line.text)
                continue
            }
            let keys = try bytes(hex: #require(line.payloadKeys))
            #expect(
                HKDF.sha256(
                    SecretBytes(Bytes(secret[..<32])), salt: [], info: Bytes("OMEMO Payload".utf8), count: 80
                ).bytes == keys)
            let mac = HMAC.authenticate(payload, key: SecretBytes(Bytes(keys[32..<64])), .sha256)
            #expect(mac.prefix(16) == secret[32...])
            let text = try AES.decryptCBC(
                payload, key: SecretBytes(Bytes(keys[..<32])), iv: Bytes(keys[64...]))
            #expect(String(decoding: text.bytes, as: UTF8.self) == line.text)
            let envelope = try StanzaContent(text.bytes)
            try envelope.verify(sender: JID(vector.sender), recipient: JID(vector.jid))
            #expect(envelope.accepted.map(\.name) == ["body"])
        }
        #expect(vector.answer.text == nil)
        #expect(try EncryptedMessage(parse(vector.answer.xml), vector.version).payload == nil)
        if vector.version == .omemo2 {
            #expect(vector.answer.secret == String(repeating: "00", count: 32))
        }
    }

    @Test(arguments: Conversation.all, [[0, 1, 2, 3], [3, 0, 2, 1]])
    func `recorded key exchanges decrypt in any order`(_ conversation: Conversation, _ order: [Int]) throws {
        var record = try SessionRecord(
            conversation.version,
            expecting: OMEMO.Bundle(parse(conversation.senderBundle), conversation.version).identityKey)
        for (position, index) in order.enumerated() {
            let line = conversation.opening[index]
            let (text, decrypted) = try open(line, conversation, &record)
            #expect(text == line.text)
            #expect(decrypted.isNewSession == (position == 0))
            #expect(decrypted.usedPreKey == (position == 0 ? conversation.preKey.id : nil))
        }
        #expect(throws: DecryptionError.alreadyDecrypted) {
            try open(conversation.opening[2], conversation, &record)
        }
    }

    @Test(arguments: Conversation.all, [[0, 1, 2, 3], [3, 0, 2, 1]])
    func `the recorded answer is written again byte for byte, and what came after it decrypts`(
        _ conversation: Conversation, _ order: [Int]
    ) throws {
        var record = SessionRecord(conversation.version)
        _ = try open(conversation.opening[0], conversation, &record)
        var random = Drawn(try bytes(hex: #require(conversation.answerChain.privateRatchetKey)))
        let secret = SecretBytes(try bytes(hex: conversation.answer.secret))
        let answer = try record.encrypt(secret, using: &random)
        let recorded = try EncryptedMessage(parse(conversation.answer.xml), conversation.version)
        #expect(answer.data == recorded.keys.first?.data && !answer.isKeyExchange)
        try expectAnswered(conversation, order, &record)
    }

    @Test(arguments: stored, [[0, 1, 2, 3], [3, 0, 2, 1]])
    func `recorded messages decrypt with a stored record of format 1`(
        _ conversation: Conversation, _ order: [Int]
    ) throws {
        let stored = try bytes(hex: #require(conversation.record))
        var record = try SessionRecord(serialized: stored)
        #expect(record.serialized().bytes == stored)
        try expectAnswered(conversation, order, &record)
    }

    private func expectAnswered(
        _ conversation: Conversation, _ order: [Int], _ record: inout SessionRecord
    ) throws {
        for index in order {
            let line = conversation.answered[index]
            let (text, decrypted) = try open(line, conversation, &record)
            #expect(text == line.text)
            #expect(!decrypted.isNewSession)
        }
        // Late key exchanges still belong to the session.
        #expect(try open(conversation.opening[3], conversation, &record).text == conversation.opening[3].text)
    }

    private func expectKeys(
        of line: Conversation.Line, _ vector: Conversation, _ ratchet: inout DoubleRatchet
    ) throws {
        let header = try ratchetMessage(line.xml, vector.version).header
        #expect(header.n == line.n && header.pn == line.pn)
        let keys = try ratchet.receivingKeys(header)
        #expect(hex(keys.cipherKey.bytes + keys.macKey.bytes + keys.iv) == line.messageKeys)
    }

    private func expect(_ chain: Conversation.Chain, _ rootKey: SecretBytes, _ ratchetKey: PublicKey?) {
        #expect(hex(rootKey.bytes) == chain.rootKey)
        #expect(ratchetKey.map { hex($0.bytes) } == chain.ratchetKey)
    }

    private func sharedSecret(_ vector: Conversation) throws -> SecretBytes {
        let keys = RecordedKeys(conversation: vector)
        return try X3DH.respond(
            own: identity(vector), signedPreKey: #require(try keys.signedPreKey(vector.signedPreKey.id)),
            preKey: #require(try keys.preKey(vector.preKey.id)),
            remoteIdentity: OMEMO.Bundle(parse(vector.senderBundle), vector.version).identityKey.curve25519,
            ephemeral: PublicKey(bytes(hex: vector.ephemeralKey)),
            vector.version == .legacy ? .legacy : .omemo2)
    }

    private func identity(_ conversation: Conversation) throws -> IdentityKeyPair {
        try IdentityKeyPair(seed: SecretBytes(bytes(hex: conversation.identitySeed)))
    }

    private func open(
        _ line: Conversation.Line, _ conversation: Conversation, _ record: inout SessionRecord
    ) throws -> (text: String, decrypted: Decrypted) {
        let message = try EncryptedMessage(parse(line.xml), conversation.version)
        let key = try #require(message.keys.first { $0.rid == conversation.device })
        let decrypted = try record.decrypt(
            key.data, isKeyExchange: key.isKeyExchange, own: identity(conversation),
            preKeys: RecordedKeys(conversation: conversation))
        #expect(try decrypted.plaintext.bytes == bytes(hex: line.secret))
        let text = try Payload.open(message, secret: decrypted.plaintext)
        return (String(decoding: text, as: UTF8.self), decrypted)
    }
}

/// The ratchet message of the only `<key/>`, also out of a key exchange.
func ratchetMessage(_ xml: String, _ version: ProtocolVersion) throws -> RatchetMessage {
    let key = try #require(EncryptedMessage(parse(xml), version).keys.first)
    let data = key.isKeyExchange ? try KeyExchangeMessage(key.data, version).message : key.data
    return try RatchetMessage(data, version)
}
