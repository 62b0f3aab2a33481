/// One session with one device: the key exchange until it is answered, the ratchet, the heartbeat.
import IMCrypto

/// Knows nothing of other sessions with the same device; `SessionRecord` chooses.
struct Session: Sendable {
    /// What an initiator repeats in every message until the first answer decrypts.
    struct KeyExchange: Sendable {
        let preKeyID: UInt32
        let signedPreKeyID: UInt32
        let ownDevice: UInt32
    }

    /// The initiator's ephemeral key, which identifies the session.
    let baseKey: PublicKey
    /// Our identity when the session was made; part of every MAC.
    let ownIdentity: PublicKey
    /// Nil once answered, and in sessions that the other side initiated.
    private(set) var keyExchange: KeyExchange?
    /// The ratchet key for which a heartbeat was asked for last.
    private var heartbeatKey: PublicKey?
    private var ratchet: DoubleRatchet

    /// XEP-0384 §6: a message with this counter or a higher one asks for an empty message in return.
    static let heartbeatCounter: UInt32 = 53

    /// Starts a session with the device that published a bundle.
    init(
        with bundle: Bundle, own: IdentityKeyPair, ownDevice: UInt32,
        using random: inout some RandomNumberGenerator
    ) throws(EncryptionError) {
        guard let preKey = bundle.preKeys.randomElement(using: &random) else { throw .invalidKey }
        let ephemeral = KeyPair.generate(using: &random)
        do {
            let secret = try X3DH.initiate(
                own: own, ephemeral: ephemeral, remoteIdentity: bundle.identityKey,
                signedPreKey: bundle.signedPreKey, preKey: preKey.key, .legacy)
            ratchet = try DoubleRatchet(
                initiator: secret, remoteSignedPreKey: bundle.signedPreKey, parameters: .legacy,
                using: &random)
        } catch {
            throw .invalidKey
        }
        baseKey = ephemeral.publicKey
        ownIdentity = own.publicKey.curve25519
        keyExchange = KeyExchange(
            preKeyID: preKey.id, signedPreKeyID: bundle.signedPreKeyID, ownDevice: ownDevice)
    }

    /// Accepts a key exchange. Not to be kept before its message has decrypted.
    init(
        answering message: PreKeySignalMessage, own: IdentityKeyPair, signedPreKey: KeyPair, preKey: KeyPair
    ) throws(DecryptionError) {
        do {
            let secret = try X3DH.respond(
                own: own, signedPreKey: signedPreKey, preKey: preKey, remoteIdentity: message.identityKey,
                ephemeral: message.baseKey, .legacy)
            ratchet = DoubleRatchet(responder: secret, signedPreKey: signedPreKey, parameters: .legacy)
        } catch {
            throw .invalidMessage("key agreement")
        }
        baseKey = message.baseKey
        ownIdentity = own.publicKey.curve25519
    }
}

// MARK: Messages

extension Session {
    mutating func encrypt(
        _ plaintext: SecretBytes, to remoteIdentity: PublicKey,
        using random: inout some RandomNumberGenerator
    ) throws(EncryptionError) -> (data: Bytes, isKeyExchange: Bool) {
        var ratchet = ratchet
        var message: Bytes
        do {
            let (header, keys) = try ratchet.sendingKeys(using: &random)
            let ciphertext = try AES.encryptCBC(plaintext, key: keys.cipherKey, iv: keys.iv)
            message = SignalMessage.encode(header, ciphertext)
            message += mac(of: message, keys, from: ownIdentity, to: remoteIdentity)
        } catch {
            throw .failed("message")
        }
        self.ratchet = ratchet
        guard let keyExchange else { return (message, false) }
        let exchange = PreKeySignalMessage(
            preKeyID: keyExchange.preKeyID, signedPreKeyID: keyExchange.signedPreKeyID,
            registrationID: keyExchange.ownDevice, baseKey: baseKey, identityKey: ownIdentity,
            message: message)
        return (exchange.encoded, true)
    }

