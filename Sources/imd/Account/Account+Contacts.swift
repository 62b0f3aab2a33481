// An account's contacts: the roster and who may see whom (RFC 6121 §2, §3).
import LocalAPI
import Store
import XMPP

extension Account {
    /// Fetches the roster, or only learns that the stored version still stands (RFC 6121 §2.6).
    func fetchRoster() async throws {
        let id = id
        do {
            let answer = try await get(Roster.get(version: record.rosterVersion))
            if let roster = try? Roster.result(answer) {
                try await store.write {
                    try $0.replaceRoster(account: id, items: roster.items, version: roster.version)
                }
                record.rosterVersion = roster.version
            }
        } catch let error as StanzaError {
            log.warning("no roster", metadata: ["condition": "\(error.condition.rawValue)"])
        }
        for item in try await store.read({ try $0.roster(account: id) }) { see(item) }
    }

    func contacts() async throws -> [Contact] {
        let id = id
        return try await store.read { try $0.roster(account: id) }.map(contact)
    }

    private func contact(_ item: RosterItem) -> Contact {
        let shown = shown(item.jid)
        return Contact(
            account: jid.description, jid: item.jid.description, name: item.name,
            subscription: Subscription(item.subscription), ask: item.isPending ? "subscribe" : nil,
            groups: item.groups, show: shown.show, status: shown.status)
    }

    /// Puts somebody on the roster, and asks for their presence where we do not see it.
    func addContact(_ contact: JID, name: String?, groups: [String]?) async throws -> Contact {
        try needConnection()
        var item = try await rosterItem(contact) ?? RosterItem(contact)
        if let name { item.name = name.isEmpty ? nil : name }
        if let groups { item.groups = groups }
        try await set(Roster.set(item))
        if item.subscription != .to, item.subscription != .both {
            send([Presence(.subscribe, to: contact).element])
        }
        // Whoever asked us before and is now asked by us has their answer.
        if knownRequests.remove(contact) != nil { send([Presence(.subscribed, to: contact).element]) }
        try await handled()
        return self.contact(try await rosterItem(contact) ?? item)
    }

    /// Returns when the server has handled everything sent so far: it answers in order.
    private func handled() async throws {
        do { try await get(Ping.query) } catch is StanzaError {}
    }

    func removeContact(_ contact: JID) async throws {
        try needConnection()
        guard try await rosterItem(contact) != nil else {
            throw UserError(.noSuchContact, "\(contact) is not a contact", hint: "see: imctl contact list")
        }
        try await set(Roster.remove(contact))
    }

    /// Lets somebody see our presence, or not.
    func answerRequest(of contact: JID, deny: Bool) async throws {
        try needConnection()
        knownRequests.remove(contact)
        send([Presence(deny ? .unsubscribed : .subscribed, to: contact).element])
        try await handled()
    }

    func setPresence(_ presence: OwnPresence) {
        let wasAway = ownPresence.show == .offline
        ownPresence = presence
        // The server pushes device lists only to those who are available.
        currentLists = [:]
        // Nor does it deliver messages to others: what came meanwhile is in the archive.
        let mustRead = wasAway && presence.show != .offline
        if mustRead { if archive.isDone { archive.restart() } else { archive.askAgain() } }
        guard isOnline, let connection else { return }
        sendPresence()
        if mustRead { Task { await readArchive(on: connection) } }
    }

    private func rosterItem(_ contact: JID) async throws -> RosterItem? {
        let id = id
        return try await store.read { try $0.rosterItem(account: id, jid: contact) }
    }

    private func needConnection() throws(UserError) {
        guard isOnline, bound != nil else {
            throw UserError(.notConnected, "\(jid) is not online", hint: "see: imctl status")
        }
    }
}
