// Messages of ours that wait, or failed: seen, given up and tried again by a person.

extension Transaction {
    /// Messages that the server has not taken yet, or that failed; oldest first.
    /// - Parameters:
    ///   - account: only of this account; nil for all.
    ///   - failed: those in the state `failed`, instead of those in `held`, `queued` and `sent`.
    ///   - bytes: the last one is that with which the texts come to this much.
    /// - Returns: them, and whether there are more.
    public func pending(
        account: Int64?, failed: Bool, limit: Int, bytes: Int = .max
    ) throws(StoreError) -> (messages: [StoredMessage], more: Bool) {
        var (room, count, more) = (bytes, 0, false)
        var messages = try rows(
            failed ? Self.selectFailed : Self.selectPending, account, limit + 1, read: Self.message,
            isLast: { message in
                more = count == limit || room <= 0
                count += 1
                room -= message.body.utf8.count
                return more
            })
        if more { messages.removeLast() }
        return (messages, more)
    }

    static let selectFailed = """
        \(selectMessages)
        WHERE m.id IN (SELECT id FROM message WHERE state = 'failed')
          AND m.direction = 'out' AND m.account = coalesce(?1, m.account)
        ORDER BY m.id LIMIT ?2
        """

    /// A message that waits has its stanza in the outbox, or waits for keys: no index of its own.
    static let selectPending = """
        \(selectMessages)
        WHERE m.id IN (
            SELECT message FROM outbox WHERE message IS NOT NULL
            UNION SELECT id FROM message WHERE awaitsKeys AND state = 'queued'
            UNION SELECT id FROM message WHERE state = 'held')
          AND m.direction = 'out' AND m.state IN ('held', 'queued', 'sent') AND m.account = coalesce(?1, m.account)
        ORDER BY m.id LIMIT ?2
        """

    /// Gives up a message that has not left: it fails with the reason `cancelled`, its stanza is deleted.
    /// - Returns: false, with nothing changed, if it may have left.
    @discardableResult
    public func cancel(_ message: Int64, now: Int64) throws(StoreError) -> Bool {
        let isHere = try first(
            """
            SELECT 1 FROM message WHERE id = ?1 AND direction = 'out' AND state IN ('held', 'queued')
              AND NOT EXISTS (SELECT 1 FROM outbox WHERE message = ?1 AND position IS NOT NULL)
            """, message
        ) { _ in true }
        guard isHere == true else { return false }
        return try setState(message, .failed, reason: "cancelled", now: now)
    }

    /// Puts a failed message back to `queued` and appends a `state` event. It waits neither for keys nor in
    /// the outbox then: see to that in the same transaction.
    ///
    /// - Parameter evenIfSent: also if a stanza was made for it, which may have arrived: only at a person's
    ///   command.
    /// - Returns: false, with nothing changed, if it did not fail or, without `evenIfSent`, may have left.
    @discardableResult
    public func requeue(
        _ message: Int64, evenIfSent: Bool = false, now: Int64
    ) throws(StoreError) -> Bool {
        let changed = try run(
            """
            UPDATE message SET state = 'queued', reason = NULL, excluded = NULL, awaitsKeys = 0
            WHERE id = ?1 AND direction = 'out' AND state = 'failed' AND (awaitsKeys OR ?2)
            """, message, evenIfSent)
        if changed > 0 { try appendStateEvents(messages: jsonArray([message]), now: now) }
        return changed > 0
    }
}
