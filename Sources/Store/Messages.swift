// The archive of messages: storing each one once, finding them again.
public import XMPP

extension Transaction {
    /// Stores a message from outside.
    ///
    /// - Returns: nil if it is stored already: its archive id is known, or it may be a copy and a message
    ///   with the same chat, id and text is there.
    public func insertIncoming(_ message: NewIncoming) throws(StoreError) -> StoredMessage? {
        if message.mayBeCopy, try isCopy(message) { return nil }
        var stored = StoredMessage(
            id: 0, account: message.account, messageID: message.messageID, chat: message.chat,
            sender: message.sender, direction: message.direction, body: message.body,
            encryption: message.encryption, plaintext: message.encryption == nil,
            state: message.direction == .in ? .received : .server, reason: nil, clientID: nil,
            stanzaID: message.stanzaID, sentAt: message.sentAt, storedAt: message.storedAt,
            markable: message.markable, downgraded: message.downgraded)
        return try insert(&stored) ? stored : nil
    }

    /// A stanza from the server's keeping, or a carbon, may have come live before. An archive id that the
    /// live one lacked is written to it, so that it stands for one stanza of the archive only. Without an id
    /// nothing tells repetition from a second message with the same text, and then no text may be lost.
    private func isCopy(_ message: NewIncoming) throws(StoreError) -> Bool {
        guard !message.messageID.isEmpty else { return false }
        guard let stanzaID = message.stanzaID else {
            return try first(
                """
                SELECT 1 FROM message
                WHERE account = ? AND messageID = ? AND chat = ? AND body = ? AND direction = ? LIMIT 1
                """, message.account, message.messageID, message.chat, message.body,
                message.direction.rawValue
            ) { _ in true } ?? false
        }
        return try run(
            """
            UPDATE message SET stanzaID = ?5 WHERE id = (
              SELECT id FROM message WHERE account = ?1 AND messageID = ?2 AND chat = ?3 AND body = ?4
                AND direction = ?6 AND stanzaID IS NULL ORDER BY id LIMIT 1)
              AND NOT EXISTS (SELECT 1 FROM message WHERE account = ?1 AND stanzaID = ?5)
            """, message.account, message.messageID, message.chat, message.body, stanzaID,
            message.direction.rawValue) > 0
    }

    /// Whether a message has this archive id (XEP-0359).
    public func isStored(account: Int64, stanzaID: String) throws(StoreError) -> Bool {
        try first("SELECT 1 FROM message WHERE account = ? AND stanzaID = ?", account, stanzaID) { _ in true }
            ?? false
    }

    /// Notes the archive id of a message of ours that came back to us, from the archive or as a carbon. An id
    /// that the message has already stays.
    ///
    /// - Returns: whether a message of ours with this id is in this chat.
    @discardableResult
    public func attachStanzaID(
        _ stanzaID: String, account: Int64, chat: JID, messageID: String
    ) throws(StoreError) -> Bool {
        guard !messageID.isEmpty else { return false }
        let own = try first(
            """
            SELECT id, stanzaID IS NULL FROM message
            WHERE account = ? AND messageID = ? AND chat = ? AND direction = 'out'
            ORDER BY stanzaID IS NOT NULL, id LIMIT 1
            """, account, messageID, chat.bare
        ) { (row: $0.integer(0), isOpen: $0.bool(1)) }
        guard let own else { return false }
        if own.isOpen {
            try run(
                """
                UPDATE message SET stanzaID = ?3
                WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM message WHERE account = ?2 AND stanzaID = ?3)
                """, own.row, account, stanzaID)
        }
        return true
    }

    /// Stores a message to send, as `queued`.
    ///
    /// - Returns: the message; where its `clientID` is known already, the one that was stored for that, to be
    ///   told by its `messageID`. Then nothing changes.
    @discardableResult
    public func insertOutgoing(_ message: NewOutgoing) throws(StoreError) -> StoredMessage {
        var stored = StoredMessage(
            id: 0, account: message.account, messageID: message.messageID, chat: message.chat,
            sender: message.sender, direction: .out, body: message.body, encryption: nil,
            plaintext: message.plaintext, state: .queued, reason: nil, clientID: message.clientID,
            stanzaID: nil, sentAt: message.at, storedAt: message.at, markable: false,
            reactsTo: message.reactsTo)
        if try !insert(&stored), let clientID = message.clientID,
            let known = try self.message(account: message.account, clientID: clientID)
        {
            return known
        }
        return stored
    }

    /// - Returns: false if its archive id or its idempotency key is there already; else it has its row now.
    func insert(_ message: inout StoredMessage) throws(StoreError) -> Bool {
        var checksum = message.checksum
        let isNew = try run(
            """
            INSERT INTO message (account, messageID, chat, sender, direction, body, protocol, device, fingerprint,
              trust, plaintext, state, awaitsKeys, clientID, stanzaID, sentAt, storedAt, markable, downgraded,
              reactsTo, checksum)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (account, stanzaID) WHERE stanzaID IS NOT NULL DO NOTHING
            ON CONFLICT (account, clientID) WHERE clientID IS NOT NULL DO NOTHING
            """, message.account, message.messageID, message.chat, message.sender, message.direction.rawValue,
            message.body, message.encryption?.version.rawValue, message.encryption?.device,
            message.encryption?.fingerprint, message.encryption?.trust.rawValue, message.plaintext,
            message.state.rawValue, message.clientID, message.stanzaID, message.sentAt, message.storedAt,
            message.markable, message.downgraded, message.reactsTo, checksum.value)
        guard isNew > 0 else { return false }
        message.id = database.lastInsertedRowID
        return true
    }

