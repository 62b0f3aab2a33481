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

    /// The wire protocol.
    let version: ProtocolVersion
    /// The initiator's ephemeral key, which identifies the session.
    let baseKey: PublicKey
    /// Our identity when the session was made, in the form of the version; part of every MAC.
    let ownIdentity: Bytes
    /// Whether the session began here. For omemo:2, whose MACs cover initiator and responder; of legacy sessions it is
    /// not stored.
    let isInitiator: Bool
    /// Nil once answered, and in sessions that the other side initiated.
    private(set) var keyExchange: KeyExchange?
    /// The ratchet key for which a heartbeat was asked for last.
    private var heartbeatKey: PublicKey?
    /// How many messages of the present sending chain went out before the other side was last heard.
    private var heardCount: UInt32 = 0
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
                signedPreKey: bundle.signedPreKey, preKey: preKey.key, bundle.version.agreement)
            ratchet = try DoubleRatchet(
                initiator: secret, remoteSignedPreKey: bundle.signedPreKey,
                parameters: bundle.version.ratchet, using: &random)
        } catch {
            throw .invalidKey
        }
        version = bundle.version
        baseKey = ephemeral.publicKey
        ownIdentity = own.publicKey.encoded(version)
        isInitiator = true
        keyExchange = KeyExchange(
            preKeyID: preKey.id, signedPreKeyID: bundle.signedPreKeyID, ownDevice: ownDevice)
    }

    /// Accepts a key exchange. Not to be kept before its message has decrypted.
    init(
        answering message: KeyExchangeMessage, _ version: ProtocolVersion, from remote: IdentityKey,
        own: IdentityKeyPair, signedPreKey: KeyPair, preKey: KeyPair
    ) throws(DecryptionError) {
        do {
            let secret = try X3DH.respond(
                own: own, signedPreKey: signedPreKey, preKey: preKey, remoteIdentity: remote.curve25519,
                ephemeral: message.baseKey, version.agreement)
            ratchet = DoubleRatchet(
                responder: secret, signedPreKey: signedPreKey, parameters: version.ratchet)
        } catch {
            throw .invalidMessage("key agreement")
        }
        self.version = version
        baseKey = message.baseKey
        ownIdentity = own.publicKey.encoded(version)
        isInitiator = false
    }

    /// How many messages went out since the last one came in.
    var unansweredCount: UInt32 { ratchet.sentCount - heardCount }
}

// MARK: Messages

extension Session {
    mutating func encrypt(
        _ plaintext: SecretBytes, to remoteIdentity: IdentityKey,
        using random: inout some RandomNumberGenerator
    ) throws(EncryptionError) -> (data: Bytes, isKeyExchange: Bool) {
        var ratchet = ratchet
        let message: Bytes
        do {
            let (header, keys) = try ratchet.sendingKeys(using: &random)
            let ciphertext = try AES.encryptCBC(plaintext, key: keys.cipherKey, iv: keys.iv)
            let authenticated = RatchetMessage.encode(header, ciphertext, version)
            let mac = mac(of: authenticated, keys, isSending: true, remoteIdentity)
            message = RatchetMessage.frame(authenticated, mac: mac, version)
        } catch {
            throw .failed("message")
        }
        self.ratchet = ratchet
        guard let keyExchange else { return (message, false) }
        let exchange = KeyExchangeMessage(
            preKeyID: keyExchange.preKeyID, signedPreKeyID: keyExchange.signedPreKeyID,
            registrationID: keyExchange.ownDevice, baseKey: baseKey, identityKey: ownIdentity,
            message: message)
        return (exchange.encoded(version), true)
    }

