// Durable readers of the event log, and how far each one is.

/// A durable reader of the event log.
public struct ConsumerRecord: Hashable, Sendable {
    /// Unique.
    public let name: String
    /// The last event it is done with.
    public let acknowledged: Int64
    /// What it wants to see, in the daemon's words.
    public let filter: String?
    /// Unix milliseconds, UTC.
    public let createdAt: Int64
    /// How many events of any type are newer than `acknowledged`.
    public let pending: Int64
}

extension Transaction {
    /// The consumer of that name.
    public func consumer(_ name: String) throws(StoreError) -> ConsumerRecord? {
        try first("\(Self.selectConsumers) WHERE name = ?", name, read: consumer)
    }

    /// All consumers, by name.
    public func consumers() throws(StoreError) -> [ConsumerRecord] {
        try rows("\(Self.selectConsumers) ORDER BY name", read: consumer)
    }

    /// Adds a consumer that is done with everything up to `number`.
    /// - Throws: `.constraint` if the name is taken.
    public func createConsumer(
        _ name: String, at number: Int64, filter: String? = nil, now: Int64
    ) throws(StoreError) {
        try run(
            "INSERT INTO consumer (name, acknowledged, filter, createdAt) VALUES (?, ?, ?, ?)", name,
            min(max(number, 0), lastEventNumber()), filter, now)
    }

    /// The consumer is done with everything up to `number`: that does not come again.
    ///
    /// A number below the one before changes nothing; one above the last event means the last event, so that no
    /// event of the future is skipped.
    ///
    /// - Returns: how far it is now; nil if there is no such consumer.
    @discardableResult
    public func acknowledge(consumer: String, number: Int64) throws(StoreError) -> Int64? {
        try run(
            "UPDATE consumer SET acknowledged = ?2 WHERE name = ?1 AND acknowledged < ?2", consumer,
            min(number, lastEventNumber()))
        return try first("SELECT acknowledged FROM consumer WHERE name = ?", consumer) { $0.integer(0) }
    }

    /// - Returns: false if there was none.
    @discardableResult
    public func removeConsumer(_ name: String) throws(StoreError) -> Bool {
        try run("DELETE FROM consumer WHERE name = ?", name) > 0
    }

    private static let selectConsumers = """
        SELECT name, acknowledged, filter, createdAt,
          (SELECT count(*) FROM event e WHERE e.number > consumer.acknowledged)
        FROM consumer
        """

    private func consumer(_ row: Row) throws(StoreError) -> ConsumerRecord {
        ConsumerRecord(
            name: row.text(0), acknowledged: row.integer(1), filter: row.optionalText(2),
            createdAt: row.integer(3), pending: row.integer(4))
    }
}
