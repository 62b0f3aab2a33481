// What one received stanza means, written down inside the transaction of its read.
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

/// One thing of a read that needs the database.
enum Work: Sendable {
    case stanza(Element)
    case event(EventDetail)
}

/// Decides and stores; sends nothing. What has to happen after the commit is collected in `effects`.
struct Inbound {
    let own: OwnIdentity
    /// Whether the server's ids for messages can be believed (XEP-0359 §5).
    let announcesStanzaIDs: Bool
    let now: Int64
    private(set) var effects = Effects()
    /// The server's id of the last message that it also keeps in its archive (XEP-0313).
    private var archivePosition: String?

    /// What the account does once the transaction is on disk.
    struct Effects: Sendable {
        var replies: [Element] = []
        var outboxGrew = false
        var bundleChanged = false
        /// Our own device is missing from the list that others read.
        var isUnlisted = false
        var currentLists: [JID] = []
        var rosterVersion: String?
        /// Whose device list lacks a device that writes: fetched again before anything is sent there.
        var staleLists: [JID] = []
        var states: [(message: Int64, state: MessageState)] = []
    }

    init(own: OwnIdentity, announcesStanzaIDs: Bool, now: Int64) {
        self.own = own
        self.announcesStanzaIDs = announcesStanzaIDs
        self.now = now
    }

    /// Everything that one read delivered.
    ///
    /// - Throws: `StoreError` only: nothing a peer sends can undo the stanzas beside it.
    mutating func receive(_ work: [Work], _ tx: Transaction) throws -> Effects {
        for item in work {
            switch item {
            case .stanza(let stanza): try receive(stanza, tx)
            case .event(let detail): try append(detail, chat: nil, tx)
            }
        }
        if let archivePosition { try tx.setArchivePosition(archivePosition, account: own.account) }
        return effects
    }

    private mutating func receive(_ stanza: Element, _ tx: Transaction) throws {
        switch stanza.stanzaKind {
        case .message: try message(stanza, tx)
        case .iq: try request(stanza, tx)
        case .presence, nil: break
        }
    }

    // MARK: Requests

    private mutating func request(_ iq: Element, _ tx: Transaction) throws {
        if let push = try? RosterPush(iq, account: own.jid) {
            let known = try tx.rosterItem(account: own.account, jid: push.item.jid)
            effects.rosterVersion = push.version
            try tx.applyRosterItem(push.item, version: push.version, account: own.account)
            try append(.contact(ContactDetail(push.item, isNew: known == nil)), chat: push.item.jid, tx)
            effects.replies.append(IQ.result(of: iq))
            return
        }
        // No sender is our own server; one that is no JID gets no answer.
        guard !iq.hasSender || iq.from != nil else { return }
        let mayKnow = try seesOurPresence(iq.from?.bare ?? own.jid, tx)
        if let answer = Answers.answer(iq, mayKnow: mayKnow) { effects.replies.append(answer) }
    }

    // MARK: Messages

    /// One message on its way through: as it came, what it says, and who says it.
    private struct Incoming {
        let stanza: Element
        let message: XMPP.Message
        let from: JID
        var chat: JID { from.bare }
    }

    private mutating func message(_ stanza: Element, _ tx: Transaction) throws {
        guard let message = try? XMPP.Message(stanza) else { return }
        let incoming = Incoming(stanza: stanza, message: message, from: message.from ?? own.jid)
        switch message.kind {
        case .error: return try bounced(incoming, tx)
        case .groupchat: return
        case .chat, .normal, .headline: break
        }
        // imd has not asked for carbons, so nobody else's server may send any (threat row 1).
        if Carbon.isClaimed(by: stanza) { return }
        if PubSubEvent.isClaimed(by: stanza) {
            guard let event = try? PubSubEvent(stanza) else { return }
            return try published(event, tx)
        }
        if let id = DeliveryReceipts.received(message),
            let row = try tx.markDelivered(account: own.account, chat: incoming.chat, messageID: id, now: now)
        {
            effects.states.append((row, .delivered))
        }
        if let encrypted = message.payload("encrypted", in: ProtocolVersion.legacy.rawValue) {
            try decrypt(encrypted, in: incoming, tx)
        } else if let body = message.body, !body.isEmpty {
            try store(body, encryption: nil, of: incoming, tx)
        }
    }

    /// The recipient's server, or the recipient, returned a message of ours (RFC 6121 §8.5).
    private mutating func bounced(_ incoming: Incoming, _ tx: Transaction) throws {
        guard let id = incoming.message.id, let sent = try tx.message(account: own.account, messageID: id),
            sent.direction == .out, sent.chat == incoming.chat
        else { return }
        let reason = StanzaError(incoming.stanza)?.condition ?? .undefinedCondition
        guard try tx.setState(sent.id, .failed, reason: reason.rawValue, now: now) else { return }
        effects.states.append((sent.id, .failed))
    }