    // MARK: Finding

    /// The message of this row.
    public func message(row: Int64) throws(StoreError) -> StoredMessage? {
        try first("\(Self.selectMessages) WHERE m.id = ?", row, read: Self.message)
    }

    /// The message with this id. Of several the oldest: who repeats an id does not hide the message that had
    /// it.
    public func message(account: Int64, messageID: String) throws(StoreError) -> StoredMessage? {
        try first(
            "\(Self.selectMessages) WHERE m.account = ? AND m.messageID = ? ORDER BY m.id LIMIT 1", account,
            messageID, read: Self.message)
    }

    /// The message with this id, of whichever account; of several the oldest.
    public func message(messageID: String) throws(StoreError) -> StoredMessage? {
        try first(
            """
            \(Self.selectMessages) WHERE m.account IN (SELECT id FROM account) AND m.messageID = ?
            ORDER BY m.id LIMIT 1
            """, messageID, read: Self.message)
    }

    /// The message of a chat with this idempotency key, or else the oldest with this id.
    public func message(account: Int64, chat: JID, named name: String) throws(StoreError) -> StoredMessage? {
        if let own = try message(account: account, clientID: name), own.chat == chat.bare { return own }
        return try first(Self.selectOfChat, account, name, chat.bare, read: Self.message)
    }

    /// By the index of ids, not by that of chats, which may be long.
    static let selectOfChat = """
        \(selectMessages) WHERE m.account = ?1 AND m.messageID = ?2 AND +m.chat = ?3 ORDER BY m.id LIMIT 1
        """

    /// The message that was stored for a caller's idempotency key.
    public func message(account: Int64, clientID: String) throws(StoreError) -> StoredMessage? {
        try first(
            "\(Self.selectMessages) WHERE m.account = ? AND m.clientID = ?", account, clientID,
            read: Self.message)
    }

    /// A page of a chat, newest last.
    /// - Parameters:
    ///   - before: row of the oldest message of the page that follows; nil for the newest page.
    ///   - bytes: how much text is enough; the page ends with the message that reaches it.
    public func messages(
        account: Int64, chat: JID, before: Int64? = nil, limit: Int, bytes: Int = .max
    ) throws(StoreError) -> [StoredMessage] {
        var room = bytes
        return try rows(
            """
            \(Self.selectMessages) WHERE m.account = ? AND m.chat = ? AND m.id < ? ORDER BY m.id DESC LIMIT ?
            """, account, chat.bare, before ?? .max, limit, read: Self.message,
            isLast: { message in
                room -= message.body.utf8.count
                return room <= 0
            }
        ).reversed()
    }

    /// Whether a chat has messages older than that row.
    public func hasMessages(account: Int64, chat: JID, before: Int64) throws(StoreError) -> Bool {
        try first(
            "SELECT 1 FROM message WHERE account = ? AND chat = ? AND id < ? LIMIT 1", account, chat.bare,
            before
        ) { _ in true } ?? false
    }

    /// The newest message of a chat that came in.
    public func lastIncoming(account: Int64, chat: JID) throws(StoreError) -> StoredMessage? {
        try first(
            """
            \(Self.selectMessages) WHERE m.account = ? AND m.chat = ? AND m.direction = 'in'
            ORDER BY m.id DESC LIMIT 1
            """, account, chat.bare, read: Self.message)
    }

    /// Messages that wait to be encrypted, for keys or for a decision, in the order they were accepted.
    public func messagesWaiting(account: Int64, chat: JID) throws(StoreError) -> [StoredMessage] {
        try rows(
            "\(Self.selectMessages) WHERE m.id IN (\(Self.selectWaiting)) ORDER BY m.id", account, chat.bare,
            read: Self.message)
    }

    /// Whether a chat has messages that wait to be encrypted: later ones must wait too.
    public func hasWaiting(account: Int64, chat: JID) throws(StoreError) -> Bool {
        try first("\(Self.selectWaiting) LIMIT 1", account, chat.bare) { _ in true } ?? false
    }

    /// Each part has its index.
    static let selectWaiting = """
        SELECT id FROM message WHERE account = ?1 AND chat = ?2 AND awaitsKeys AND state = 'queued'
        UNION ALL SELECT id FROM message WHERE account = ?1 AND chat = ?2 AND state = 'held'
        """

    /// Notes that a message is not encrypted yet, or, with false, that its stanza is in the outbox.
    public func setAwaitsKeys(_ awaitsKeys: Bool, message: Int64) throws(StoreError) {
        try run("UPDATE message SET awaitsKeys = ?2 WHERE id = ?1", message, awaitsKeys)
    }

    /// The chats that have messages waiting to be encrypted, the longest waiting first.
    public func chatsWaiting(account: Int64) throws(StoreError) -> [JID] {
        try rows(
            """
            SELECT chat FROM (
              SELECT chat, id FROM message WHERE account = ?1 AND awaitsKeys AND state = 'queued'
              UNION ALL SELECT chat, id FROM message WHERE account = ?1 AND state = 'held')
            GROUP BY chat ORDER BY min(id)
            """, account
        ) { (row) throws(StoreError) in
            try row.jid(0)
        }
    }

    static let selectMessages = "SELECT \(StoredMessage.columns) FROM message m"

    static func message(_ row: Row) -> StoredMessage { StoredMessage(row) }
}
