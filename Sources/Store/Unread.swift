// What was read, and the chats with what was not.
public import XMPP

/// A chat as a list of chats shows it.
public struct ChatSummary: Equatable, Sendable {
    /// The account's row.
    public let account: Int64
    /// Bare JID of the contact.
    public let chat: JID
    /// What the roster calls the contact.
    public let name: String?
    /// How many messages came after the last one that was read or sent.
    public let unread: Int64
    /// Row of the newest message.
    public let last: Int64
    /// When that was sent, as far as known; Unix milliseconds, UTC.
    public let lastAt: Int64
}

extension Transaction {
    /// This message was read, and those before it in its chat; a mark only moves forward.
    ///
    /// What we sent, here or on another device, counts as read without a mark, and so does what came before it.
    public func markRead(account: Int64, chat: JID, through message: Int64) throws(StoreError) {
        try run(
            """
            INSERT INTO chat (account, jid, readThrough) VALUES (?, ?, ?)
            ON CONFLICT DO UPDATE SET readThrough = excluded.readThrough
              WHERE readThrough IS NULL OR readThrough < excluded.readThrough
            """, account, chat.bare, message)
    }

    /// Another device of ours said that this message was read (XEP-0333). Of several with the id it is the oldest.
    public func markRead(account: Int64, chat: JID, messageID: String) throws(StoreError) {
        let row = try first(
            """
            SELECT id FROM message WHERE account = ? AND messageID = ? AND chat = ? AND direction = 'in'
            ORDER BY id LIMIT 1
            """, account, messageID, chat.bare
        ) { $0.integer(0) }
        if let row { try markRead(account: account, chat: chat, through: row) }
    }

    /// The chats of an account that have messages, the one with the newest first.
    public func chats(account: Int64) throws(StoreError) -> [ChatSummary] {
        try rows(Self.selectChats, account) { (row) throws(StoreError) in
            ChatSummary(
                account: account, chat: try row.jid(0), name: row.optionalText(1), unread: row.integer(2),
                last: row.integer(3), lastAt: row.integer(4))
        }
    }

    /// Steps from chat to chat on an index, and counts on it what lies behind the newest that was read or sent: all
    /// of that came in. No rows of messages are read but two of each chat: the newest, and the newest of ours.
    static let selectChats = """
        WITH RECURSIVE
          found (jid) AS (
            SELECT (SELECT min(chat) FROM message WHERE account = ?1)
            UNION ALL
            SELECT (SELECT min(chat) FROM message WHERE account = ?1 AND chat > found.jid)
            FROM found WHERE found.jid IS NOT NULL),
          place (jid, name, last, read) AS (
            SELECT found.jid, rosterItem.name,
              (SELECT max(id) FROM message WHERE account = ?1 AND chat = found.jid),
              max(coalesce(chat.readThrough, 0), coalesce(
                (SELECT max(id) FROM message WHERE account = ?1 AND chat = found.jid AND direction = 'out'), 0))
            FROM found
            LEFT JOIN chat ON chat.account = ?1 AND chat.jid = found.jid
            LEFT JOIN rosterItem ON rosterItem.account = ?1 AND rosterItem.jid = found.jid
            WHERE found.jid IS NOT NULL)
        SELECT place.jid, place.name,
          (SELECT count(*) FROM message WHERE account = ?1 AND chat = place.jid AND id > place.read), place.last,
          newest.sentAt
        FROM place JOIN message AS newest ON newest.id = place.last
        ORDER BY place.last DESC
        """
}