    /// - Throws: and is unchanged, unless the MAC and what it covers are right.
    mutating func decrypt(
        _ message: RatchetMessage, from remoteIdentity: IdentityKey
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
        let expected = mac(of: message.authenticated, keys, isSending: false, remoteIdentity)
        guard constantTimeEqual(message.mac, expected) else { throw .invalidMessage("MAC") }
        let plaintext: SecretBytes
        do {
            plaintext = try AES.decryptCBC(message.ciphertext, key: keys.cipherKey, iv: keys.iv)
        } catch {
            throw .invalidMessage("padding")
        }
        guard Payload.isSecretCount(plaintext.count, version) else { throw .invalidMessage("secret") }
        self.ratchet = ratchet
        heardCount = ratchet.sentCount
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

    /// The first bytes of HMAC-SHA-256 over two identities ‖ `message`: in legacy the sender's before the
    /// receiver's, in omemo:2 the initiator's before the responder's.
    private func mac(
        of message: Bytes, _ keys: MessageKeys, isSending: Bool, _ remote: IdentityKey
    ) -> Bytes {
        let ownIsFirst = version == .legacy ? isSending : isInitiator
        let remote = remote.encoded(version)
        var input = Bytes()
        input.reserveCapacity(66 + message.count)
        for identity in ownIsFirst ? [ownIdentity, remote] : [remote, ownIdentity] {
            if version == .legacy { input.append(5) }
            input += identity
        }
        input += message
        return Bytes(HMAC.authenticate(input, key: keys.macKey, .sha256).prefix(version.macCount))
    }
}

extension ProtocolVersion {
    fileprivate var agreement: X3DH.Parameters { self == .legacy ? .legacy : .omemo2 }
    fileprivate var ratchet: DoubleRatchet.Parameters { self == .legacy ? .legacy : .omemo2 }
}

extension IdentityKey {
    /// The 32 bytes that a version knows the identity by.
    func encoded(_ version: ProtocolVersion) -> Bytes {
        version == .legacy ? curve25519.bytes : ed25519
    }
}

// MARK: Storage

extension Session {
    private static let hasKeyExchange: UInt8 = 1
    private static let hasHeartbeatKey: UInt8 = 2
    private static let beganHere: UInt8 = 4
    private static let hasHeardCount: UInt8 = 8

    /// Flags, base key, own identity, then what the flags announce, then the ratchet.
    func serialized() -> SecretBytes {
        let ratchet = ratchet.serialized()
        var writer = RecordWriter(capacity: 128 + ratchet.count)
        var flags: UInt8 = 0
        if keyExchange != nil { flags |= Self.hasKeyExchange }
        if heartbeatKey != nil { flags |= Self.hasHeartbeatKey }
        if isInitiator && version == .omemo2 { flags |= Self.beganHere }
        if heardCount > 0 { flags |= Self.hasHeardCount }
        writer.append(flags)
        writer.append(baseKey.bytes)
        writer.append(ownIdentity)
        if let keyExchange {
            writer.append(keyExchange.preKeyID)
            writer.append(keyExchange.signedPreKeyID)
            writer.append(keyExchange.ownDevice)
        }
        if let heartbeatKey { writer.append(heartbeatKey.bytes) }
        if heardCount > 0 { writer.append(heardCount) }
        writer.append(ratchet)
        return writer.finish()
    }

    init(serialized: Bytes, _ version: ProtocolVersion) throws(CryptoError) {
        var reader = RecordReader(serialized)
        let flags = try reader.byte()
        let known = Self.hasKeyExchange | Self.hasHeartbeatKey | Self.beganHere | Self.hasHeardCount
        guard flags & ~known == 0 else { throw .invalidSerialization }
        self.version = version
        isInitiator = flags & Self.beganHere != 0
        baseKey = try PublicKey(reader.bytes(32))
        ownIdentity = try reader.bytes(32)
        if flags & Self.hasKeyExchange != 0 {
            keyExchange = KeyExchange(
                preKeyID: try reader.number(), signedPreKeyID: try reader.number(),
                ownDevice: try reader.number())
        }
        if flags & Self.hasHeartbeatKey != 0 { heartbeatKey = try PublicKey(reader.bytes(32)) }
        if flags & Self.hasHeardCount != 0 { heardCount = try reader.number() }
        ratchet = try DoubleRatchet(serialized: reader.rest())
        guard heardCount <= ratchet.sentCount else { throw .invalidSerialization }
    }

    /// Reads only the base key, at its fixed place.
    static func baseKey(inSerialized serialized: Bytes) throws(CryptoError) -> PublicKey {
        guard serialized.count > 33 else { throw .invalidSerialization }
        return try PublicKey(Bytes(serialized[1..<33]))
    }
}
