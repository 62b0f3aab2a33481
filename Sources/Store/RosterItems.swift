// The roster as the server last told it (RFC 6121 §2).
public import XMPP

extension Transaction {
    /// The server's whole list takes the place of what was stored.
    /// - Parameter version: what to ask for next time; nil if the server keeps no versions.
    public func replaceRoster(
        account: Int64, items: [RosterItem], version: String?
    ) throws(StoreError) {
        try run("DELETE FROM rosterItem WHERE account = ?", account)
        for item in items { try save(item, account: account) }
        try setRosterVersion(version, account: account)
    }

    /// One change; an item with subscription `remove` deletes.
    /// - Parameter version: the list's version after it.
    public func applyRosterItem(
        _ item: RosterItem, version: String?, account: Int64
    ) throws(StoreError) {
        if item.subscription == .remove {
            try run("DELETE FROM rosterItem WHERE account = ? AND jid = ?", account, item.jid)
        } else {
            try save(item, account: account)
        }
        try setRosterVersion(version, account: account)
    }

    /// All contacts, by JID.
    public func roster(account: Int64) throws(StoreError) -> [RosterItem] {
        try rows("\(Self.selectItems) WHERE account = ? ORDER BY jid", account, read: item)
    }

    /// One contact.
    public func rosterItem(account: Int64, jid: JID) throws(StoreError) -> RosterItem? {
        try first("\(Self.selectItems) WHERE account = ? AND jid = ?", account, jid, read: item)
    }

    private static let selectItems = """
        SELECT jid, name, subscription, ask, approved, (SELECT group_concat(value, char(31)) FROM json_each(groups))
        FROM rosterItem
        """

    private func save(_ item: RosterItem, account: Int64) throws(StoreError) {
        try run(
            """
            INSERT INTO rosterItem (account, jid, name, subscription, ask, approved, groups)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET name = excluded.name, subscription = excluded.subscription,
              ask = excluded.ask, approved = excluded.approved, groups = excluded.groups
            """, account, item.jid, item.name, item.subscription.rawValue, item.isPending ? "subscribe" : nil,
            item.isApproved, jsonArray(item.groups))
    }

    private func item(_ row: Row) throws(StoreError) -> RosterItem {
        // XML has no way to write U+001F, so no group's name contains it.
        let groups = row.text(5).split(separator: "\u{1f}").map { String($0) }
        return RosterItem(
            try row.jid(0), name: row.optionalText(1),
            subscription: try row.value(2, as: RosterItem.Subscription.self), isPending: !row.isNull(3),
            isApproved: row.bool(4), groups: groups)
    }
}
