// Events that a consumer could not handle: kept with what they said, until somebody looks or they are tried again.

/// An event that its consumer failed at.
public struct DeadLetter: Equatable, Sendable {
    /// Name of the consumer.
    public var consumer: String
    /// Number of the event.
    public var number: Int64
    /// The account's row, with which it goes.
    public var account: Int64?
    /// How often it was tried.
    public var attempts: Int64
    /// Why it failed the last time.
    public var reason: String
    /// When that was, Unix milliseconds.
    public var at: Int64
    /// When it is tried again, Unix milliseconds; nil if not by itself.
    public var retryAt: Int64?
    /// The event as the consumer got it, a JSON object.
    public var event: String

    /// From its parts.
    public init(
        consumer: String, number: Int64, account: Int64?, attempts: Int64, reason: String, at: Int64,
        retryAt: Int64? = nil, event: String
    ) {
        self.consumer = consumer
        self.number = number
        self.account = account
        self.attempts = attempts
        self.reason = reason
        self.at = at
        self.retryAt = retryAt
        self.event = event
    }
}

extension Transaction {
    /// How many that nobody tries again are kept for one consumer; the oldest make room.
    public static let deadLetterLimit = 10_000

    /// Keeps an event its consumer failed at, in the place of what is known of the two already.
    /// - Throws: `.constraint` if there is no such consumer.
    public func put(_ letter: DeadLetter) throws(StoreError) {
        try run(
            """
            INSERT INTO deadLetter (consumer, number, account, attempts, reason, at, retryAt, event)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
            ON CONFLICT (consumer, number) DO UPDATE SET attempts = ?4, reason = ?5, at = ?6, retryAt = ?7
            """, letter.consumer, letter.number, letter.account, letter.attempts, letter.reason, letter.at,
            letter.retryAt, letter.event)
        guard letter.retryAt == nil else { return }
        try run(
            """
            DELETE FROM deadLetter WHERE consumer = ?1 AND retryAt IS NULL AND number < (
              SELECT number FROM deadLetter WHERE consumer = ?1 AND retryAt IS NULL
              ORDER BY number DESC LIMIT 1 OFFSET ?2)
            """, letter.consumer, Self.deadLetterLimit - 1)
    }

    /// What a consumer failed at, in the order of the events.
    /// - Parameter consumer: nil for all, by name.
    public func deadLetters(of consumer: String?, limit: Int) throws(StoreError) -> [DeadLetter] {
        try rows(
            """
            \(Self.selectDeadLetters) WHERE consumer = coalesce(?1, consumer)
            ORDER BY consumer, number LIMIT ?2
            """, consumer, limit, read: letter)
    }

    /// What is kept of one event.
    public func deadLetter(of consumer: String, number: Int64) throws(StoreError) -> DeadLetter? {
        try first(
            "\(Self.selectDeadLetters) WHERE consumer = ? AND number = ?", consumer, number, read: letter)
    }

    /// How many of a consumer wait to be tried again, and how many do not.
    public func countDeadLetters(of consumer: String) throws(StoreError) -> (waiting: Int, failed: Int) {
        let counts = try first(
            "SELECT count(retryAt), count(*) - count(retryAt) FROM deadLetter WHERE consumer = ?", consumer
        ) { (waiting: Int($0.integer(0)), failed: Int($0.integer(1))) }
        return counts ?? (0, 0)
    }

    /// - Returns: false if there was none.
    @discardableResult
    public func removeDeadLetter(of consumer: String, number: Int64) throws(StoreError) -> Bool {
        try run("DELETE FROM deadLetter WHERE consumer = ? AND number = ?", consumer, number) > 0
    }

    private static let selectDeadLetters =
        "SELECT consumer, number, account, attempts, reason, at, retryAt, event FROM deadLetter"

    private func letter(_ row: Row) -> DeadLetter {
        DeadLetter(
            consumer: row.text(0), number: row.integer(1), account: row.optionalInteger(2),
            attempts: row.integer(3), reason: row.text(4), at: row.integer(5),
            retryAt: row.optionalInteger(6), event: row.text(7))
    }
}

// MARK: What is tried again

extension Transaction {
    /// What of a consumer is to be tried again now, in the order of the events.
    ///
    /// - Parameters:
    ///   - now: Unix milliseconds.
    ///   - horizon: what is due later than this many milliseconds from now is due, too: the clock was set back.
    ///   - running: numbers that are being tried.
    public func dueLetters(
        of consumer: String, now: Int64, horizon: Int64, besides running: [Int64], limit: Int
    ) throws(StoreError) -> [DeadLetter] {
        try rows(
            """
            \(Self.selectDeadLetters) WHERE consumer = ?1 AND retryAt IS NOT NULL
            AND (retryAt <= ?2 OR retryAt > ?2 + ?3) AND number NOT IN (SELECT value FROM json_each(?4))
            ORDER BY number LIMIT ?5
            """, consumer, now, horizon, Self.numbers(running), limit, read: letter)
    }

    /// How many of a consumer wait to be tried again, and when the first of them is due.
    public func waitingLetters(
        of consumer: String, besides running: [Int64]
    ) throws(StoreError) -> (count: Int, next: Int64?) {
        let waiting = try first(
            """
            SELECT count(*), min(retryAt) FROM deadLetter WHERE consumer = ? AND retryAt IS NOT NULL
            AND number NOT IN (SELECT value FROM json_each(?))
            """, consumer, Self.numbers(running)
        ) { (count: Int($0.integer(0)), next: $0.optionalInteger(1)) }
        return waiting ?? (0, nil)
    }

    /// Lets everything of a consumer that nobody tries again be tried again, as if for the first time.
    /// - Returns: how many there are.
    @discardableResult
    public func reviveLetters(of consumer: String, now: Int64) throws(StoreError) -> Int {
        try run(
            "UPDATE deadLetter SET attempts = 0, retryAt = ? WHERE consumer = ? AND retryAt IS NULL", now,
            consumer)
    }

    private static func numbers(_ numbers: [Int64]) -> String {
        "[" + numbers.map(String.init).joined(separator: ",") + "]"
    }
}
