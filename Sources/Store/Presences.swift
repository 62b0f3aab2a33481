// Who is online, for a stream that is resumed: the server does not tell it again (XEP-0198 §5).
public import XMPP

/// What an online resource of a contact said of itself (RFC 6121 §4.7).
public struct StoredPresence: Hashable, Sendable {
    /// Bare.
    public var jid: JID
    /// The resourcepart; empty if the contact has none.
    public var resource: String
    /// The daemon's word for the availability.
    public var show: String
    /// In the contact's words.
    public var status: String?
    /// −128…127.
    public var priority: Int8

    /// From its parts.
    public init(jid: JID, resource: String, show: String, status: String?, priority: Int8) {
        self.jid = jid.bare
        self.resource = resource
        self.show = show
        self.status = status
        self.priority = priority
    }
}

extension Transaction {
    /// A resource is online.
    public func setPresence(_ presence: StoredPresence, account: Int64) throws(StoreError) {
        try run(
            """
            INSERT INTO presence (account, jid, resource, show, status, priority) VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET show = excluded.show, status = excluded.status, priority = excluded.priority
            """, account, presence.jid, presence.resource, presence.show, presence.status,
            Int(presence.priority))
    }

    /// A resource is not online any more.
    public func removePresence(account: Int64, jid: JID, resource: String) throws(StoreError) {
        try run(
            "DELETE FROM presence WHERE account = ? AND jid = ? AND resource = ?", account, jid.bare, resource
        )
    }

    /// No resource of this contact, or with nil of any contact, is online any more.
    public func removePresences(account: Int64, jid: JID? = nil) throws(StoreError) {
        if let jid {
            try run("DELETE FROM presence WHERE account = ? AND jid = ?", account, jid.bare)
        } else {
            try run("DELETE FROM presence WHERE account = ?", account)
        }
    }

    /// Who is online, by JID and resource. A row that cannot be read is left out: the contact says it again.
    public func presences(account: Int64) throws(StoreError) -> [StoredPresence] {
        try rows(
            """
            SELECT jid, resource, show, status, priority FROM presence WHERE account = ? ORDER BY jid, resource
            """, account
        ) { row in
            guard let jid = try? row.jid(0), let priority = Int8(exactly: row.integer(4)) else { return nil }
            return StoredPresence(
                jid: jid, resource: row.text(1), show: row.text(2), status: row.optionalText(3),
                priority: priority)
        }.compactMap { $0 }
    }
}
