// An account's contacts' presence, and what a person is told of it (RFC 6121 §3, §4).
import LocalAPI
import XMPP

/// What one client of a contact shows.
struct Availability: Equatable {
    var show: Show
    var status: String?
    var priority: Int8

    init(_ presence: Presence) {
        show = presence.show.flatMap { Show(rawValue: $0.rawValue) } ?? .online
        status = presence.status.map { String($0.prefix(1024)) }
        priority = presence.priority
    }
}

extension Account {
    /// Takes note of a presence.
    ///
    /// - Parameter newRequests: gets who is told to the user for the first time.
    /// - Returns: what a person would notice.
    func presence(_ stanza: Element, _ newRequests: inout Set<JID>) -> EventDetail? {
        guard let presence = try? Presence(stanza), let contact = presence.from?.bare else { return nil }
        switch presence.kind {
        case .subscribe:
            // The server repeats an open request at every login.
            guard knownRequests.count < 1000, knownRequests.insert(contact).inserted else { return nil }
            newRequests.insert(contact)
            return .subscription(SubscriptionDetail(from: contact.description, kind: .request))
        case .subscribed: return .subscription(SubscriptionDetail(from: contact.description, kind: .approved))
        case .unsubscribed: return .subscription(SubscriptionDetail(from: contact.description, kind: .denied))
        case .unsubscribe:
            knownRequests.remove(contact)
            return .subscription(SubscriptionDetail(from: contact.description, kind: .cancelled))
        case .available, .unavailable: return availability(presence, of: contact)
        case .probe, .error: return nil
        }
    }

    /// Presence that was not subscribed to says nothing here: anybody can send some.
    private func availability(_ presence: Presence, of contact: JID) -> EventDetail? {
        guard visible.contains(contact) else { return nil }
        let resource = presence.from?.resourcepart ?? ""
        presences[contact, default: [:]][resource] =
            presence.kind == .available ? Availability(presence) : nil
        if presences[contact]?.isEmpty == true { presences[contact] = nil }
        return announce(contact)
    }

    /// The event for a contact, where it is not what the user was told last.
    private func announce(_ contact: JID) -> EventDetail? {
        let now = shown(contact)
        guard now != announced[contact] ?? OwnPresence(show: .offline) else { return nil }
        announced[contact] = now.show == .offline ? nil : now
        return .presence(PresenceDetail(from: contact.description, show: now.show, status: now.status))
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
