// Chats: what holds for a conversation as a whole.
public import XMPP

/// A contact's wish for messages in clear.
public struct OptOut: Equatable, Sendable {
    /// What the contact said for it.
    public let reason: String?
    /// Unix milliseconds, UTC.
    public let at: Int64
}

extension Transaction {
    /// From now on this chat is encrypted; stays so until `clearEncrypted`.
    public func markEncrypted(account: Int64, chat: JID, now: Int64) throws(StoreError) {
        try run(
            """
            INSERT INTO chat (account, jid, encryptedAt) VALUES (?, ?, ?)
            ON CONFLICT DO UPDATE SET encryptedAt = excluded.encryptedAt WHERE encryptedAt IS NULL
            """, account, chat.bare, now)
    }

    /// Whether the chat was ever encrypted, and no person has taken that back.
    public func isEncrypted(account: Int64, chat: JID) throws(StoreError) -> Bool {
        try first(
            "SELECT 1 FROM chat WHERE account = ? AND jid = ? AND encryptedAt IS NOT NULL", account, chat.bare
        ) { _ in true } ?? false
    }

    /// Since when the chat is encrypted, Unix milliseconds; nil if it is not.
    public func encryptedAt(account: Int64, chat: JID) throws(StoreError) -> Int64? {
        try first("SELECT encryptedAt FROM chat WHERE account = ? AND jid = ?", account, chat.bare) {
            $0.optionalInteger(0)
        } ?? nil
    }

    /// Every chat that is encrypted, and since when.
    public func encryptedChats(account: Int64) throws(StoreError) -> [(jid: JID, at: Int64)] {
        try rows(
            "SELECT jid, encryptedAt FROM chat WHERE account = ? AND encryptedAt IS NOT NULL ORDER BY jid",
            account
        ) { (row) throws(StoreError) in (try row.jid(0), row.integer(1)) }
    }

    /// Only at a person's explicit command.
    public func clearEncrypted(account: Int64, chat: JID) throws(StoreError) {
        try run("UPDATE chat SET encryptedAt = NULL WHERE account = ? AND jid = ?", account, chat.bare)
    }

    /// The contact asked for messages in clear (XEP-0384 §5.9): nothing goes out until a person has answered.
    public func setOptOut(account: Int64, chat: JID, reason: String?, now: Int64) throws(StoreError) {
        try run(
            """
            INSERT INTO chat (account, jid, optedOutAt, optOutReason) VALUES (?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET optedOutAt = excluded.optedOutAt, optOutReason = excluded.optOutReason
            """, account, chat.bare, now, reason)
    }

    /// The contact's wish for messages in clear, unanswered; nil without one.
    public func optOut(account: Int64, chat: JID) throws(StoreError) -> OptOut? {
        try first(
            "SELECT optOutReason, optedOutAt FROM chat WHERE account = ? AND jid = ?", account, chat.bare
        ) { row in row.optionalInteger(1).map { OptOut(reason: row.optionalText(0), at: $0) } } ?? nil
    }

    /// A person has answered.
    public func clearOptOut(account: Int64, chat: JID) throws(StoreError) {
        try run(
            "UPDATE chat SET optedOutAt = NULL, optOutReason = NULL WHERE account = ? AND jid = ?", account,
            chat.bare)
    }

    /// Whether a message of ours is in this chat.
    public func hasSent(account: Int64, chat: JID) throws(StoreError) -> Bool {
        try first(Self.selectSent, account, chat.bare) { _ in true } ?? false
    }

    /// Answered from an index of sent messages alone: a chat may hold any number that came in.
    static let selectSent = """
        SELECT 1 FROM message WHERE account = ? AND chat = ? AND direction = 'out' LIMIT 1
        """
}
