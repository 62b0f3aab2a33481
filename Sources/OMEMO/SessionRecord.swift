/// Which session? The current one and the archived ones with one device, and the rules between them.
public import IMCrypto

/// Everything that is stored about sessions with one device in one protocol version.
///
/// Functions that throw leave the record as it was. Save it whenever one has returned.
public struct SessionRecord: Sendable {
    /// How many replaced sessions are kept for messages that are still under way.
    public static let maxArchived = 40

    /// How many bytes they may take together: three sessions full of skipped keys; 40 ordinary ones take a
    /// tenth of it. Bounds what a contact can make us store for each device it invents.
    static let maxArchivedBytes = 128 * 1024

    /// The wire protocol of all its sessions.
    public let version: ProtocolVersion
    /// The identity key that the device is bound to. It never changes: a reset means a new record.
    ///
    /// In legacy its sign is not known until a bundle was seen, and stands as 0: compare `curve25519`.
    public private(set) var remoteIdentity: IdentityKey?
    private var current: Session?
    private var archived: [ArchivedSession] = []  // newest first

    /// A record without session.
    ///
    /// - Parameter remoteIdentity: the key that the device is already known by; nil accepts the first.
    public init(_ version: ProtocolVersion, expecting remoteIdentity: IdentityKey? = nil) {
        self.version = version
        self.remoteIdentity = remoteIdentity
    }

    /// True if nothing can be encrypted yet: initiate a session first.
    public var isEmpty: Bool { current == nil }

    /// True if every message still carries the key exchange, because no answer was ever decrypted.
    public var isUnanswered: Bool { current?.keyExchange != nil }

    /// How many messages went out on the current session since the last one came in.
    public var unansweredCount: UInt32 { current?.unansweredCount ?? 0 }
}

/// A replaced session, kept as bytes: records are loaded for every message, these hardly ever used.
private struct ArchivedSession: Sendable {
    let baseKey: PublicKey
    let serialized: SecretBytes

    init(_ session: Session) {
        baseKey = session.baseKey
        serialized = session.serialized()
    }

    init(serialized: Bytes) throws(CryptoError) {
        baseKey = try Session.baseKey(inSerialized: serialized)
        self.serialized = SecretBytes(serialized)
    }
}

/// What came out of one `<key/>`.
public struct Decrypted: Sendable {
    /// The secret for `Payload.open`; of no use in an empty message.
    public let plaintext: SecretBytes
    /// The key that the session authenticates: look up its trust, and that it belongs to no other device.
    public let identityKey: IdentityKey
    /// The one-time pre-key that is spent now: delete it (after the catch-up), publish another.
    public let usedPreKey: UInt32?
    /// The sender initiated a session: answer with an empty message, so that it can stop repeating that.
    public let isNewSession: Bool
    /// The sender has sent many messages without an answer: send an empty one (XEP-0384 §6). True once for
    /// each of its ratchet keys.
    public let heartbeatIsDue: Bool
}

// MARK: Sending

extension SessionRecord {
    /// Starts a session from a bundle; one that was there is archived.
    ///
    /// - Parameters:
    ///   - own: our identity.
    ///   - ownDevice: our device id, 1…2³¹−1.
    /// - Throws: `.identityKeyChanged` if the device is bound to another key; `.invalidKey`, also for a bundle of the
    ///   other version.
    public mutating func initiate(
        with bundle: Bundle, own: IdentityKeyPair, ownDevice: UInt32,
        using random: inout some RandomNumberGenerator
    ) throws(EncryptionError) {
        guard bundle.version == version else { throw .invalidKey }
        guard isBound(to: bundle.identityKey) else { throw .identityKeyChanged }
        let session = try Session(with: bundle, own: own, ownDevice: ownDevice, using: &random)
        remoteIdentity = bundle.identityKey
        makeCurrent(session)
    }

    /// Encrypts the secret of one message; a key exchange until the first answer was decrypted.
    ///
    /// - Throws: `.noSession` if the record is empty.
    public mutating func encrypt(
        _ plaintext: SecretBytes, using random: inout some RandomNumberGenerator
    ) throws(EncryptionError) -> (data: Bytes, isKeyExchange: Bool) {
        guard let remoteIdentity,
            let message = try current?.encrypt(plaintext, to: remoteIdentity, using: &random)
        else { throw .noSession }
        return message
    }
}

// MARK: Receiving

