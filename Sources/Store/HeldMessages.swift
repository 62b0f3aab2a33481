// Messages of ours that wait until a person has decided about the contact's devices.
public import XMPP

extension Transaction {
    /// Puts a message that waits for keys aside, with a `state` event.
    /// - Returns: false, with nothing changed, if it is not `queued`.
    @discardableResult
    public func hold(_ message: Int64, now: Int64) throws(StoreError) -> Bool {
        try move(message, from: .queued, to: .held, now: now)
    }

    /// Takes it up again: it waits for keys as before.
    /// - Returns: false, with nothing changed, if it is not `held`.
    @discardableResult
    public func release(_ message: Int64, now: Int64) throws(StoreError) -> Bool {
        try move(message, from: .held, to: .queued, now: now)
    }

    private func move(
        _ message: Int64, from: MessageState, to state: MessageState, now: Int64
    ) throws(StoreError) -> Bool {
        let changed = try run(
            "UPDATE message SET state = ?3, awaitsKeys = 1 WHERE id = ?1 AND state = ?2", message,
            from.rawValue, state.rawValue)
        if changed > 0 { try appendStateEvents(messages: jsonArray([message]), now: now) }
        return changed > 0
    }

    /// What is held in a chat, in the order it was accepted.
    public func messagesHeld(account: Int64, chat: JID) throws(StoreError) -> [StoredMessage] {
        try rows(Self.selectHeld, account, chat.bare, read: Self.message)
    }

    static let selectHeld = """
        \(selectMessages) WHERE m.account = ? AND m.chat = ? AND m.state = 'held' ORDER BY m.id
        """

    /// The chats that have messages held.
    public func heldChats(account: Int64) throws(StoreError) -> [JID] {
        try rows(Self.selectHeldChats, account) { (row) throws(StoreError) in try row.jid(0) }
    }

    static let selectHeldChats = """
        SELECT m.chat FROM message m WHERE m.account = ? AND m.state = 'held' GROUP BY m.chat ORDER BY min(m.id)
        """
}