    private mutating func store(
        _ body: String, encryption: SenderEncryption?, of incoming: Incoming, _ tx: Transaction
    ) throws {
        let stanza = incoming.stanza
        let stanzaID = StanzaIDs.stanzaID(of: stanza, by: own.jid, isAnnounced: announcesStanzaIDs)
        if let stanzaID { archivePosition = stanzaID }
        let stored = try tx.insertIncoming(
            NewIncoming(
                account: own.account, messageID: incoming.message.id ?? "", chat: incoming.chat,
                sender: incoming.from, body: body, encryption: encryption,
                stanzaID: stanzaID,
                isDelayed: stanza.child("delay", in: Namespace.delay) != nil,
                sentAt: DelayedDelivery.sentAt(stanza, by: [own.jid, own.jid.domain], receivedAt: now),
                storedAt: now))
        if let stored {
            if encryption != nil { try tx.markEncrypted(account: own.account, chat: incoming.chat, now: now) }
            try tx.appendEvent(
                type: EventType.message.rawValue, account: own.account, chat: incoming.chat,
                message: stored.id,
                detail: nil, at: now)
        }
        try acknowledge(incoming, tx)
    }

    /// Answers a receipt request of somebody who may see our presence (XEP-0184 §8, threat row 11).
    ///
    /// Also for a message that was stored before: the first receipt may have died with the connection.
    private mutating func acknowledge(_ incoming: Incoming, _ tx: Transaction) throws {
        let mayKnow = try seesOurPresence(incoming.chat, tx)
        let receipt = DeliveryReceipts.answer(to: incoming.message, account: own.jid, mayKnow: mayKnow)
        if let receipt { effects.replies.append(receipt.element) }
    }

    private func seesOurPresence(_ jid: JID, _ tx: Transaction) throws -> Bool {
        if jid == own.jid { return true }
        switch try tx.rosterItem(account: own.account, jid: jid)?.subscription {
        case .from, .both: return true
        default: return false
        }
    }

    // MARK: Encryption

    private mutating func decrypt(_ encrypted: Element, in incoming: Incoming, _ tx: Transaction) throws {
        guard let message = try? EncryptedMessage(encrypted, for: own.device) else {
            return try undecryptable(incoming, device: nil, "malformed", tx)
        }
        let sender = DeviceAddress(jid: incoming.chat, device: message.sid)
        guard let key = message.keys.first else {
            guard message.payload != nil, sender != ownAddress else { return }
            return try undecryptable(incoming, device: message.sid, "not-for-this-device", tx)
        }
        switch try open(message, key, from: sender, tx) {
        case .success(let opened): try take(opened, in: incoming, tx)
        case .failure(.preKeyStoreFailed): throw StoreError.io("a pre-key could not be read")
        case .failure(let error):
            // What was stored before came again: silent, also where its keys are long gone.
            if try isStored(incoming, tx) { return try acknowledge(incoming, tx) }
            if error == .identityKeyChanged { try keyChanged(sender, tx) }
            guard message.payload != nil, error != .alreadyDecrypted || incoming.message.id != nil else {
                return
            }
            try undecryptable(incoming, device: message.sid, error.word, tx)
        }
    }

    private var ownAddress: DeviceAddress { DeviceAddress(jid: own.jid, device: own.device) }

    private struct Opened {
        let sender: DeviceAddress
        let text: Bytes?
        let encryption: SenderEncryption
        let answerIsDue: Bool
        var record: SessionRecord
    }

    /// Everything is verified before anything is saved, so a forged payload cannot move a ratchet.
    private mutating func open(
        _ message: EncryptedMessage, _ key: EncryptedMessage.Key, from sender: DeviceAddress,
        _ tx: Transaction
    ) throws -> Result<Opened, DecryptionError> {
        let known = try tx.device(account: own.account, sender)
        var record =
            try tx.usableSession(with: sender, account: own.account, now: now)
            ?? SessionRecord(expecting: known?.identityKey)
        let decrypted: Decrypted
        let text: Bytes?
        do throws(DecryptionError) {
            (decrypted, text) = try verify(message, key, &record, tx)
        } catch {
            return .failure(error)
        }
        guard let device = try identify(sender, known, decrypted.identityKey, tx) else {
            return .failure(.identityKeyChanged)
        }
        try tx.save(record, account: own.account, sender, .legacy)
        if let used = decrypted.usedPreKey { try replace(preKey: used, tx) }
        return .success(
            Opened(
                sender: sender, text: text, encryption: device,
                answerIsDue: decrypted.isNewSession || decrypted.heartbeatIsDue, record: record))
    }

    /// Who encrypted, or nil where the device is known by another key than this one.
    private mutating func identify(
        _ sender: DeviceAddress, _ known: DeviceRecord?, _ key: IdentityKey, _ tx: Transaction
    ) throws -> SenderEncryption? {
        var device = known
        if let stored = known?.identityKey {
            guard stored.curve25519 == key.curve25519 else { return nil }
        } else {
            guard try tx.setIdentity(account: own.account, sender, key, policy: .btbv, now: now) == .new
            else {
                return nil
            }
            device = try tx.device(account: own.account, sender)
        }
        guard let device, let identityKey = device.identityKey else { return nil }
        if !device.isActive { effects.staleLists.append(sender.jid) }
        if now - (device.lastReceivedAt ?? 0) >= Self.receivedResolution {
            try tx.touchReceived(account: own.account, sender, at: now)
        }
        return SenderEncryption(
            version: .legacy, device: sender.device, fingerprint: identityKey.fingerprint, trust: device.trust
        )
    }

