// What other implementations computed (Oracle/README.md), computed again.
import IMCrypto
import Testing

private struct SignatureRow: Decodable {
    struct Forced: Decodable { let ed25519, signature: String }
    let seed, `private`, message, ed25519, curve25519, positive, negative, ed25519Signature: String
    let xeddsa: [Forced]
}

private struct AgreementRow: Decodable {
    let version, initiatorSeed, responderSeed, signedPreKey, preKey, ephemeral, bundleSignature: String
    let secret: String
}

private struct Conversation: Decodable {
    struct Event: Decodable {
        let kind, by: String
        let dh, material, plaintext, associated, message: Text?
        let n, pn: UInt32?
    }
    /// A string, or the number of a sent message.
    enum Text: Decodable {
        case hex(String), index(Int)
        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let index = try? container.decode(Int.self) {
                self = .index(index)
            } else {
                self = .hex(try container.decode(String.self))
            }
        }
        var bytes: Bytes {
            get throws {
                guard case .hex(let text) = self else { throw VectorError.notHexadecimal }
                return try decoded(text)
            }
        }
    }
    let version, secret, signedPreKey: String
    let fresh: [String: [String]]
    let events: [Event]
}

private func decoded(_ hex: String) throws -> Bytes { try bytes(hex: hex) }

@Suite struct OracleTests {
    @Test func `keys convert and signatures verify as in XEdDSA`() throws {
        for row in try recorded([SignatureRow].self, "xeddsa") {
            let identity = try IdentityKeyPair(seed: secret(hex: row.seed))
            let (message, key) = (try bytes(hex: row.message), identity.publicKey)
            #expect(try key.ed25519 == bytes(hex: row.ed25519))
            #expect(try key.curve25519.bytes == bytes(hex: row.curve25519))
            #expect(try identity.keyPair.privateKey.bytes == bytes(hex: row.private))
            let positive = try IdentityKey(curve25519: key.curve25519, signBit: false)
            let negative = try IdentityKey(curve25519: key.curve25519, signBit: true)
            #expect(try positive.ed25519 == bytes(hex: row.positive))
            #expect(try negative.ed25519 == bytes(hex: row.negative))
            #expect(try identity.sign(message) == bytes(hex: row.ed25519Signature))
            for forced in row.xeddsa {
                let signer = try XEdDSA.verify(
                    bytes(hex: forced.signature), of: message, by: key.curve25519)
                #expect(try signer.ed25519 == bytes(hex: forced.ed25519))
            }
        }
    }

    @Test func `both sides of X3DH derive the recorded secret`() throws {
        for row in try recorded([AgreementRow].self, "x3dh") {
            let parameters: X3DH.Parameters = row.version == "legacy" ? .legacy : .omemo2
            let initiator = try IdentityKeyPair(seed: secret(hex: row.initiatorSeed))
            let responder = try IdentityKeyPair(seed: secret(hex: row.responderSeed))
            let signedPreKey = try KeyPair(privateKey: secret(hex: row.signedPreKey))
            let preKey = try KeyPair(privateKey: secret(hex: row.preKey))
            let ephemeral = try KeyPair(privateKey: secret(hex: row.ephemeral))
            let signed =
                row.version == "legacy" ? signedPreKey.publicKey.serialized : signedPreKey.publicKey.bytes
            try responder.publicKey.verify(bytes(hex: row.bundleSignature), of: signed)
            let sent = try X3DH.initiate(
                own: initiator, ephemeral: ephemeral, remoteIdentity: responder.publicKey,
                signedPreKey: signedPreKey.publicKey, preKey: preKey.publicKey, parameters)
            let received = try X3DH.respond(
                own: responder, signedPreKey: signedPreKey, preKey: preKey,
                remoteIdentity: initiator.publicKey.curve25519, ephemeral: ephemeral.publicKey, parameters)
            #expect(try sent == secret(hex: row.secret))
            #expect(received == sent)
        }
    }

    @Test func `a recorded conversation has the same headers, keys and messages`() throws {
        for conversation in try recorded([Conversation].self, "ratchet") {
            try replay(conversation)
        }
    }

    private func replay(_ conversation: Conversation) throws {
        let isLegacy = conversation.version == "legacy"
        let parameters: DoubleRatchet.Parameters = isLegacy ? .legacy : .omemo2
        let secretKey = try secret(hex: conversation.secret)
        let signedPreKey = try KeyPair(privateKey: secret(hex: conversation.signedPreKey))
        var random = try conversation.fresh.mapValues { keys in
            ScriptedGenerator(try keys.flatMap { try bytes(hex: $0) })
        }
        var alice = try #require(random["alice"])
        var ratchets = [
            "alice": try DoubleRatchet(
                initiator: secretKey, remoteSignedPreKey: signedPreKey.publicKey, parameters: parameters,
                using: &alice),
            "bob": DoubleRatchet(responder: secretKey, signedPreKey: signedPreKey, parameters: parameters),
        ]
        random["alice"] = alice
        var sent: [(header: RatchetHeader, material: Bytes)] = []
        for event in conversation.events {
            var ratchet = try #require(ratchets[event.by])
            if event.kind == "send" {
                var own = try #require(random[event.by])
                let (header, keys) = try ratchet.sendingKeys(using: &own)
                random[event.by] = own
                try check(event, header, keys, isLegacy: isLegacy)
                sent.append((header, keys.material))
            } else if case .index(let index)? = event.message {
                let keys = try ratchet.receivingKeys(sent[index].header)
                #expect(keys.material == sent[index].material)
            }
            ratchets[event.by] = ratchet
        }
        #expect(sent.count > 40)
    }

    private func check(
        _ event: Conversation.Event, _ header: RatchetHeader, _ keys: MessageKeys, isLegacy: Bool
    ) throws {
        #expect(try header.dh.bytes == event.dh?.bytes)
        #expect(header.n == event.n)
        #expect(header.pn == event.pn)
        #expect(try keys.material == event.material?.bytes)
        let plaintext = try #require(try event.plaintext?.bytes)
        let message = try #require(try event.message?.bytes)
        let ciphertext = try AES.encryptCBC(plaintext, key: keys.cipherKey, iv: keys.iv)
        #expect(try AES.decryptCBC(ciphertext, key: keys.cipherKey, iv: keys.iv).bytes == plaintext)
        let texts = message.indices.dropLast(ciphertext.count - 1).filter {
            message[$0..<($0 + ciphertext.count)].elementsEqual(ciphertext)
        }
        #expect(texts.count == 1)
        // Legacy: `33`, protobuf, 8 bytes of HMAC. Else fields 1, the HMAC's 16 bytes, and 2, the protobuf.
        let authenticated = isLegacy ? message.dropLast(8) : message[20...]
        let code = isLegacy ? message.suffix(8) : message[2..<18]
        let computed = HMAC.authenticate(
            try #require(try event.associated?.bytes) + authenticated, key: keys.macKey, .sha256)
        #expect(computed.prefix(code.count) == code)
    }
}
