// Chats: what holds for a conversation as a whole.
public import XMPP

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

    /// Only at a person's explicit command.
    public func clearEncrypted(account: Int64, chat: JID) throws(StoreError) {
        try run("UPDATE chat SET encryptedAt = NULL WHERE account = ? AND jid = ?", account, chat.bare)
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
