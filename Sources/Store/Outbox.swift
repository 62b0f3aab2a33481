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
    /// Which stanza of the present stream it is, from 1 (XEP-0198 §4); nil if it did not go out on that.
    public let position: Int64?
}

/// What is to go out next.
public struct OutboxBatch: Sendable {
    /// In the order of their positions.
    public var entries: [OutboxEntry] = []
    /// Rows of the messages that are `sent` now, in the order of sending.
    public var moved: [Int64] = []
    /// Rows of the messages that are `failed` now, because their stanza was damaged.
    public var failed: [Int64] = []
    /// How many damaged stanzas were deleted, also such that carried no message.
    public var damaged = 0
}

extension Transaction {
    /// Adds a stanza at the end.
    /// - Parameter message: row of the message it carries.
    /// - Returns: its place.
    @discardableResult
    public func enqueue(
        account: Int64, stanza: Bytes, message: Int64?, now: Int64
    ) throws(StoreError) -> Int64 {
        var checksum = Self.checksum(ofStanzaWith: message, account: account)
        checksum.add(stanza)
        return try insert(
            "INSERT INTO outbox (account, message, stanza, createdAt, checksum) VALUES (?, ?, ?, ?, ?)",
            account,
            message, stanza, now, checksum.value)
    }

    /// The stanzas behind place `after`, in order, whether they went out or not.
    public func outbox(account: Int64, after: Int64 = 0, limit: Int) throws(StoreError) -> [OutboxEntry] {
        try rows(
            """
            SELECT id, message, stanza, createdAt, position FROM outbox
            WHERE account = ?1 AND id > ?2 ORDER BY id LIMIT ?3
            """, account, after, limit
        ) { row in
            OutboxEntry(
                id: row.integer(0), message: row.optionalInteger(1), stanza: row.bytes(2),
                createdAt: row.integer(3), position: row.optionalInteger(4))
        }
    }

    /// The next stanzas that did not go out on this stream, with the positions that follow `position` from now
    /// on. Messages move on to `sent`, with a `state` event each. Send the bytes after the commit.
    ///
    /// A stanza that is not what was stored is deleted, and the message it carried fails with the reason
    /// `damaged`; the others go out.
    ///
    /// - Parameter position: of the last stanza that was sent on this stream, 0 if none was.
    public func takeOutbox(
        account: Int64, after position: Int64, limit: Int, now: Int64
    ) throws(StoreError) -> OutboxBatch {
        var damaged: [Int64] = []
        var entries: [OutboxEntry] = []
        _ = try rows(Self.selectUnsent, account, limit) { row in
            guard Self.isWhole(row, account: account) else {
                damaged.append(row.integer(0))
                return
            }
            entries.append(
                OutboxEntry(
                    id: row.integer(0), message: row.optionalInteger(1), stanza: row.bytes(2),
                    createdAt: row.integer(3), position: position + Int64(entries.count) + 1))
        }
        var batch = OutboxBatch(entries: entries, damaged: damaged.count)
        if !damaged.isEmpty { batch.failed = try discard(damaged, account: account, now: now) }
        guard !entries.isEmpty else { return batch }
        try run(
            "UPDATE outbox SET position = ?2 + j.key + 1 FROM json_each(?1) j WHERE outbox.id = j.value",
            jsonArray(entries.map(\.id)), position)
        let messages = entries.compactMap(\.message)
        if !messages.isEmpty { batch.moved = try moveToSent(jsonArray(messages), now: now) }
        return batch
    }

    static let selectUnsent = """
        SELECT id, message, stanza, createdAt, checksum FROM outbox
        WHERE account = ?1 AND position IS NULL ORDER BY id LIMIT ?2
        """