extension SessionRecord {
    /// Decrypts one `<key/>` from the device of this record.
    ///
    /// - Parameters:
    ///   - data: the content of `<key/>`.
    ///   - isKeyExchange: its `prekey` or `kex` attribute.
    ///   - own: our identity.
    ///   - preKeys: our private pre-keys, asked only for a key exchange that starts a session.
    /// - Throws: and nothing has changed; only `.alreadyDecrypted` is ordinary. If the payload then does not
    ///   open, do not save the record either: the genuine message may still come.
    public mutating func decrypt(
        _ data: Bytes, isKeyExchange: Bool, own: IdentityKeyPair, preKeys: some PreKeyStore
    ) throws(DecryptionError) -> Decrypted {
        if isKeyExchange { return try decrypt(KeyExchangeMessage(data, version), own, preKeys) }
        let message: RatchetMessage
        do {
            message = try RatchetMessage(data, version)
        } catch {
            // COMPAT: QXmpp marks only the first of several messages that repeat a key exchange.
            guard version == .omemo2, let exchange = try? KeyExchangeMessage(data, version) else {
                throw error
            }
            return try decrypt(exchange, own, preKeys)
        }
        return try decrypt(message)
    }

    private mutating func decrypt(
        _ exchange: KeyExchangeMessage, _ own: IdentityKeyPair, _ preKeys: some PreKeyStore
    ) throws(DecryptionError) -> Decrypted {
        let message = try RatchetMessage(exchange.message, version)
        let identity = try checkedIdentity(exchange.identityKey)
        if let opened = try decryptWithKnown(exchange.baseKey, message, identity) {
            return Decrypted(
                plaintext: opened.plaintext, identityKey: identity, usedPreKey: nil, isNewSession: false,
                heartbeatIsDue: opened.heartbeatIsDue)
        }
        var session = try Session(
            answering: exchange, version, from: identity, own: own, preKeys: preKeys)
        let opened = try session.decrypt(message, from: identity)
        remoteIdentity = identity
        makeCurrent(session)
        return Decrypted(
            plaintext: opened.plaintext, identityKey: identity, usedPreKey: exchange.preKeyID,
            isNewSession: true, heartbeatIsDue: opened.heartbeatIsDue)
    }

    private mutating func decrypt(_ message: RatchetMessage) throws(DecryptionError) -> Decrypted {
        guard let remoteIdentity, current != nil else { throw .noSession }
        let opened = try decryptWithAny(message, from: remoteIdentity)
        return Decrypted(
            plaintext: opened.plaintext, identityKey: remoteIdentity, usedPreKey: nil, isNewSession: false,
            heartbeatIsDue: opened.heartbeatIsDue)
    }

    /// The identity that a key exchange names, in full.
    private func checkedIdentity(_ key: Bytes) throws(DecryptionError) -> IdentityKey {
        if let remoteIdentity, remoteIdentity.encoded(version) == key { return remoteIdentity }
        let seen: IdentityKey
        do {
            seen =
                switch version {
                case .legacy: try IdentityKey(curve25519: PublicKey(key), signBit: false)
                case .omemo2: try IdentityKey(ed25519: key)
                }
        } catch {
            throw remoteIdentity == nil ? .invalidMessage("identity key") : .identityKeyChanged
        }
        guard isBound(to: seen) else { throw .identityKeyChanged }
        return seen
    }

    /// Whether the device may go by that key. What legacy taught may lack the sign of the Edwards form: omemo:2 tells
    /// it, authenticated by the signature or MAC. Its sessions hold on to the form that they began with.
    private func isBound(to key: IdentityKey) -> Bool {
        guard let remoteIdentity else { return true }
        let isComplete = version == .omemo2 && current != nil
        return isComplete ? remoteIdentity == key : remoteIdentity.curve25519 == key.curve25519
    }

    /// A repeated key exchange belongs to the session it once started, and to no other.
    ///
    /// - Returns: nil if no session has that base key.
    private mutating func decryptWithKnown(
        _ baseKey: PublicKey, _ message: RatchetMessage, _ remote: IdentityKey
    ) throws(DecryptionError) -> (plaintext: SecretBytes, heartbeatIsDue: Bool)? {
        if current?.baseKey == baseKey {
            return try current?.decrypt(message, from: remote)
        }
        guard let index = archived.firstIndex(where: { $0.baseKey == baseKey }) else { return nil }
        return try decryptWithArchived(index, message, remote)
    }

    private mutating func decryptWithAny(
        _ message: RatchetMessage, from remote: IdentityKey
    ) throws(DecryptionError) -> (plaintext: SecretBytes, heartbeatIsDue: Bool) {
        let failure: DecryptionError
        do throws(DecryptionError) {
            guard let opened = try current?.decrypt(message, from: remote) else { throw .noSession }
            return opened
        } catch .alreadyDecrypted {
            throw .alreadyDecrypted
        } catch {
            failure = error
        }
        for index in archived.indices {
            do throws(DecryptionError) {
                return try decryptWithArchived(index, message, remote)
            } catch .alreadyDecrypted {
                throw .alreadyDecrypted
            } catch {
                continue
            }
        }
        throw failure
    }

