// An account's way in: all stanzas of one read in one transaction, then what follows from them.
import LocalAPI
import OMEMO
import Store
import XMPP

extension Account {
    /// Stores what one read delivered, and only then lets it count as handled.
    func received(_ batch: StanzaBatch, on connection: Connection) async {
        guard !refuses else { return }
        log.debug("received", metadata: ["stanzas": "\(batch.items.count)"])
        let read = sort(batch.items)
        do {
            let effects = try await store(read.work, handled: batch.handled)
            stream.stored(handled: batch.handled)
            connection.send(.stored(batch.items.count))
            perform(effects)
        } catch {
            // Not stored, so not acknowledged: the server keeps it.
            log.error("received stanzas could not be stored", metadata: ["reason": "\(error)"])
            knownRequests.subtract(read.newRequests)
            refuses = true
            return await connection.close()
        }
        // An answer comes after everything that came before it.
        for answer in read.answers { self.answer(answer) }
    }

    private struct Read {
        var work: [Work] = []
        var answers: [Element] = []
        var newRequests: Set<JID> = []
    }

    private func sort(_ items: [StanzaBatch.Item]) -> Read {
        var read = Read()
        for item in items {
            switch item {
            case .stanza(let stanza): sort(stanza, &read)
            case .discarded(let stanza, let reason):
                poisoned = 0
                log.warning("a stanza was left out", metadata: ["reason": "\(reason)"])
                let from = stanza.from?.bare == jid ? nil : stanza.from?.bare.description
                read.work.append(.event(.gap(GapDetail(reason: .tooLarge, chat: from))))
            }
        }
        return read
    }

    private func sort(_ stanza: Element, _ read: inout Read) {
        switch stanza.stanzaKind {
        case .iq where stanza.type == "result" || stanza.type == "error": read.answers.append(stanza)
        case .presence: presence(stanza, &read.work, &read.newRequests)
        case .message where ArchivedMessage.isClaimed(by: stanza):
            if let work = archived(stanza) { read.work.append(work) }
        case .message where mustWait(stanza): break
        default:
            // At once, not after the commit: the contact's presence may follow in the same read.
            if let push = try? RosterPush(stanza, account: jid) { see(push.item) }
            read.work.append(.stanza(stanza))
        }
    }

    /// A result of our query to our archive; nil for one that nobody asked for (threat row 3).
    private func archived(_ stanza: Element) -> Work? {
        do throws(CodecError) {
            let archived = try ArchivedMessage.unwrap(
                stanza, queryID: archive.queryID, archive: jid, receivedAt: Clock.now())
            if let archived { archive.gave(archived.id) }
            // Asked for only to learn where the archive ends.
            if isReadingHistory, history == 0 { return nil }
            return archived.map { .archived($0) }
        } catch {
            if case .unexpected = error { return nil }
            return .event(.gap(GapDetail(reason: .malformed)))
        }
    }

    /// Whether a live message has its place behind what is still being read from the archive.
    private func mustWait(_ stanza: Element) -> Bool {
        let isUnknown = holdsRepetitions && !features.areKnown
        guard !archive.isDone, features.archive || isUnknown else { return false }
        var message = stanza
        if Carbon.isClaimed(by: stanza) {
            guard let carbon = try? Carbon.unwrap(stanza, account: jid, receivedAt: Clock.now()) else {
                return false
            }
            message = carbon.message
        }
        guard let id = StanzaIDs.stanzaID(of: message, by: jid, isAnnounced: features.stanzaIDs || isUnknown)
        else {
            return false
        }
        return archive.holds(stanza, id: id)
    }

    /// One transaction for all of it.
    ///
    /// - Parameters:
    ///   - context: nil for how the archive stands now.
    ///   - also: what else it does, first.
    func store(
        _ work: [Work], in context: Inbound.Archive? = nil,
        also: @escaping @Sendable (Transaction) throws -> Void
    ) async throws -> Inbound.Effects {
        let inbound = Inbound(
            own: own, policies: policies, archive: context ?? archiveContext, now: Clock.now())
        do {
            return try await persist { tx in
                try also(tx)
                var inbound = inbound
                return try inbound.receive(work, tx)
            }
        } catch let error as StoreError where error.isOfOneRow {
            log.error("a row is damaged", metadata: ["reason": "\(error)"])
            return try await persist { tx in
                try also(tx)
                var inbound = inbound
                return try inbound.receiveAround(damage: work, tx)
            }
        }
    }