    /// How exactly it is known when a device last wrote, in milliseconds: not worth a row for every message.
    private static let receivedResolution: Int64 = 3_600_000

    private func verify(
        _ message: EncryptedMessage, _ key: EncryptedMessage.Key, _ record: inout SessionRecord,
        _ tx: Transaction
    ) throws(DecryptionError) -> (Decrypted, text: Bytes?) {
        let decrypted = try record.decrypt(
            key.data, isKeyExchange: key.isKeyExchange, own: own.identity,
            preKeys: tx.preKeys(account: own.account))
        guard let payload = message.payload else { return (decrypted, nil) }
        return (decrypted, try Payload.open(payload, iv: message.iv, secret: decrypted.plaintext))
    }

    private mutating func take(_ opened: Opened, in incoming: Incoming, _ tx: Transaction) throws {
        if opened.answerIsDue, try mayAnswer(incoming.chat, tx) { try answer(opened, tx) }
        guard let text = opened.text else { return }
        guard let body = String(validating: text, as: UTF8.self), !body.isEmpty else {
            return try undecryptable(incoming, device: opened.sender.device, "malformed", tx)
        }
        try store(body, encryption: opened.encryption, of: incoming, tx)
    }

    /// Ends the sender's key exchange phase, or moves its ratchet on: an empty message (XEP-0384 §4.5).
    ///
    /// It waits in the outbox like any message, because its ratchet step is saved with this transaction.
    private mutating func answer(_ opened: Opened, _ tx: Transaction) throws {
        var random = SystemRandomNumberGenerator()
        var recipients = [Recipient(address: opened.sender, record: opened.record)]
        guard
            let message = try? Fanout.encrypt(nil, from: own.device, to: &recipients, using: &random)
        else { return }
        try tx.save(recipients[0].record, account: own.account, opened.sender, .legacy)
        let stanza = MessageStanza.empty(message, to: opened.sender.jid, id: StanzaID.random(using: &random))
        try tx.enqueue(account: own.account, stanza: stanza.xml(), message: nil, now: now)
        effects.outboxGrew = true
    }

    /// A stranger learns nothing from us, not even that we are there (threat row 11).
    private func mayAnswer(_ jid: JID, _ tx: Transaction) throws -> Bool {
        if try seesOurPresence(jid, tx) { return true }
        return try tx.hasSent(account: own.account, chat: jid)
    }

    private mutating func replace(preKey used: UInt32, _ tx: Transaction) throws {
        var random = SystemRandomNumberGenerator()
        try tx.replacePreKey(used, with: .generate(using: &random), account: own.account)
        effects.bundleChanged = true
    }

    private func isStored(_ incoming: Incoming, _ tx: Transaction) throws -> Bool {
        guard let id = incoming.message.id,
            let known = try tx.message(account: own.account, messageID: id)
        else { return false }
        return known.direction == .in && known.chat == incoming.chat
    }

    private mutating func keyChanged(_ sender: DeviceAddress, _ tx: Transaction) throws {
        let device = try tx.device(account: own.account, sender)
        try append(
            .device(
                DeviceDetail(
                    jid: sender.jid.description, device: sender.device,
                    fingerprint: device?.identityKey?.fingerprint, trust: device.map { Trust($0.trust) },
                    change: .keyChanged)), chat: sender.jid, tx)
    }

    private mutating func undecryptable(
        _ incoming: Incoming, device: UInt32?, _ reason: String, _ tx: Transaction
    ) throws {
        let chat = incoming.chat
        let detail = UndecryptableDetail(
            chat: chat.description, from: chat.description, device: device, reason: reason)
        try append(.undecryptable(detail), chat: chat, tx)
    }

    // MARK: Device lists

    private mutating func published(_ event: PubSubEvent, _ tx: Transaction) throws {
        guard event.node == OMEMO.DeviceList.node, case .items(let items, _) = event.change,
            let payload = items.last?.payload, let list = try? OMEMO.DeviceList(payload),
            try concerns(event.owner, tx)
        else { return }
        try DeviceLists(own: own, now: now).update(event.owner, list, tx)
        effects.currentLists.append(event.owner)
        if event.owner == own.jid, !list.ids.contains(own.device) { effects.isUnlisted = true }
    }

    /// Whose devices matter: our own, those of contacts, and of people we write to.
    private func concerns(_ owner: JID, _ tx: Transaction) throws -> Bool {
        if owner == own.jid { return true }
        if try tx.rosterItem(account: own.account, jid: owner) != nil { return true }
        return try tx.hasSent(account: own.account, chat: owner)
    }

    private func append(_ detail: EventDetail, chat: JID?, _ tx: Transaction) throws {
        try tx.append(detail, account: own.account, chat: chat, now: now)
    }
}