    /// The other side answered on a session that we had replaced: it becomes the current one again, so that
    /// both sides end up on the same.
    private mutating func decryptWithArchived(
        _ index: Int, _ message: RatchetMessage, _ remote: IdentityKey
    ) throws(DecryptionError) -> (plaintext: SecretBytes, heartbeatIsDue: Bool) {
        guard var session = try? Session(serialized: archived[index].serialized.bytes, version) else {
            throw .invalidMessage("archived session")
        }
        let opened = try session.decrypt(message, from: remote)
        archived.remove(at: index)
        makeCurrent(session)
        return opened
    }

    private mutating func makeCurrent(_ session: Session) {
        if let current { archived.insert(ArchivedSession(current), at: 0) }
        while archived.count > Self.maxArchived
            || archived.reduce(0, { $0 + $1.serialized.count }) > Self.maxArchivedBytes
        {
            archived.removeLast()
        }
        current = session
    }
}

extension Session {
    /// Looks up the pre-keys that the key exchange names.
    fileprivate init(
        answering message: KeyExchangeMessage, _ version: ProtocolVersion, from remote: IdentityKey,
        own: IdentityKeyPair, preKeys: some PreKeyStore
    ) throws(DecryptionError) {
        let signedPreKey: KeyPair?
        let preKey: KeyPair?
        do {
            signedPreKey = try preKeys.signedPreKey(message.signedPreKeyID)
            preKey = try preKeys.preKey(message.preKeyID)
        } catch {
            throw .preKeyStoreFailed
        }
        guard let signedPreKey else { throw .signedPreKeyUnknown(message.signedPreKeyID) }
        guard let preKey else { throw .preKeyUnknown(message.preKeyID) }
        try self.init(
            answering: message, version, from: remote, own: own, signedPreKey: signedPreKey, preKey: preKey)
    }
}

// MARK: Storage

extension SessionRecord {
    private static let format: UInt8 = 1
    private static let hasIdentity: UInt8 = 1
    private static let hasCurrent: UInt8 = 2

    /// Format version, protocol version, flags, then what the flags announce, then the archived sessions.
    public func serialized() -> SecretBytes {
        let current = current?.serialized()
        let size = archived.reduce(current?.count ?? 0) { $0 + 4 + $1.serialized.count }
        var writer = RecordWriter(capacity: 72 + size)
        writer.append(Self.format)
        writer.append(version.code)
        writer.append((remoteIdentity == nil ? 0 : Self.hasIdentity) | (current == nil ? 0 : Self.hasCurrent))
        if let remoteIdentity {
            writer.append(remoteIdentity.ed25519)
            writer.append(remoteIdentity.curve25519.bytes)
        }
        if let current { writer.append(counted: current) }
        writer.append(UInt8(archived.count))
        for session in archived { writer.append(counted: session.serialized) }
        return writer.finish()
    }

    /// Restores a stored record.
    ///
    /// - Throws: `.invalidSerialization` or `.invalidKey` for anything that `serialized` did not write. An
    ///   archived session is checked when it is used, and a damaged one then counts as not there.
    public init(serialized: Bytes) throws(CryptoError) {
        var reader = RecordReader(serialized)
        guard try reader.byte() == Self.format, let version = ProtocolVersion(code: try reader.byte()) else {
            throw .invalidSerialization
        }
        self.version = version
        let flags = try reader.byte()
        guard [0, Self.hasIdentity, Self.hasIdentity | Self.hasCurrent].contains(flags) else {
            throw .invalidSerialization
        }
        if flags & Self.hasIdentity != 0 {
            remoteIdentity = try IdentityKey(restoring: reader.bytes(32), curve25519: reader.bytes(32))
        }
        if flags & Self.hasCurrent != 0 { current = try Session(serialized: reader.counted(), version) }
        let count = Int(try reader.byte())
        guard count == 0 || (current != nil && count <= Self.maxArchived) else {
            throw .invalidSerialization
        }
        for _ in 0..<count { archived.append(try ArchivedSession(serialized: reader.counted())) }
        try reader.expectEnd()
    }
}

extension ProtocolVersion {
    /// As it stands in stored records.
    fileprivate var code: UInt8 { self == .legacy ? 0 : 1 }

    fileprivate init?(code: UInt8) {
        switch code {
        case 0: self = .legacy
        case 1: self = .omemo2
        default: return nil
        }
    }
}
