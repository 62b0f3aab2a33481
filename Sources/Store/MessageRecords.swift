// The values that messages are stored from and read as.
public import OMEMO
public import XMPP

/// Who sent a message.
public enum MessageDirection: String, Sendable, Hashable {
    /// Somebody else.
    case `in`
    /// This account, here or on another device.
    case out
}

/// How far a message has come.
public enum MessageState: String, Sendable, Hashable, CaseIterable {
    /// It came in.
    case received
    /// It will not arrive.
    case failed
    /// Stored here until a person decides about the contact's devices.
    case held
    /// Stored here.
    case queued
    /// Handed to the network.
    case sent
    /// The server has taken responsibility.
    case server
    /// A device of the contact has it.
    case delivered
    /// The contact has seen it.
    case displayed
}

extension MessageState: Comparable {
    private var progress: Int {
        switch self {
        case .received: 0
        case .failed: 1
        case .held: 2
        case .queued: 3
        case .sent: 4
        case .server: 5
        case .delivered: 6
        case .displayed: 7
        }
    }

    /// By how far the message has come; `received` and `failed` lie before all others.
    public static func < (a: MessageState, b: MessageState) -> Bool { a.progress < b.progress }
}

/// Whose key encrypted a message.
public struct MessageEncryption: Hashable, Sendable {
    /// The OMEMO protocol.
    public var version: ProtocolVersion
    /// The sending device.
    public var device: UInt32
    /// Its identity key as people compare it.
    public var fingerprint: String
    /// How far the key was trusted when the message came.
    public var trust: TrustLevel

    /// From its parts.
    public init(version: ProtocolVersion, device: UInt32, fingerprint: String, trust: TrustLevel) {
        self.version = version
        self.device = device
        self.fingerprint = fingerprint
        self.trust = trust
    }
}

/// A message in the archive.
public struct StoredMessage: Hashable, Sendable, Identifiable {
    /// Its row: counts up, never used again.
    public internal(set) var id: Int64
    /// The account's row.
    public let account: Int64
    /// What people and other programs call it: the stanza's id. Chosen by the sender, so not unique.
    public let messageID: String
    /// Bare JID of the conversation.
    public let chat: JID
    /// Full or bare JID.
    public let sender: JID
    /// Who sent it.
    public let direction: MessageDirection
    /// The text.
    public let body: String
    /// Nil for messages in the clear, and for our own.
    public let encryption: MessageEncryption?
    /// Whether it came, or is to go out, unencrypted.
    public let plaintext: Bool
    /// How far it has come.
    public let state: MessageState
    /// Why it failed, as a word.
    public let reason: String?
    /// The caller's idempotency key.
    public let clientID: String?
    /// The id that our server's archive gave it (XEP-0359).
    public let stanzaID: String?
    /// When its sender sent it, as far as known; Unix milliseconds, UTC.
    public let sentAt: Int64
    /// Unix milliseconds, UTC.
    public let storedAt: Int64
    /// Whether its sender wants to be told that it was read (XEP-0333).
    public let markable: Bool
    /// Whether it came in clear into a chat that is encrypted.
    public var downgraded = false
    /// The stanza's id of the message that the text, emojis, is a reaction to (XEP-0444).
    public var reactsTo: String?
    /// The devices that cannot read it, as a JSON array; nil if there are none. Only of our own.
    public internal(set) var excluded: String?
    /// Whether the row is not what was stored: the other members are what is left of it. Show it, never send
    /// it.
    public internal(set) var isDamaged = false
}

/// A message that came from outside: from a contact, or from another device of ours.
public struct NewIncoming: Sendable {
    /// The account's row.
    public var account: Int64
    /// The stanza's id; empty if it has none.
    public var messageID: String
    /// Stored as bare JID.
    public var chat: JID
    /// Full or bare JID.
    public var sender: JID
    /// `out` for a copy of what another device of ours sent.
    public var direction: MessageDirection
    /// The text.
    public var body: String
    /// Nil if it came in the clear.
    public var encryption: MessageEncryption?
    /// The id that our server's archive gave it (XEP-0359).
    public var stanzaID: String?
    /// Whether it may have come before in another way: from offline storage, as a carbon, from the archive.
    public var mayBeCopy: Bool
    /// Whether its sender wants to be told that it was read (XEP-0333).
    public var markable: Bool
    /// Whether it came in clear into a chat that is encrypted.
    public var downgraded: Bool
    /// Unix milliseconds, UTC.
    public var sentAt: Int64
    /// Unix milliseconds, UTC.
    public var storedAt: Int64

    /// From its parts.
    public init(
        account: Int64, messageID: String, chat: JID, sender: JID, direction: MessageDirection = .in,
        body: String, encryption: MessageEncryption?, stanzaID: String?, mayBeCopy: Bool,
        markable: Bool = false, downgraded: Bool = false, sentAt: Int64, storedAt: Int64
    ) {
        self.account = account
        self.messageID = messageID
        self.chat = chat.bare
        self.sender = sender
        self.direction = direction
        self.body = body
        self.encryption = encryption
        self.stanzaID = stanzaID
        self.mayBeCopy = mayBeCopy
        self.markable = markable
        self.downgraded = downgraded
        self.sentAt = sentAt
        self.storedAt = storedAt
    }
}

/// A message to send.
public struct NewOutgoing: Sendable {
    /// The account's row.
    public var account: Int64
    /// The id the stanza will have.
    public var messageID: String
    /// Stored as bare JID.
    public var chat: JID
    /// Our own JID.
    public var sender: JID
    /// The text.
    public var body: String
    /// The caller's idempotency key.
    public var clientID: String?
    /// A person asked for it to go out unencrypted.
    public var plaintext: Bool
    /// The stanza's id of the message that the text, emojis, is a reaction to (XEP-0444).
    public var reactsTo: String?
    /// Unix milliseconds, UTC.
    public var at: Int64

    /// From its parts.
    public init(
        account: Int64, messageID: String, chat: JID, sender: JID, body: String, clientID: String? = nil,
        plaintext: Bool = false, reactsTo: String? = nil, at: Int64
    ) {
        self.account = account
        self.messageID = messageID
        self.chat = chat.bare
        self.sender = sender
        self.body = body
        self.clientID = clientID
        self.plaintext = plaintext
        self.reactsTo = reactsTo
        self.at = at
    }
}
