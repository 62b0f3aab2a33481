// Messages on their way in: live, as carbons (XEP-0280) and out of the archive (XEP-0313), each stored once.
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

/// One message on its way through: as it came, by which way, and whose it is.
struct Incoming {
    enum Way {
        case live
        /// A copy of what another client of the account sent or got.
        case carbon
        /// Missed, and now read from the archive.
        case archive
        /// Older than this device.
        case history
    }

    let stanza: Element
    var message: XMPP.Message
    let way: Way
    let direction: MessageDirection
    let from: JID
    let chat: JID
    /// The id by which our own archive knows it.
    let stanzaID: String?
    let sentAt: Int64

    /// A copy is never answered: the client that got the original does that (XEP-0280 §11). What is older than
    /// this device was answered, or not, by others.
    var mayBeAnswered: Bool { direction == .in && (way == .live || way == .archive) }

    /// What tells it from other messages; nil if its sender gave it no id, or one so long that it is not worth the memory.
    var name: String? {
        guard let id = message.id, id.utf8.count <= 255 else { return nil }
        return "\(from.bare) \(id)"
    }

    /// - Returns: nil where an address is missing or malformed: then it is nobody's message.
    init?(
        _ stanza: Element, _ way: Way, own: JID, stanzaID: String?, sentAt: Int64
    ) {
        guard let message = try? XMPP.Message(stanza) else { return nil }
        self.stanza = stanza
        self.message = message
        self.way = way
        from = message.from ?? own
        // Live, what comes from our own account is written to us.
        let isOurs = way != .live && from.bare == own && message.to?.bare != own
        direction = isOurs ? .out : .in
        guard let chat = isOurs ? message.to?.bare : from.bare else { return nil }
        self.chat = chat
        self.stanzaID = stanzaID
        self.sentAt = sentAt
    }
}

extension Inbound {
    mutating func message(_ stanza: Element, _ tx: Transaction) throws {
        if Carbon.isClaimed(by: stanza) {
            // Forged ones are dropped whole (threat row 1).
            guard let carbon = try? Carbon.unwrap(stanza, account: own.jid, receivedAt: now) else { return }
            let id = stanzaID(of: carbon.message)
            guard
                let incoming = Incoming(
                    carbon.message, .carbon, own: own.jid, stanzaID: id, sentAt: carbon.sentAt)
            else { return }
            return try take(incoming, tx)
        }
        // Those that were asked for come as `archived` (threat row 3).
        if ArchivedMessage.isClaimed(by: stanza) { return }
        if PubSubEvent.isClaimed(by: stanza) {
            guard let event = try? PubSubEvent(stanza) else { return }
            return try published(event, tx)
        }
        let sentAt = DelayedDelivery.sentAt(stanza, by: [own.jid, own.jid.domain], receivedAt: now)
        let id = stanzaID(of: stanza)
        guard let incoming = Incoming(stanza, .live, own: own.jid, stanzaID: id, sentAt: sentAt) else {
            return
        }
        try take(incoming, tx)
    }

    mutating func archived(_ archived: ArchivedMessage, _ tx: Transaction) throws {
        position = ArchivePosition(archived)
        // Carbons and notifications say nothing in an archive: it holds what they were about.
        guard !Carbon.isClaimed(by: archived.message), !PubSubEvent.isClaimed(by: archived.message),
            !ArchivedMessage.isClaimed(by: archived.message),
            try !tx.isStored(account: own.account, stanzaID: archived.id),
            let incoming = Incoming(
                archived.message, archive.isHistory ? .history : .archive, own: own.jid,
                stanzaID: archived.id,
                sentAt: archived.sentAt)
        else { return }
        try take(incoming, tx)
    }

    private func stanzaID(of stanza: Element) -> String? {
        StanzaIDs.stanzaID(of: stanza, by: own.jid, isAnnounced: archive.announcesStanzaIDs)
    }

    private mutating func take(_ incoming: Incoming, _ tx: Transaction) throws {
        if archive.isCaughtUp, incoming.way != .history, let id = incoming.stanzaID {
            position = ArchivePosition(id: id, at: incoming.sentAt)
        }
        switch incoming.message.kind {
        case .error: return try bounced(incoming, tx)
        case .groupchat: return
        case .chat, .normal, .headline: break
        }
        // What we wrote to ourselves came in and went out.
        let mayBeOurs = incoming.direction == .out || incoming.from.bare == own.jid
        if mayBeOurs, try recognise(incoming, tx) { return }
        try readStates(incoming, tx)
        let encrypted = encryptedElements(of: incoming.message)
        if !encrypted.isEmpty {
            try decrypt(encrypted, in: incoming, tx)
        } else if isStripped(incoming.message) {
            try undecryptable(incoming, device: nil, "stripped", tx)
        } else if let body = incoming.message.body, !body.isEmpty {
            try store(body, encryption: nil, of: incoming, tx)
        }
    }

