// An account's way in: all stanzas of one read in one transaction, then what follows from them.
import LocalAPI
import OMEMO
import Store
import XMPP

extension Account {
    /// Stores what one read delivered, and only then lets it count as handled.
    func received(_ stanzas: [Element], on connection: Connection) async {
        log.debug("received", metadata: ["stanzas": "\(stanzas.count)"])
        var work: [Work] = []
        var newRequests: Set<JID> = []
        for stanza in stanzas {
            switch stanza.stanzaKind {
            case .iq where stanza.type == "result" || stanza.type == "error": answer(stanza)
            case .presence: if let detail = presence(stanza, &newRequests) { work.append(.event(detail)) }
            default:
                // At once, not after the commit: the contact's presence may follow in the same read.
                if let push = try? RosterPush(stanza, account: jid) { see(push.item) }
                work.append(.stanza(stanza))
            }
        }
        if !work.isEmpty {
            do {
                let inbound = Inbound(own: own, announcesStanzaIDs: announcesStanzaIDs, now: Clock.now())
                let effects = try await store.write { [work] tx in
                    var inbound = inbound
                    return try inbound.receive(work, tx)
                }
                connection.send(.stored(stanzas.count))
                return perform(effects)
            } catch {
                // Not stored, so not acknowledged: the server keeps it until there is room again.
                log.error("received stanzas could not be stored", metadata: ["reason": "\(error)"])
                knownRequests.subtract(newRequests)
                return await connection.close()
            }
        }
        connection.send(.stored(stanzas.count))
    }

    private func perform(_ effects: Inbound.Effects) {
        for owner in effects.currentLists { listArrived(of: owner) }
        for owner in effects.staleLists { currentLists[owner] = nil }
        for change in effects.states { waiters.reached(change.state, message: change.message) }
        if let version = effects.rosterVersion { record.rosterVersion = version }
        send(effects.replies)
        if effects.bundleChanged || effects.isUnlisted { Task { try? await publishDevice() } }
        if effects.outboxGrew { flush() }
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
