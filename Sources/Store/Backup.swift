// Messages out of the database and into another, for a backup.
public import XMPP

extension Transaction {
    /// The messages behind a row, oldest first.
    /// - Parameter row: of the last one that was read; 0 to begin.
    public func exportMessages(
        account: Int64, after row: Int64, limit: Int
    ) throws(StoreError) -> [StoredMessage] {
        try rows(
            "\(Self.selectMessages) WHERE m.id > ?2 AND m.account = ?1 ORDER BY m.id LIMIT ?3", account, row,
            limit,
            read: Self.message)
    }

    /// Stores a message of a backup, as read, without event. One that was still to be sent has failed, with the reason
    /// `imported`: where it was exported it may have gone out.
    ///
    /// - Returns: false if it is there already, by chat, id and direction, or by one of its keys.
    @discardableResult
    public func importMessage(_ message: NewImported) throws(StoreError) -> Bool {
        let known = try first(
            """
            SELECT 1 FROM message WHERE account = ? AND messageID = ? AND chat = ? AND direction = ? AND body = ? LIMIT 1
            """, message.account, message.messageID, message.chat, message.direction.rawValue, message.body
        ) { _ in true }
        guard known == nil else { return false }
        let isUnsent = [.held, .queued, .sent].contains(message.state)
        var stored = StoredMessage(
            id: 0, account: message.account, messageID: message.messageID, chat: message.chat,
            sender: message.sender, direction: message.direction, body: message.body,
            encryption: message.encryption, plaintext: message.plaintext,
            state: isUnsent ? .failed : message.state, reason: isUnsent ? "imported" : message.reason,
            clientID: message.clientID, stanzaID: message.stanzaID, sentAt: message.sentAt,
            storedAt: message.storedAt, markable: false, downgraded: message.downgraded,
            reactsTo: message.reactsTo)
        guard try insert(&stored) else { return false }
        if let reason = stored.reason {
            try run("UPDATE message SET reason = ?2 WHERE id = ?1", stored.id, reason)
        }
        if stored.direction == .in {
            try markRead(account: stored.account, chat: stored.chat, through: stored.id)
        }
        return true
    }
}

/// A message out of a backup.
public struct NewImported: Sendable {
    /// The account's row.
    public var account: Int64
    /// As `StoredMessage`.
    public var messageID: String
    /// As `StoredMessage`.
    public var chat: JID
    /// As `StoredMessage`.
    public var sender: JID
    /// As `StoredMessage`.
    public var direction: MessageDirection
    /// As `StoredMessage`.
    public var body: String
    /// As `StoredMessage`.
    public var encryption: MessageEncryption?
    /// As `StoredMessage`.
    public var plaintext: Bool
    /// As `StoredMessage`.
    public var state: MessageState
    /// As `StoredMessage`.
    public var reason: String?
    /// As `StoredMessage`.
    public var clientID: String?
    /// As `StoredMessage`.
    public var stanzaID: String?
    /// As `StoredMessage`.
    public var sentAt: Int64
    /// As `StoredMessage`.
    public var storedAt: Int64
    /// As `StoredMessage`.
    public var downgraded: Bool
    /// As `StoredMessage`.
    public var reactsTo: String?

    /// From its parts.
    public init(
        account: Int64, messageID: String, chat: JID, sender: JID, direction: MessageDirection, body: String,
        encryption: MessageEncryption?, plaintext: Bool, state: MessageState, reason: String?,
        clientID: String?, stanzaID: String?, sentAt: Int64, storedAt: Int64, downgraded: Bool,
        reactsTo: String? = nil
    ) {
        self.account = account
        self.messageID = messageID
        self.chat = chat.bare
        self.sender = sender
        self.direction = direction
        self.body = body
        self.encryption = encryption
        self.plaintext = plaintext
        self.state = state
        self.reason = reason
        self.clientID = clientID
        self.stanzaID = stanzaID
        self.sentAt = sentAt
        self.storedAt = storedAt
        self.downgraded = downgraded
        self.reactsTo = reactsTo
    }
}
