// How messages we sent come further; every step is an event.
public import XMPP

extension Transaction {
    /// Moves a message on and appends a `state` event.
    ///
    /// - Parameters:
    ///   - message: its row.
    ///   - reason: why it failed, as a word.
    /// - Returns: false, with nothing changed, unless that is a step forward. `failed` is one from `queued`,
    ///   `sent`, `server` (a contact's server may bounce what ours took) and `held`; nothing leads out of it but
    ///   `requeue`. What is left of a failed message in the outbox is deleted.
    @discardableResult
    public func setState(
        _ message: Int64, _ state: MessageState, reason: String? = nil, now: Int64
    ) throws(StoreError) -> Bool {
        let changed: Int
        switch state {
        case .held, .queued, .received: return false
        case .sent: changed = try move(message, to: state, from: "('queued')")
        case .server: changed = try move(message, to: state, from: "('queued', 'sent')")
        case .delivered: changed = try move(message, to: state, from: "('queued', 'sent', 'server')")
        case .displayed:
            changed = try move(message, to: state, from: "('queued', 'sent', 'server', 'delivered')")
        case .failed:
            changed = try run(
                """
                UPDATE message SET state = 'failed', reason = ?2
                WHERE id = ?1 AND state IN ('held', 'queued', 'sent', 'server')
                """, message, reason)
        }
        // It has arrived, or will not: nothing is to be sent any more, whatever became of an acknowledgement.
        if changed > 0, state != .sent, state != .server {
            try run("DELETE FROM outbox WHERE message = ?", message)
        }
        if changed > 0 { try appendStateEvents(messages: jsonArray([message]), now: now) }
        return changed > 0
    }

    /// - Parameter from: a constant.
    private func move(_ message: Int64, to state: MessageState, from: String) throws(StoreError) -> Int {
        try run("UPDATE message SET state = ?2 WHERE id = ?1 AND state IN \(from)", message, state.rawValue)
    }

    /// A device in this chat has a message of ours (XEP-0184).
    /// - Returns: the message's row; nil if there is no such message or it has come that far already.
    @discardableResult
    public func markDelivered(
        account: Int64, chat: JID, messageID: String, now: Int64
    ) throws(StoreError) -> Int64? {
        let row = try outgoing(account: account, chat: chat, messageID: messageID)
        guard let row, try setState(row, .delivered, now: now) else { return nil }
        return row
    }

    /// The contact has seen a message of ours, and so those before it in the chat (XEP-0333): of what is
    /// `sent`, `server` or `delivered`, the newest 1000.
    ///
    /// - Returns: rows of the messages that moved, oldest first; none if there is no such message.
    @discardableResult
    public func markDisplayed(
        account: Int64, chat: JID, messageID: String, now: Int64
    ) throws(StoreError) -> [Int64] {
        guard let seen = try outgoing(account: account, chat: chat, messageID: messageID) else { return [] }
        let messages = try rows(Self.selectUndisplayed, account, chat.bare, seen) { $0.integer(0) }
        if !messages.isEmpty { try move(messages.reversed(), to: .displayed, now: now) }
        try run("DELETE FROM outbox WHERE message = ?", seen)
        return messages.reversed()
    }

    static let selectUndisplayed = """
        SELECT id FROM message
        WHERE account = ?1 AND chat = ?2 AND direction = 'out' AND state IN ('sent', 'server', 'delivered') AND id <= ?3
          AND reactsTo IS NULL
        ORDER BY id DESC LIMIT 1000
        """

    /// Of several the oldest: who repeats an id does not hide the message that had it. No reaction: nobody was asked to
    /// say that it came.
    private func outgoing(account: Int64, chat: JID, messageID: String) throws(StoreError) -> Int64? {
        try first(
            """
            SELECT id FROM message WHERE account = ? AND messageID = ? AND chat = ? AND direction = 'out'
              AND reactsTo IS NULL
            ORDER BY id LIMIT 1
            """, account, messageID, chat.bare
        ) { $0.integer(0) }
    }

    /// Moves messages that may be moved, with an event each.
    func move(_ messages: [Int64], to state: MessageState, now: Int64) throws(StoreError) {
        let list = jsonArray(messages)
        try run(
            "UPDATE message SET state = ?2 WHERE id IN (SELECT value FROM json_each(?1))", list,
            state.rawValue)
        try appendStateEvents(messages: list, now: now)
    }

    /// Notes which devices cannot read a message. The `state` events of a message that waits or failed name them.
    /// - Parameter excluded: a JSON array, as the API shows it; nil for none.
    public func setExcluded(_ excluded: String?, message: Int64) throws(StoreError) {
        try run("UPDATE message SET excluded = ?2 WHERE id = ?1", message, excluded)
    }

    /// Tells once more what state a message is in: something else about it is news.
    public func tellState(_ message: Int64, now: Int64) throws(StoreError) {
        try appendStateEvents(messages: jsonArray([message]), now: now)
    }

    /// One event per message, with the state it is in now.
    /// - Parameter messages: a JSON array of rows.
    func appendStateEvents(messages: String, now: Int64) throws(StoreError) {
        let last = try insert(
            """
            INSERT INTO event (account, type, chat, message, detail, at)
            SELECT m.account, 'state', m.chat, m.id,
              CASE WHEN m.reason IS NULL AND m.excluded IS NULL
                THEN json_object('chat', m.chat, 'id', coalesce(m.clientID, m.messageID), 'state', m.state)
                ELSE json_patch(
                  json_object('chat', m.chat, 'id', coalesce(m.clientID, m.messageID), 'state', m.state),
                  json_object('reason', m.reason, 'excluded',
                    CASE WHEN m.state IN ('held', 'queued', 'failed') AND json_valid(m.excluded)
                      THEN json(m.excluded) END))
              END, ?2
            FROM json_each(?1) j CROSS JOIN message m ON m.id = j.value ORDER BY j.key
            """, messages, now)
        scope.lastEventNumber = last
    }
}
