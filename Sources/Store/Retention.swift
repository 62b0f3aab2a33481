// How long events stay.

extension Transaction {
    /// The number of the last event that `prune` dropped, 0 if it never dropped any. A consumer that
    /// acknowledged less has missed events if it ever was to see them.
    public func droppedThrough() throws(StoreError) -> Int64 {
        try first("SELECT droppedThrough FROM eventLog") { $0.integer(0) } ?? 0
    }

    /// Drops the oldest events: those older than `before` that every consumer has acknowledged, and in any
    /// case those `limit` or more numbers behind the last. Their messages stay.
    ///
    /// Events are dropped in the order of their numbers only, up to the first that must stay: after the clock
    /// was set back a younger event may look older.
    ///
    /// - Parameters:
    ///   - before: Unix milliseconds.
    ///   - batch: no more than this many in one call, for the sake of those who wait to write.
    /// - Returns: how many were dropped, and whether there may be more: then call again, in another
    ///   transaction.
    @discardableResult
    public func prune(
        before: Int64, limit: Int, batch: Int = 10_000
    ) throws(StoreError) -> (dropped: Int, more: Bool) {
        let last = try lastEventNumber()
        let acknowledged =
            try first("SELECT coalesce(min(acknowledged), ?) FROM consumer", last) { $0.integer(0) } ?? last
        let kept = try first(
            Self.selectKept, batch, last - Int64(max(limit, 0)), acknowledged, before
        ) { $0.integer(0) }
        let end = try first(
            """
            SELECT max(number) FROM (
              SELECT number FROM event WHERE number < coalesce(?1, 9223372036854775807) ORDER BY number LIMIT ?2)
            """, kept, batch
        ) { $0.integer(0) }
        guard let end, end > 0 else { return (0, false) }
        let dropped = try run("DELETE FROM event WHERE number <= ?", end)
        try run("UPDATE eventLog SET droppedThrough = max(droppedThrough, ?)", end)
        return (dropped, kept == nil && dropped == batch)
    }

    /// The first event that stays.
    static let selectKept = """
        SELECT number FROM (SELECT number, at FROM event ORDER BY number LIMIT ?1)
        WHERE number > ?2 AND (number > ?3 OR at >= ?4) LIMIT 1
        """

    /// Sets back, or ahead, what a consumer is done with: at a person's command.
    /// - Parameter number: of the last event to count as done; taken as the nearest that ever was.
    /// - Returns: the consumer as it is now; nil if there is none of that name.
    @discardableResult
    public func rewindConsumer(_ name: String, to number: Int64) throws(StoreError) -> ConsumerRecord? {
        try run(
            "UPDATE consumer SET acknowledged = ?2 WHERE name = ?1", name,
            min(max(number, 0), lastEventNumber()))
        return try consumer(name)
    }
}
