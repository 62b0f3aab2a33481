// From a stored message to the finished stanzas in the outbox, inside one transaction.
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

/// Which devices a message goes to, which not, and what the stanzas are. Sends nothing.
struct Outbound {
    let own: OwnIdentity
    let policies: Policies
    let now: Int64
    /// Bundles that were fetched for devices without a session.
    var bundles: [BundleKey: Bundle] = [:]
    /// Devices whose bundle could not be had, and why.
    var failures: [BundleKey: ExclusionReason] = [:]

    enum Outcome: Sendable {
        case enqueued(Delivery)
        /// A person has to decide first about devices of the contact.
        case held([ExcludedDevice])
        /// Nothing was changed: these devices have no session, and their bundles are not known.
        case needs([BundleKey])
        case noTrustedDevice([ExcludedDevice])
        /// The contact asked for messages in clear, and no person has answered to that.
        case optedOut
        /// It was to go in clear, and the chat has become encrypted since; it has failed.
        case encryptionRequired
        /// What is stored is not what was accepted; it has failed.
        case damaged
    }

    /// Who will be able to read a message.
    struct Delivery: Sendable {
        var devices: [AddressedDevice] = []
        var excluded: [ExcludedDevice] = []
    }

    /// Puts the message into the outbox in clear. Only for a person's explicit command, and not once the chat is
    /// encrypted: the command may be older than that (threat row 29).
    func enqueuePlaintext(_ message: StoredMessage, _ tx: Transaction) throws -> Outcome {
        guard !message.isDamaged else { return try fail(message, "damaged", .damaged, tx) }
        guard try !tx.isEncrypted(account: own.account, chat: message.chat) else {
            try tx.setAwaitsKeys(true, message: message.id)
            return try fail(message, "encryption-required", .encryptionRequired, tx)
        }
        let stanza =
            message.reactions.map { MessageStanza.plain($0, to: message.chat, id: message.messageID) }
            ?? MessageStanza.plain(message.body, to: message.chat, id: message.messageID)
        try tx.enqueue(account: own.account, stanza: stanza.xml(), message: message.id, now: now)
        return .enqueued(Delivery())
    }

    /// Encrypts the message for every trusted device of the contact and every other one of our own; without any of
    /// the contact's it is held where a decision would help, and else it has failed.
    func encrypt(_ message: StoredMessage, _ tx: Transaction) throws -> Outcome {
        guard !message.isDamaged else { return try fail(message, "damaged", .damaged, tx) }
        guard try tx.optOut(account: own.account, chat: message.chat) == nil else {
            // It never left, so the same key may try again.
            try tx.setAwaitsKeys(true, message: message.id)
            return try fail(message, "opted-out", .optedOut, tx)
        }
        // Of the legacy version only the text is encrypted.
        let versions: [ProtocolVersion] = message.reactsTo == nil ? [.legacy, .omemo2] : [.omemo2]
        let recipients = try recipients(for: message.chat, in: versions, tx)
        if !recipients.missing.isEmpty { return .needs(recipients.missing) }
        let excluded = recipients.delivery.excluded
        let left = try Self.json(excluded)
        if left != message.excluded { try tx.setExcluded(left, message: message.id) }
        guard recipients.reachesContact else {
            // It never left, so the same key may try again.
            try tx.setAwaitsKeys(true, message: message.id)
            guard recipients.awaitsDecision else {
                return try fail(message, "no-trusted-device", .noTrustedDevice(excluded), tx)
            }
            try tx.hold(message.id, now: now)
            return .held(excluded)
        }
        if message.state == .held { try tx.release(message.id, now: now) }
        // In this order: who finds no key for itself in the second has read the first.
        for version in versions {
            guard let sessions = recipients.sessions[version] else { continue }
            try enqueue(message, version, sessions, tx)
        }
        try tx.markEncrypted(account: own.account, chat: message.chat, now: now)
        return .enqueued(recipients.delivery)
    }

    /// How many devices that cannot read it are kept with a message: the owner of a long list must not fill our disk.
    private static let maxExcluded = 100

    private static func json(_ excluded: [ExcludedDevice]) throws -> String? {
        guard !excluded.isEmpty else { return nil }
        let kept = Array(excluded.prefix(maxExcluded))
        return String(decoding: try JSONValue(encoding: kept).serialized(), as: UTF8.self)
    }