    /// - Parameter handled: our `h` once this is on disk; nil without stream management.
    private func store(_ work: [Work], handled: UInt32?) async throws -> Inbound.Effects {
        let id = id
        let record = handled.flatMap { stream.record(handled: $0, caughtUp: isCaughtUp) }
        guard !work.isEmpty || record != nil || stream.isSaved else { return Inbound.Effects() }
        let effects = try await store(work) { tx in
            if let record {
                try tx.setResumption(record, account: id)
            } else if let handled {
                try tx.setHandled(handled, account: id)
            }
        }
        if record != nil { stream.saved() }
        return effects
    }

    /// While we are away the server may deliver some and only archive others.
    var archiveContext: Inbound.Archive {
        Inbound.Archive(
            announcesStanzaIDs: features.stanzaIDs, isCaughtUp: isCaughtUp, isHistory: isReadingHistory,
            isRestored: isRestored, textless: textless)
    }

    private var isCaughtUp: Bool { archive.isDone && ownPresence.show != .offline }

    func perform(_ effects: Inbound.Effects) {
        // They come again from the archive, if at all, soon.
        if !effects.textless.isEmpty { textless = (textless + effects.textless).suffix(256) }
        for key in effects.currentLists { listArrived(key) }
        for owner in effects.staleLists { forgetLists(of: owner) }
        for change in effects.states { waiters.reached(change.state, message: change.message) }
        if let version = effects.rosterVersion { record.rosterVersion = version }
        isRestored = isRestored || effects.isRestored
        send(effects.replies)
        // While the archive is being read keys may still be used up; the bundle follows once.
        if effects.isUnlisted {
            repairList()
        } else if effects.bundleChanged && archive.isDone {
            Task { try? await publishDevice() }
        }
        if effects.outboxGrew { flush() }
        review(effects)
    }

    /// What may make messages readable, here or there, that are not yet.
    private func review(_ effects: Inbound.Effects) {
        let people = effects.decided.union(effects.currentLists.map(\.owner))
        if !people.isEmpty { Task { await releaseHeld(in: people.contains(jid) ? nil : Array(people)) } }
        if effects.isUnaddressed { complainLater() }
        if effects.isBroken { Task { await heal() } }
    }

    /// How long the second stanza of a message may take, in milliseconds.
    private static let stanzaGap: Int64 = 5_000

    /// Tells of messages that came without a key for this device, once none with one can be expected any more.
    func complainLater() {
        Task {
            try? await Task.sleep(for: .milliseconds(Self.stanzaGap))
            let (id, now) = (id, Clock.now())
            _ = try? await persist { tx in
                for stanza in try tx.takeUnaddressed(account: id, olderThan: Self.stanzaGap / 2, now: now) {
                    if let name = stanza.messageID,
                        try tx.isStored(name, in: stanza.chat, stanza.direction, account: id)
                    {
                        continue
                    }
                    try tx.appendEvent(
                        type: EventType.undecryptable.rawValue, account: id, chat: stanza.chat, message: nil,
                        detail: stanza.detail, at: now)
                }
            }
        }
    }

    private func answer(_ iq: Element) {
        guard let request = requests.take(iq) else { return }
        if let error = StanzaError(iq) { request.fail(error) } else { request.succeed(iq) }
    }

    // MARK: Events of the account itself

    func append(_ detail: EventDetail) async {
        let (id, now) = (id, Clock.now())
        do {
            try await store.write { try $0.append(detail, account: id, chat: nil, now: now) }
        } catch {
            log.error("an event could not be stored", metadata: ["reason": "\(error)"])
        }
    }
}
