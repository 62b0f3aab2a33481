// An account's contacts' presence, and what a person is told of it (RFC 6121 §3, §4).
import LocalAPI
import Store
import XMPP

/// What one client of a contact shows.
struct Availability: Equatable, Sendable {
    var show: Show
    var status: String?
    var priority: Int8

    init(_ presence: Presence) {
        show = presence.show.flatMap { Show(rawValue: $0.rawValue) } ?? .online
        status = presence.status.map { String($0.prefix(1024)) }
        priority = presence.priority
    }

    init(_ stored: StoredPresence) {
        show = Show(rawValue: stored.show) ?? .online
        status = stored.status
        priority = stored.priority
    }
}

extension Account {
    /// Takes note of a presence: what a person would notice, and what a resumed stream must know after a restart.
    ///
    /// - Parameter newRequests: gets who is told to the user for the first time.
    func presence(_ stanza: Element, _ work: inout [Work], _ newRequests: inout Set<JID>) {
        guard let presence = try? Presence(stanza), let contact = presence.from?.bare else { return }
        let kind: SubscriptionDetail.Kind
        switch presence.kind {
        case .available, .unavailable: return availability(presence, of: contact, &work)
        case .probe, .error: return
        case .subscribe:
            // The server repeats an open request at every login.
            guard knownRequests.count < 1000, knownRequests.insert(contact).inserted else { return }
            newRequests.insert(contact)
            kind = .request
        case .subscribed: kind = .approved
        case .unsubscribed: kind = .denied
        case .unsubscribe:
            knownRequests.remove(contact)
            kind = .cancelled
        }
        work.append(.event(.subscription(SubscriptionDetail(from: contact.description, kind: kind))))
    }

    /// Presence that was not subscribed to says nothing here: anybody can send some.
    private func availability(_ presence: Presence, of contact: JID, _ work: inout [Work]) {
        guard visible.contains(contact) else { return }
        let resource = presence.from?.resourcepart ?? ""
        let availability = presence.kind == .available ? Availability(presence) : nil
        guard presences[contact]?[resource] != availability else { return }
        presences[contact, default: [:]][resource] = availability
        if presences[contact]?.isEmpty == true { presences[contact] = nil }
        work.append(.presence(contact, resource: resource, availability))
        if let detail = announce(contact) { work.append(.event(detail)) }
    }

    /// The event for a contact, where it is not what the user was told last.
    private func announce(_ contact: JID) -> EventDetail? {
        let now = shown(contact)
        let was = announced[contact] ?? OwnPresence(show: .offline)
        guard now != was else { return nil }
        announced[contact] = now.show == .offline ? nil : now
        return .presence(
            PresenceDetail(from: contact.description, show: now.show, status: now.status, was: was.show))
    }

    /// What of a contact's clients is shown: the one with the highest priority.
    func shown(_ contact: JID) -> OwnPresence {
        guard let best = presences[contact]?.values.max(by: { $0.priority < $1.priority }) else {
            return OwnPresence(show: .offline)
        }
        return OwnPresence(show: best.show, status: best.status)
    }

    /// Who was there before this stream, and did not show again on it, has left meanwhile.
    func announceAbsent() async {
        for contact in announced.keys { if let detail = announce(contact) { await append(detail) } }
    }

    /// Whether we see this contact's presence, by the roster.
    func see(_ item: RosterItem) {
        switch item.subscription {
        case .to, .both: visible.insert(item.jid)
        case .none, .from, .remove:
            visible.remove(item.jid)
            presences[item.jid] = nil
        }
    }
}