    private func fail(
        _ message: StoredMessage, _ reason: String, _ outcome: Outcome, _ tx: Transaction
    ) throws -> Outcome {
        try tx.setState(message.id, .failed, reason: reason, now: now)
        return outcome
    }

    private func enqueue(
        _ message: StoredMessage, _ version: ProtocolVersion, _ recipients: [Recipient], _ tx: Transaction
    ) throws {
        var random = SystemRandomNumberGenerator()
        let payload =
            message.reactions.map {
                MessageStanza.payload($0, from: own.jid, to: message.chat, using: &random)
            } ?? MessageStanza.payload(message.body, version, from: own.jid, to: message.chat, using: &random)
        let encrypted = try encrypt(payload, version, recipients, tx)
        let stanza = MessageStanza.encrypted(encrypted, to: message.chat, id: message.messageID)
        try tx.enqueue(account: own.account, stanza: stanza.xml(), message: message.id, now: now)
    }

    /// The sessions are saved with the stanza that they made.
    private func encrypt(
        _ payload: Bytes?, _ version: ProtocolVersion, _ recipients: [Recipient], _ tx: Transaction
    ) throws -> EncryptedMessage {
        var random = SystemRandomNumberGenerator()
        var recipients = recipients
        let encrypted = try Fanout.encrypt(
            payload, version, from: own.device, to: &recipients, using: &random)
        for recipient in recipients {
            try tx.save(recipient.record, account: own.account, recipient.address, version)
        }
        return encrypted
    }
}

// MARK: Without text

extension Outbound {
    /// Sends a device an empty message: it ends a key exchange, answers a heartbeat or makes a new session known
    /// (XEP-0384 §4.5, §6). It waits in the outbox like any message, as its ratchet step is saved with it.
    func sendEmpty(_ record: SessionRecord, to address: DeviceAddress, _ tx: Transaction) throws {
        try enqueueSilent(
            nil, record.version, [Recipient(address: address, record: record)], to: address.jid, tx)
    }

    /// Sends devices of one person something in omemo:2 that only clients read.
    ///
    /// - Parameter at: the time in its envelope, Unix milliseconds; nil for now.
    /// - Returns: false, with nothing changed, where none of them has a session or a bundle for one.
    func sendContent(
        _ content: [Element], to jid: JID, devices: [DeviceAddress], at: Int64? = nil, _ tx: Transaction
    ) throws -> Bool {
        var random = SystemRandomNumberGenerator()
        var recipients: [Recipient] = []
        for address in devices {
            guard let record = try session(with: address, tx) else { continue }
            recipients.append(Recipient(address: address, record: record))
        }
        guard !recipients.isEmpty else { return false }
        let envelope = StanzaContent(content: content, from: own.jid, to: jid, sentAt: at ?? now)
        let payload = envelope.serialized(using: &random)
        try enqueueSilent(payload, .omemo2, recipients, to: jid, tx)
        return true
    }

    private func session(with address: DeviceAddress, _ tx: Transaction) throws -> SessionRecord? {
        let known = try tx.usableSession(with: address, .omemo2, account: own.account, now: now)
        if let known, !known.isEmpty { return known }
        guard let bundle = bundles[BundleKey(address, .omemo2)] else { return nil }
        let device = try tx.device(account: own.account, address)
        var random = SystemRandomNumberGenerator()
        var record = SessionRecord(.omemo2, expecting: device?.identityKey)
        do {
            try record.initiate(with: bundle, own: own.identity, ownDevice: own.device, using: &random)
        } catch {
            return nil
        }
        return record
    }

    private func enqueueSilent(
        _ payload: Bytes?, _ version: ProtocolVersion, _ recipients: [Recipient], to jid: JID,
        _ tx: Transaction
    ) throws {
        var random = SystemRandomNumberGenerator()
        let encrypted = try encrypt(payload, version, recipients, tx)
        let stanza = MessageStanza.silent(encrypted, to: jid, id: StanzaID.random(using: &random))
        try tx.enqueue(account: own.account, stanza: stanza.xml(), message: nil, now: now)
    }
}