    /// - Throws: and is unchanged, unless the MAC and what it covers are right.
    mutating func decrypt(
        _ message: SignalMessage, from remoteIdentity: PublicKey
    ) throws(DecryptionError) -> (plaintext: SecretBytes, heartbeatIsDue: Bool) {
        var ratchet = ratchet
        let keys: MessageKeys
        do {
            keys = try ratchet.receivingKeys(message.header)
        } catch .alreadyDecrypted {
            throw .alreadyDecrypted
        } catch .tooFarAhead {
            throw .tooFarAhead
        } catch {
            throw .invalidMessage("ratchet key")
        }
        let expected = mac(of: message.authenticated, keys, from: remoteIdentity, to: ownIdentity)
        guard constantTimeEqual(message.mac, expected) else { throw .invalidMessage("MAC") }
        let plaintext: SecretBytes
        do {
            plaintext = try AES.decryptCBC(message.ciphertext, key: keys.cipherKey, iv: keys.iv)
        } catch {
            throw .invalidMessage("padding")
        }
        // A key alone is what some put into empty messages; no payload opens with it.
        guard plaintext.count == Payload.keyCount || plaintext.count == Payload.secretCount else {
            throw .invalidMessage("secret")
        }
        self.ratchet = ratchet
        keyExchange = nil
        return (plaintext, noteHeartbeat(message.header))
    }

    /// True once for each ratchet key of the other side: after our answer they choose another. A late
    /// message of an older key asks for nothing, so only the newest message of the newest chain counts.
    private mutating func noteHeartbeat(_ header: RatchetHeader) -> Bool {
        guard header.n >= Self.heartbeatCounter, header.n &+ 1 == ratchet.receivedCount,
            heartbeatKey != header.dh
        else { return false }
        heartbeatKey = header.dh
        return true
    }

    /// The first 8 bytes of HMAC-SHA-256 over sender's identity ‖ receiver's identity ‖ `message`.
    private func mac(
        of message: Bytes, _ keys: MessageKeys, from sender: PublicKey, to receiver: PublicKey
    ) -> Bytes {
        var input = Bytes()
        input.reserveCapacity(66 + message.count)
        input += sender.serialized
        input += receiver.serialized
        input += message
        return Bytes(HMAC.authenticate(input, key: keys.macKey, .sha256).prefix(SignalMessage.macCount))
    }
}

// MARK: Storage

extension Session {
    private static let hasKeyExchange: UInt8 = 1
    private static let hasHeartbeatKey: UInt8 = 2

    /// Flags, base key, own identity, then what the flags announce, then the ratchet.
    func serialized() -> SecretBytes {
        let ratchet = ratchet.serialized()
        var writer = RecordWriter(capacity: 128 + ratchet.count)
        writer.append(
            (keyExchange == nil ? 0 : Self.hasKeyExchange) | (heartbeatKey == nil ? 0 : Self.hasHeartbeatKey))
        writer.append(baseKey.bytes)
        writer.append(ownIdentity.bytes)
        if let keyExchange {
            writer.append(keyExchange.preKeyID)
            writer.append(keyExchange.signedPreKeyID)
            writer.append(keyExchange.ownDevice)
        }
        if let heartbeatKey { writer.append(heartbeatKey.bytes) }
        writer.append(ratchet)
        return writer.finish()
    }

    init(serialized: Bytes) throws(CryptoError) {
        var reader = RecordReader(serialized)
        let flags = try reader.byte()
        guard flags & ~(Self.hasKeyExchange | Self.hasHeartbeatKey) == 0 else {
            throw .invalidSerialization
        }
        baseKey = try PublicKey(reader.bytes(32))
        ownIdentity = try PublicKey(reader.bytes(32))
        if flags & Self.hasKeyExchange != 0 {
            keyExchange = KeyExchange(
                preKeyID: try reader.number(), signedPreKeyID: try reader.number(),
                ownDevice: try reader.number())
        }
        if flags & Self.hasHeartbeatKey != 0 { heartbeatKey = try PublicKey(reader.bytes(32)) }
        ratchet = try DoubleRatchet(serialized: reader.rest())
    }

    /// Reads only the base key, at its fixed place.
    static func baseKey(inSerialized serialized: Bytes) throws(CryptoError) -> PublicKey {
        guard serialized.count > 33 else { throw .invalidSerialization }
        return try PublicKey(Bytes(serialized[1..<33]))
    }
}
