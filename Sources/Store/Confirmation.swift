// Messages of ours whose arrival is shown by something else than an acknowledgement: the archive, or a carbon.
public import XMPP

/// What was known of a message of ours that was seen again.
public enum Confirmation: Hashable, Sendable {
    /// There is no such message.
    case unknown
    /// It had come at least as far.
    case known
    /// The server has it, which was not known: it must not be sent again.
    case moved(Int64)
}

extension Transaction {
    /// A message of ours was seen again, so the server had it: the archive's id is kept.
    ///
    /// One in the clear must not be sent a second time: what is left of it in the outbox is deleted, and a `state`
    /// event is appended where that is news. An encrypted one stays in the outbox until it is acknowledged: a server
    /// that died may have archived it for us and not for the recipient, who drops the repetition.
    ///
    /// - Parameter stanzaID: the archive's id for it, if it came with one.
    public func confirm(
        account: Int64, chat: JID, messageID: String, stanzaID: String?, now: Int64
    ) throws(StoreError) -> Confirmation {
        let row = try first(
            """
            SELECT id, plaintext FROM message
            WHERE account = ? AND messageID = ? AND chat = ? AND direction = 'out' ORDER BY id LIMIT 1
            """, account, messageID, chat.bare
        ) { (id: $0.integer(0), isPlaintext: $0.bool(1)) }
        guard let row else { return .unknown }
        if let stanzaID {
            try attachStanzaID(stanzaID, account: account, chat: chat, messageID: messageID)
        }
        guard row.isPlaintext else { return .known }
        try run("DELETE FROM outbox WHERE message = ?", row.id)
        return try setState(row.id, .server, now: now) ? .moved(row.id) : .known
    }

    /// When the oldest message in the clear that may have reached the server on an earlier stream was put into the
    /// outbox, Unix milliseconds; nil without one.
    public func oldestUnconfirmed(account: Int64) throws(StoreError) -> Int64? {
        try first(
            """
            SELECT min(o.createdAt) FROM outbox o JOIN message m ON m.id = o.message
            WHERE o.account = ? AND m.state = 'sent' AND m.plaintext
            """, account
        ) { $0.optionalInteger(0) } ?? nil
    }
}

extension Transaction {
    /// How many messages of ours are not yet with the server.
    public func pendingCount(account: Int64) throws(StoreError) -> Int {
        try first(
            """
            SELECT (SELECT count(DISTINCT message) FROM outbox WHERE account = ?1)
              + (SELECT count(*) FROM message WHERE account = ?1 AND state = 'held')
              + (SELECT count(*) FROM message WHERE account = ?1 AND awaitsKeys AND state = 'queued')
            """, account
        ) { Int($0.integer(0)) } ?? 0
    }
}
