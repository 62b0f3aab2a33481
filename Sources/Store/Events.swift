// The event log: everything a consumer may want to know, under one number that only grows.
public import XMPP

/// One event.
public struct EventRecord: Sendable {
    /// Higher than that of every event before it; never used again.
    public let number: Int64
    /// The account's row.
    public let account: Int64?
    /// A word.
    public let type: String
    /// Bare JID of the chat it belongs to.
    public let chat: JID?
    /// JSON object with what else is to say.
    public let detail: String?
    /// Unix milliseconds, UTC.
    public let at: Int64
    /// The message it is about, as it is now.
    public let message: StoredMessage?
}

extension Transaction {
    /// Appends an event.
    /// - Parameters:
    ///   - message: row of the message it is about.
    ///   - detail: a JSON object.
    /// - Returns: its number.
    @discardableResult
    public func appendEvent(
        type: String, account: Int64?, chat: JID?, message: Int64?, detail: String?, at: Int64
    ) throws(StoreError) -> Int64 {
        let number = try insert(
            "INSERT INTO event (account, type, chat, message, detail, at) VALUES (?, ?, ?, ?, ?, ?)", account,
            type, chat?.bare, message, detail, at)
        scope.lastEventNumber = number
        return number
    }

    /// The highest number ever given, 0 if none was. Also of events that are gone.
    public func lastEventNumber() throws(StoreError) -> Int64 {
        try first("SELECT seq FROM sqlite_sequence WHERE name = 'event'") { $0.integer(0) } ?? 0
    }

    /// Events with a number above `after`, in order.
    ///
    /// Who gets fewer than `limit` has seen everything up to `lastEventNumber` of the same transaction.
    ///
    /// - Parameters:
    ///   - types: only these; nil for all.
    ///   - account: only of this account; nil for all.
    ///   - chat: only of this chat; nil for all.
    public func events(
        after: Int64, types: [String]? = nil, account: Int64? = nil, chat: JID? = nil, limit: Int
    ) throws(StoreError) -> [EventRecord] {
        let filters = (types == nil ? 0 : 1) | (account == nil ? 0 : 2) | (chat == nil ? 0 : 4)
        return try rows(
            Self.selectEvents[filters], after, limit, types.map(jsonArray), account, chat?.bare
        ) { row in
            let message = row.isNull(6) ? nil : StoredMessage(row, from: 6)
            // Nearly always the message's chat: not worth parsing twice. One that cannot be read must not
            // hold up the log; `Store.check` tells of it.
            let chat = row.optionalText(3)
            return EventRecord(
                number: row.integer(0), account: row.optionalInteger(1), type: row.text(2),
                chat: chat == message?.chat.description ? message?.chat : try? row.optionalJID(3),
                detail: row.optionalText(4), at: row.integer(5), message: message)
        }
    }

    /// By which filters are used: 1 types, 2 account, 4 chat. The last condition keeps the number of values
    /// the same for all.
    private static let selectEvents: [String] = (0..<8).map { filters in
        """
        SELECT e.number, e.account, e.type, e.chat, e.detail, e.at, \(StoredMessage.columns)
        FROM event e LEFT JOIN message m ON m.id = e.message
        WHERE e.number > ?1
        \(filters & 1 == 0 ? "" : "AND e.type IN (SELECT value FROM json_each(?3))")
        \(filters & 2 == 0 ? "" : "AND e.account = ?4")
        \(filters & 4 == 0 ? "" : "AND e.chat = ?5")
        ORDER BY e.number LIMIT ?2 + 0 * (?5 IS NULL)
        """
    }
}
