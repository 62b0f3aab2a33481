// Finished stanzas that the server has not yet taken responsibility for. A retry sends the same bytes.
public import IMCrypto

/// A stanza to send.
public struct OutboxEntry: Sendable {
    /// Its place in the order of sending; never used again.
    public let id: Int64
    /// Row of the message it carries, if it carries one.
    public let message: Int64?
    /// The bytes to send.
    public let stanza: Bytes
    /// Unix milliseconds, UTC.
    public let createdAt: Int64
}

extension Transaction {
    /// Adds a stanza at the end.
    /// - Parameter message: row of the message it carries.
    /// - Returns: its place.
    @discardableResult
    public func enqueue(
        account: Int64, stanza: Bytes, message: Int64?, now: Int64
    ) throws(StoreError) -> Int64 {
        try insert(
            "INSERT INTO outbox (account, message, stanza, createdAt) VALUES (?, ?, ?, ?)", account, message,
            stanza, now)
    }

    /// The stanzas behind place `after`, in order. From 0 for all of them, as after a new connection.
    public func outbox(account: Int64, after: Int64 = 0, limit: Int) throws(StoreError) -> [OutboxEntry] {
        try rows(
            """
            SELECT id, message, stanza, createdAt FROM outbox WHERE account = ?1 AND id > ?2 ORDER BY id LIMIT ?3
            """, account, after, limit
        ) { row in
            OutboxEntry(
                id: row.integer(0), message: row.optionalInteger(1), stanza: row.bytes(2),
                createdAt: row.integer(3))
        }
    }

    /// The server has taken responsibility for these stanzas: deletes them, moves their messages on to `server`
    /// and appends a `state` event for each.
    ///
    /// - Returns: rows of the messages that moved; those that had come further already are not among them.
    @discardableResult
    public func acknowledge(account: Int64, outbox places: [Int64], now: Int64) throws(StoreError) -> [Int64]
    {
        guard !places.isEmpty else { return [] }
        let list = jsonArray(places)
        let messages = try rows(
            """
            SELECT m.id FROM outbox o JOIN message m ON m.id = o.message
            WHERE o.account = ?1 AND o.id IN (SELECT value FROM json_each(?2)) AND m.state IN ('queued', 'sent')
            GROUP BY m.id ORDER BY min(o.id)
            """, account, list
        ) { $0.integer(0) }
        if !messages.isEmpty {
            let moved = jsonArray(messages)
            try run(
                "UPDATE message SET state = 'server' WHERE id IN (SELECT value FROM json_each(?))", moved)
            try appendStateEvents(messages: moved, now: now)
        }
        try run(
            "DELETE FROM outbox WHERE account = ?1 AND id IN (SELECT value FROM json_each(?2))", account, list
        )
        return messages
    }
}
