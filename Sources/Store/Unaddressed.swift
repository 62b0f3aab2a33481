// Stanzas that other devices of ours can read and this one cannot, until it is clear whether another one came for it.
public import XMPP

/// One such stanza.
public struct UnaddressedStanza: Sendable {
    /// Bare JID of the conversation.
    public let chat: JID
    /// Who sent it.
    public let direction: MessageDirection
    /// The stanza's id, which its twin has, too.
    public let messageID: String?
    /// Of the event to come, a JSON object.
    public let detail: String

    /// From its parts.
    public init(chat: JID, direction: MessageDirection, messageID: String?, detail: String) {
        self.chat = chat
        self.direction = direction
        self.messageID = messageID
        self.detail = detail
    }
}

extension Transaction {
    /// Keeps a stanza of which nothing can be said yet.
    public func addUnaddressed(
        _ stanza: UnaddressedStanza, account: Int64, now: Int64
    ) throws(StoreError) {
        try run(
            "INSERT INTO unaddressed (account, chat, direction, messageID, detail, at) VALUES (?, ?, ?, ?, ?, ?)",
            account, stanza.chat, stanza.direction.rawValue, stanza.messageID, stanza.detail, now)
    }

    /// Takes out what has waited long enough, oldest first.
    ///
    /// - Parameters:
    ///   - gap: how long, in milliseconds. What comes from the future, before a clock was set, counts, too.
    ///   - now: Unix milliseconds.
    public func takeUnaddressed(
        account: Int64, olderThan gap: Int64, now: Int64
    ) throws(StoreError) -> [UnaddressedStanza] {
        let stanzas =
            try rows(
                """
                SELECT chat, direction, messageID, detail FROM unaddressed
                WHERE account = ?1 AND abs(?3 - at) >= ?2 ORDER BY id
                """, account, gap, now
            ) { row in
                guard let chat = try? row.jid(0), let direction = MessageDirection(rawValue: row.text(1))
                else {
                    return nil
                }
                return UnaddressedStanza(
                    chat: chat, direction: direction, messageID: row.optionalText(2), detail: row.text(3))
            } as [UnaddressedStanza?]
        try run("DELETE FROM unaddressed WHERE account = ?1 AND abs(?3 - at) >= ?2", account, gap, now)
        return stanzas.compactMap { $0 }
    }
}