    /// - Parameter messages: a JSON array of rows.
    private func moveToSent(_ messages: String, now: Int64) throws(StoreError) -> [Int64] {
        let moved = try rows(
            """
            SELECT m.id FROM json_each(?1) j CROSS JOIN message m ON m.id = j.value
            WHERE m.state = 'queued' GROUP BY m.id ORDER BY min(j.key)
            """, messages
        ) { $0.integer(0) }
        if !moved.isEmpty { try move(moved, to: .sent, now: now) }
        return moved
    }

    // MARK: Damage

    /// - Parameter row: begins like `selectUnsent`. Rows from before schema 0002 have no checksum.
    static func isWhole(_ row: Row, account: Int64) -> Bool {
        if row.isNull(4) { return true }
        var checksum = checksum(ofStanzaWith: row.optionalInteger(1), account: account)
        row.withBytes(2) { checksum.add($0) }
        return checksum.matches(row, 4)
    }

    /// The stanza is still to be added.
    static func checksum(ofStanzaWith message: Int64?, account: Int64) -> Checksum {
        var checksum = Checksum(of: "outbox")
        checksum.add(account)
        checksum.add(message)
        return checksum
    }

    /// Which message a damaged row carried cannot be read from that row: it is one that is on its way and has
    /// no stanza any more.
    /// - Returns: rows of the messages that failed.
    private func discard(_ places: [Int64], account: Int64, now: Int64) throws(StoreError) -> [Int64] {
        try run("DELETE FROM outbox WHERE id IN (SELECT value FROM json_each(?))", jsonArray(places))
        let messages = try rows("\(Self.selectStranded) AND account = ? ORDER BY id", account) {
            $0.integer(0)
        }
        for message in messages { try setState(message, .failed, reason: "damaged", now: now) }
        return messages
    }

    /// Messages that are on their way by their state, and by nothing else.
    static let selectStranded = """
        SELECT id FROM message
        WHERE direction = 'out' AND state IN ('queued', 'sent') AND NOT awaitsKeys
          AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.message = message.id)
        """

    // MARK: Acknowledgements

    /// The server has taken responsibility for the stanzas up to `position` of this stream: deletes them, moves
    /// their messages, where no other stanza of theirs is left, on to `server` and appends a `state` event for each.
    ///
    /// - Returns: rows of the messages that moved, in the order of sending; those that had come further
    ///   already are not among them.
    @discardableResult
    public func acknowledge(
        account: Int64, through position: Int64, now: Int64
    ) throws(StoreError) -> [Int64] {
        let messages = try rows(Self.selectAcknowledged, account, position) { $0.integer(0) }
        if !messages.isEmpty { try move(messages, to: .server, now: now) }
        try run(Self.deleteAcknowledged, account, position)
        try setAcknowledged(position, account: account)
        return messages
    }

    static let selectAcknowledged = """
        SELECT m.id FROM outbox o CROSS JOIN message m ON m.id = o.message
        WHERE o.account = ?1 AND o.position > 0 AND o.position <= ?2 AND m.state IN ('queued', 'sent')
          AND NOT EXISTS (
            SELECT 1 FROM outbox r WHERE r.message = m.id AND (r.position IS NULL OR r.position > ?2))
        GROUP BY m.id ORDER BY min(o.position)
        """

    static let deleteAcknowledged =
        "DELETE FROM outbox WHERE account = ?1 AND position > 0 AND position <= ?2"

    /// Nothing of the outbox went out on the present stream: it is a new one. Everything is sent again, the
    /// same bytes; the recipients know the repetition.
    public func resetPositions(account: Int64) throws(StoreError) {
        try run("UPDATE outbox SET position = NULL WHERE account = ? AND position IS NOT NULL", account)
    }

    /// The highest position that a stanza of the outbox has; 0 if none has one.
    public func lastPosition(account: Int64) throws(StoreError) -> Int64 {
        try first(Self.selectLastPosition, account) { $0.integer(0) } ?? 0
    }

    static let selectLastPosition = "SELECT max(position) FROM outbox WHERE account = ?"
}
