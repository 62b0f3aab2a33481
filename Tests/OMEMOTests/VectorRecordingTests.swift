// Makes Vectors/legacy.json and omemo2.json; see Vectors/README.md.
//
// The intermediate values are computed here from the primitives, along XEP-0384 §4, and not by the ratchet that
// `VectorTests` then compares with them; the messages are those of imd and of the oracle, each read by the other.
import Foundation
import Testing
import XMPP

@testable import IMCrypto
@testable import OMEMO

/// The private keys of the device that a conversation is written to, and the root of its ratchet.
private struct Recipient {
    let version: ProtocolVersion
    let address: DeviceAddress
    let identitySeed: Bytes
    let signedPreKey: KeyPair
    let preKeys: [UInt32: KeyPair]
    var rootKey = SecretBytes([])

    init(_ device: Device) throws {
        version = device.version
        address = device.address
        identitySeed = device.own.identity.seed.bytes
        signedPreKey = try #require(device.signedPreKeys[1])
        preKeys = device.preKeys
    }

    init(_ peer: PythonPeer) throws {
        let keys = try peer.export()
        let pairs = try #require(keys.preKeys).map { try KeyPair(hex: $0) }
        version = peer.version
        address = peer.address
        identitySeed = try bytes(hex: #require(keys.identitySeed))
        signedPreKey = try KeyPair(hex: #require(keys.signedPreKey))
        let published = try OMEMO.Bundle(peer.bundleElement(), version).preKeys
        preKeys = published.reduce(into: [:]) { result, preKey in
            result[preKey.id] = pairs.first { $0.publicKey == preKey.key }
        }
    }

    /// X3DH (§4.2).
    mutating func accept(_ exchange: KeyExchangeMessage, from identity: IdentityKey) throws {
        let own = try IdentityKeyPair(seed: SecretBytes(identitySeed)).keyPair
        let preKey = try #require(preKeys[exchange.preKeyID])
        let agreed = try [
            signedPreKey.agree(with: identity.curve25519), own.agree(with: exchange.baseKey),
            signedPreKey.agree(with: exchange.baseKey), preKey.agree(with: exchange.baseKey),
        ]
        let input = Bytes(repeating: 0xff, count: 32) + agreed.flatMap(\.bytes)
        rootKey = HKDF.sha256(
            SecretBytes(input), salt: [], info: info("WhisperText", "OMEMO X3DH"), count: 32)
    }

    /// A Diffie-Hellman step (§4.3).
    mutating func step(
        _ own: KeyPair, _ remote: PublicKey, isSending: Bool = false
    ) throws -> Conversation.Chain {
        let agreement = try own.agree(with: remote)
        let keys = HKDF.sha256(
            agreement, salt: rootKey.bytes, info: info("WhisperRatchet", "OMEMO Root Chain"), count: 64
        ).bytes
        rootKey = SecretBytes(Bytes(keys[..<32]))
        return Conversation.Chain(
            ratchetKey: hex(isSending ? own.publicKey.bytes : remote.bytes),
            privateRatchetKey: isSending ? hex(own.privateKey.bytes) : nil, agreement: hex(agreement.bytes),
            rootKey: hex(rootKey.bytes), chainKey: hex(Bytes(keys[32...])))
    }

    /// - Parameter text: what it must say; nil for an empty message.
    func line(
        _ message: EncryptedMessage, _ text: String?, _ chain: Conversation.Chain
    ) throws -> Conversation.Line {
        let xml = String(decoding: message.element.xml(), as: UTF8.self)
        let ratcheted = try ratchetMessage(xml, version)
        #expect(hex(ratcheted.header.dh.bytes) == chain.ratchetKey)
        let keys = try messageKeys(ratcheted.header.n, chain)
        let secret = try AES.decryptCBC(
            ratcheted.ciphertext, key: SecretBytes(Bytes(keys[..<32])), iv: Bytes(keys[64...]))
        if let text { #expect(try Payload.open(message, secret: secret) == Bytes(text.utf8)) }
        return Conversation.Line(
            xml: xml, text: text, secret: hex(secret.bytes), n: ratcheted.header.n, pn: ratcheted.header.pn,
            messageKeys: hex(keys), payloadKeys: text == nil ? nil : payloadKeys(secret))
    }

    private func messageKeys(_ n: UInt32, _ chain: Conversation.Chain) throws -> Bytes {
        var chainKey = SecretBytes(try bytes(hex: chain.chainKey))
        for _ in 0..<n { chainKey = SecretBytes(HMAC.authenticate([2], key: chainKey, .sha256)) }
        return HKDF.sha256(
            SecretBytes(HMAC.authenticate([1], key: chainKey, .sha256)), salt: [],
            info: info("WhisperMessageKeys", "OMEMO Message Key Material"), count: 80
        ).bytes
    }

    private func payloadKeys(_ secret: SecretBytes) -> String? {
        guard version == .omemo2 else { return nil }
        let key = SecretBytes(Bytes(secret.bytes[..<32]))
        return hex(HKDF.sha256(key, salt: [], info: Bytes("OMEMO Payload".utf8), count: 80).bytes)
    }

    private func info(_ legacy: String, _ omemo2: String) -> Bytes {
        Bytes((version == .legacy ? legacy : omemo2).utf8)
    }
}

extension KeyPair {
    fileprivate init(hex: String) throws {
        try self.init(privateKey: SecretBytes(bytes(hex: hex)))
    }
}

/// What the two sides of a recorded conversation do.
private struct Scene {
    let device: Device
    let peer: PythonPeer
    let isByImd: Bool

    var sender: DeviceAddress { isByImd ? device.address : peer.address }
    var receiver: DeviceAddress { isByImd ? peer.address : device.address }

    func bundle() throws -> Element { try isByImd ? device.bundle.element : peer.bundleElement() }

    /// The content of a payload: a text in legacy, an envelope around it in omemo:2 (XEP-0420).
    func content(_ text: String) -> String {
        guard peer.version == .omemo2 else { return text }
        let body = Element("body", in: "jabber:client", text: text)
        let envelope = StanzaContent(
            content: [body], from: sender.jid, to: receiver.jid, sentAt: 1_700_000_000_000)
        var random = Seeded(UInt64(text.utf8.reduce(0) { $0 &+ Int($1) }))
        return String(decoding: envelope.serialized(using: &random), as: UTF8.self)
    }

    func send(_ content: String) throws -> EncryptedMessage {
        try isByImd ? device.send(content, to: peer) : peer.send(content, to: device)
    }

    /// - Returns: the empty message that answers a key exchange, and the private ratchet key that it brings.
    func read(
        _ message: EncryptedMessage, _ content: String
    ) throws -> (answer: EncryptedMessage, key: KeyPair)? {
        guard isByImd else {
            let received = try device.receive(message, from: peer)
            #expect(received.text == content)
            guard received.decrypted.isNewSession else { return nil }
            let answer = try device.send(nil, to: peer)
            try peer.receive(answer, from: device)
            return (answer, try ratchetKey())
        }
        let received = try peer.receive(message, from: device)
        #expect(received.text == content)
        guard let answer = received.sent.first else { return nil }
        try device.receive(answer, from: peer)
        return (answer, try KeyPair(hex: #require(peer.export(device).ratchetKey)))
    }

    /// Ours, out of the stored session.
    private func ratchetKey() throws -> KeyPair {
        var reader = RecordReader(try #require(device.records[peer.address]).serialized().bytes)
        _ = try reader.bytes(3 + 32 + 32)
        var session = RecordReader(try reader.counted())
        // Flags and two keys: it was not begun here, and nothing else has happened to it.
        #expect(try session.byte() & ~4 == 0)
        _ = try session.bytes(64)
        let ratchet = try DoubleRatchet(serialized: session.rest())
        return try #require(ratchet.ratchetKey)
    }
}

extension Conversation {
    fileprivate init(recording scene: Scene) throws {
        var recipient = try scene.isByImd ? Recipient(scene.peer) : Recipient(scene.device)
        let (version, bundle) = (scene.peer.version, try scene.bundle())
        let openings = (0..<4).map { scene.content("opening \($0)") }
        let exchanges = try openings.map { try scene.send($0) }
        let exchange = try KeyExchangeMessage(exchanges[0].keys[0].data, version)
        try recipient.accept(exchange, from: OMEMO.Bundle(bundle, version).identityKey)
        let sharedSecret = recipient.rootKey
        let first = try RatchetMessage(exchange.message, version).header.dh
        let openingChain = try recipient.step(recipient.signedPreKey, first)
        let (answer, key) = try #require(try scene.read(exchanges[0], openings[0]))
        let answerChain = try recipient.step(key, first, isSending: true)
        let record = scene.device.records[scene.peer.address]?.serialized().bytes
        let texts = (0..<4).map { scene.content("answered \($0)") }
        let messages = try texts.map { try scene.send($0) }
        let next = try RatchetMessage(messages[0].keys[0].data, version).header.dh
        let answeredChain = try recipient.step(key, next)
        let late = zip(messages.reversed() + exchanges[1...], texts.reversed() + openings[1...])
        for (message, text) in late {
            _ = try scene.read(message, text)
        }
        self.init(
            madeBy: scene.isByImd ? "imd" : "python-omemo", checkedBy: scene.isByImd ? "python-omemo" : "imd",
            version: version, jid: "\(recipient.address.jid)", device: recipient.address.device,
            identitySeed: hex(recipient.identitySeed),
            signedPreKey: PrivateKey(
                id: exchange.signedPreKeyID, privateKey: hex(recipient.signedPreKey.privateKey.bytes)),
            preKey: PrivateKey(
                id: exchange.preKeyID,
                privateKey: hex(try #require(recipient.preKeys[exchange.preKeyID]).privateKey.bytes)),
            sender: "\(scene.sender.jid)", senderBundle: String(decoding: bundle.xml(), as: UTF8.self),
            ephemeralKey: hex(exchange.baseKey.bytes), sharedSecret: hex(sharedSecret.bytes),
            openingChain: openingChain,
            opening: try zip(exchanges, openings).map { try recipient.line($0, $1, openingChain) },
            answerChain: answerChain, answer: try recipient.line(answer, nil, answerChain),
            record: scene.isByImd ? nil : record.map { hex($0) }, answeredChain: answeredChain,
            answered: try zip(messages, texts).map { try recipient.line($0, $1, answeredChain) })
    }
}

@Suite(
    .enabled(
        if: Oracle.python != nil, "IMD_ORACLE_PYTHON does not name a python with oldmemo, so no oracle speaks"
    ))
struct VectorRecordingTests {
    /// `IMD_RECORD_VECTORS` names the folder to write them to; without it they are made and forgotten.
    private static let folder = ProcessInfo.processInfo.environment["IMD_RECORD_VECTORS"]

    @Test(arguments: ProtocolVersion.allCases)
    func `vectors are recorded`(_ version: ProtocolVersion) throws {
        var conversations: [Conversation] = []
        for isByImd in [false, true] {
            for sign in [false, true] {
                let device = try Device("imd@example.org", seed: sign ? 210 : 211, sign: sign, version)
                let peer = try PythonPeer(Oracle(version), "peer", sign: !sign)
                try peer.learn(device)
                let scene = Scene(device: device, peer: peer, isByImd: isByImd)
                conversations.append(try Conversation(recording: scene))
            }
        }
        #expect(conversations.count == 4)
        guard let folder = Self.folder else { return }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try encoder.encode(conversations).write(
            to: URL(fileURLWithPath: folder).appendingPathComponent("\(version.shortName).json"))
    }
}