    private func encryptedElements(of message: XMPP.Message) -> [ProtocolVersion: Element] {
        var elements: [ProtocolVersion: Element] = [:]
        for version in ProtocolVersion.allCases {
            elements[version] = message.payload("encrypted", in: version.rawValue)
        }
        return elements
    }

    /// Whether a message says that it is encrypted with OMEMO and is not: somebody on its way took that out, and the
    /// body is no more than a notice (threat row 29).
    private func isStripped(_ message: XMPP.Message) -> Bool {
        guard let hint = message.payload("encryption", in: Namespace.messageEncryption) else { return false }
        return hint["namespace"].flatMap(ProtocolVersion.init(rawValue:)) != nil
    }

    /// Our own message, seen again. In the clear it must not go out a second time, whatever became of its
    /// acknowledgement.
    private mutating func recognise(_ incoming: Incoming, _ tx: Transaction) throws -> Bool {
        guard let id = StanzaIDs.originID(of: incoming.stanza) ?? incoming.message.id else { return false }
        let confirmed = try tx.confirm(
            account: own.account, chat: incoming.chat, messageID: id, stanzaID: incoming.stanzaID, now: now)
        switch confirmed {
        case .unknown: return false
        case .known: return true
        case .moved(let row):
            effects.states.append((row, .server))
            return true
        }
    }

    /// "Delivered" (XEP-0184) and "displayed" (XEP-0333), said by the contact, or by another device of ours to it.
    mutating func readStates(_ incoming: Incoming, _ tx: Transaction) throws {
        guard incoming.direction == .in else {
            guard let id = ChatMarkers.displayed(incoming.message) else { return }
            return try tx.markRead(account: own.account, chat: incoming.chat, messageID: id)
        }
        if let id = DeliveryReceipts.received(incoming.message),
            let row = try tx.markDelivered(account: own.account, chat: incoming.chat, messageID: id, now: now)
        {
            effects.states.append((row, .delivered))
        }
        if let id = ChatMarkers.displayed(incoming.message) {
            let rows = try tx.markDisplayed(
                account: own.account, chat: incoming.chat, messageID: id, now: now)
            effects.states += rows.map { ($0, .displayed) }
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

    mutating func store(
        _ body: String, encryption: SenderEncryption?, of incoming: Incoming, _ tx: Transaction
    ) throws {
        let isKept = incoming.stanza.child("delay", in: Namespace.delay) != nil
        let downgraded = try encryption == nil && isDowngrade(incoming, tx)
        let stored = try tx.insertIncoming(
            NewIncoming(
                account: own.account, messageID: incoming.message.id ?? "", chat: incoming.chat,
                sender: incoming.from, direction: incoming.direction, body: body, encryption: encryption,
                stanzaID: incoming.stanzaID, mayBeCopy: isKept || incoming.way != .live,
                markable: ChatMarkers.isMarkable(incoming.message), downgraded: downgraded,
                sentAt: incoming.sentAt, storedAt: now))
        guard let stored else { return }
        if encryption != nil { try tx.markEncrypted(account: own.account, chat: incoming.chat, now: now) }
        if incoming.way == .history {
            try tx.markRead(account: own.account, chat: incoming.chat, through: stored.id)
        } else {
            try tx.appendEvent(
                type: EventType.message.rawValue, account: own.account, chat: incoming.chat,
                message: stored.id, detail: nil, at: now)
        }
        if downgraded {
            let detail = SecurityDetail(
                kind: .plaintext, chat: incoming.chat.description, id: stored.name)
            try append(.security(detail), chat: incoming.chat, tx)
        }
        try acknowledge(incoming, tx)
    }

    /// Whether a message in clear comes into a chat that is encrypted.
    private func isDowngrade(_ incoming: Incoming, _ tx: Transaction) throws -> Bool {
        guard incoming.direction == .in, incoming.way != .history else { return false }
        return try tx.isEncrypted(account: own.account, chat: incoming.chat)
    }

    /// Answers a receipt request of somebody who may see our presence (XEP-0184 §8, threat row 11).
    ///
    /// It waits in the outbox like any message, stored with what it answers, so that nothing loses or repeats it.
    private mutating func acknowledge(_ incoming: Incoming, _ tx: Transaction) throws {
        guard incoming.mayBeAnswered else { return }
        let mayKnow = try seesOurPresence(incoming.chat, tx)
        guard
            let receipt = DeliveryReceipts.answer(to: incoming.message, account: own.jid, mayKnow: mayKnow)
        else { return }
        try tx.enqueue(account: own.account, stanza: receipt.element.xml(), message: nil, now: now)
        effects.outboxGrew = true
    }
}
