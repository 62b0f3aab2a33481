// What one received stanza means, written down inside the transaction of its read.
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

/// One thing of a read that needs the database.
enum Work: Sendable {
    /// As it came.
    case stanza(Element)
    /// An answer to our question, by our own archive.
    case archived(ArchivedMessage)
    /// What a client of a contact shows; nil when it has gone.
    case presence(JID, resource: String, Availability?)
    case event(EventDetail)
}

/// Decides and stores; sends nothing. What has to happen after the commit is collected in `effects`.
struct Inbound {
    let own: OwnIdentity
    let policies: Policies
    let archive: Archive
    let now: Int64
    var effects = Effects()
    /// The newest message of this read that our archive keeps.
    var position: ArchivePosition?

    /// What the account's archive (XEP-0313) means for this read.
    struct Archive: Sendable {
        /// Whether the server's ids for messages can be believed (XEP-0359 §5).
        var announcesStanzaIDs = false
        /// Whether everything before this read has been read from the archive: then live messages move its
        /// position, and a used pre-key can go.
        var isCaughtUp = true
        /// Whether what the archive holds is older than this device: kept to be looked up, and nothing more.
        var isHistory = false
        /// Whether it is known already that the database is an old copy.
        var isRestored = false
        /// Messages of late, by name, that held reactions or the like and no text.
        var textless: [String] = []
    }

    struct ArchivePosition: Sendable {
        var id: String
        var at: Int64
    }

    /// What the account does once the transaction is on disk.
    struct Effects: Sendable {
        /// Answers to requests; not worth surviving the stream.
        var replies: [Element] = []
        var outboxGrew = false
        var bundleChanged = false
        /// The database turned out to be an old copy.
        var isRestored = false
        /// Our own device is missing from the list that others read.
        var isUnlisted = false
        var currentLists: [ListKey] = []
        var rosterVersion: String?
        /// Whose device lists may not be as they are known: fetched again before anything is sent there.
        var staleLists: [JID] = []
        var states: [(message: Int64, state: MessageState)] = []
        /// Whether a session did not decrypt a message.
        var isBroken = false
        /// Whose devices a trust message decided about.
        var decided: Set<JID> = []
        /// Whether a message had no key for this device: its other stanza may still come.
        var isUnaddressed = false
        /// Messages, by name, that held no text.
        var textless: [String] = []
    }

    init(own: OwnIdentity, policies: Policies, archive: Archive, now: Int64) {
        self.own = own
        self.policies = policies
        self.archive = archive
        self.now = now
    }

    /// Everything that one read delivered.
    ///
    /// - Throws: `StoreError` only: nothing a peer sends can undo the stanzas beside it.
    mutating func receive(_ work: [Work], _ tx: Transaction) throws -> Effects {
        for item in work { try receive(item, tx) }
        return try end(tx)
    }

    /// The same where a damaged row stands in the way: what needs it leaves a `gap` event, the rest goes on.
    mutating func receiveAround(damage work: [Work], _ tx: Transaction) throws -> Effects {
        for item in work {
            let before = self
            do {
                try tx.savepoint { try receive(item, tx) }
            } catch let error as StoreError where error.isOfOneRow {
                self = before
                try append(.gap(GapDetail(reason: .damaged, chat: item.chat(of: own.jid))), chat: nil, tx)
                if case .archived(let message) = item { position = ArchivePosition(message) }
            }
        }
        return try end(tx)
    }

    private mutating func end(_ tx: Transaction) throws -> Effects {
        if let position {
            try tx.setArchivePosition(position.id, at: position.at, account: own.account)
        }
        return effects
    }

    private mutating func receive(_ item: Work, _ tx: Transaction) throws {
        switch item {
        case .stanza(let stanza):
            switch stanza.stanzaKind {
            case .message: try message(stanza, tx)
            case .iq: try request(stanza, tx)
            case .presence, nil: break
            }
        case .archived(let message): try archived(message, tx)
        case .presence(let jid, let resource, let availability):
            try store(availability, of: jid, resource, tx)
        case .event(let detail): try append(detail, chat: nil, tx)
        }
    }

    private func store(_ availability: Availability?, of jid: JID, _ resource: String, _ tx: Transaction)
        throws
    {
        guard let availability else {
            return try tx.removePresence(account: own.account, jid: jid, resource: resource)
        }
        try tx.setPresence(
            StoredPresence(
                jid: jid, resource: resource, show: availability.show.rawValue, status: availability.status,
                priority: availability.priority), account: own.account)
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
        if let answer = Answers.answer(iq, mayKnow: mayKnow, now: now) { effects.replies.append(answer) }
    }

    func seesOurPresence(_ jid: JID, _ tx: Transaction) throws -> Bool {
        if jid == own.jid { return true }
        switch try tx.rosterItem(account: own.account, jid: jid)?.subscription {
        case .from, .both: return true
        default: return false
        }
    }

    // MARK: Device lists

    mutating func published(_ event: PubSubEvent, _ tx: Transaction) throws {
        let version = ProtocolVersion.allCases.first { OMEMO.DeviceList.node($0) == event.node }
        guard let version, try concerns(event.owner, tx) else { return }
        guard case .items(let items, _) = event.change, let item = items.last else {
            // Taken back or deleted: how things are is asked for before the next message.
            effects.staleLists.append(event.owner)
            if event.owner == own.jid { effects.isUnlisted = true }
            return
        }
        guard let payload = item.payload, let list = try? OMEMO.DeviceList(payload, version) else {
            if event.owner == own.jid { effects.isUnlisted = true }
            return
        }
        try DeviceLists(own: own, now: now).update(event.owner, list, tx)
        effects.currentLists.append(ListKey(owner: event.owner, version: version))
        if event.owner == own.jid, !list.ids.contains(own.device) { effects.isUnlisted = true }
    }

    /// Whose devices matter: our own, those of contacts, and of people we write to.
    private func concerns(_ owner: JID, _ tx: Transaction) throws -> Bool {
        if owner == own.jid { return true }
        if try tx.rosterItem(account: own.account, jid: owner) != nil { return true }
        return try tx.hasSent(account: own.account, chat: owner)
    }

    func append(_ detail: EventDetail, chat: JID?, _ tx: Transaction) throws {
        try tx.append(detail, account: own.account, chat: chat, now: now)
    }
}

extension Inbound.ArchivePosition {
    init(_ message: ArchivedMessage) { self.init(id: message.id, at: message.sentAt) }
}

extension Work {
    /// The bare JID of who sent it, as far as known.
    fileprivate func chat(of account: JID) -> String? {
        switch self {
        case .stanza(let stanza): stanza.from?.bare.description
        case .archived(let archived): archived.message.from?.bare.description
        case .presence(let jid, _, _): jid.description
        case .event: nil
        }
    }
}

extension StoreError {
    /// Whether a row is at fault and not the disk: going on without it is possible.
    var isOfOneRow: Bool {
        switch self {
        case .corrupt, .constraint: true
        default: false
        }
    }
}
