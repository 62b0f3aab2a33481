// chat.list: the conversations, and what nobody has read yet.

/// One conversation.
public struct Chat: Documented, Equatable {
    /// Bare JID of our account.
    public var account: String
    /// Bare JID of the contact.
    public var chat: String
    /// What the roster calls the contact.
    public var name: String?
    /// How many messages came since the last one read.
    public var unread: Int64
    /// When the newest message was sent.
    public var last: Timestamp

    /// A chat from its parts.
    public init(account: String, chat: String, name: String? = nil, unread: Int64, last: Timestamp) {
        self.account = account
        self.chat = chat
        self.name = name
        self.unread = unread
        self.last = last
    }

    /// The members on the wire.
    public static let fields: [Field] = [
        Field("account", .jid, "bare JID of our account"),
        Field("chat", .jid, "bare JID of the chat, which is the contact"),
        .optional("name", .string, "what we call the contact"),
        Field(
            "unread", .count,
            "how many messages came after the newest that message.displayed, here or on another device, named, and after the newest of ours"
        ),
        Field("last", .timestamp, "when the newest message was sent, as far as known"),
    ]
}

/// `chat.list`.
public enum ChatList: Method {
    /// The name on the wire.
    public static let name = "chat.list"
    /// What it does.
    public static let summary =
        "List the chats that have messages, and how many of those nobody has read; history of before this device counts as read"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [.badAddress, .unknownAccount, .storage]

    /// Which.
    public struct Params: Documented, Equatable {
        /// Only this account.
        public var account: String?

        /// Parameters from their parts.
        public init(account: String? = nil) { self.account = account }

        /// The members on the wire.
        public static let fields: [Field] = [
            .optional("account", .jid, "only this account's chats; default all")
        ]
    }

    /// The chats.
    public struct Result: Documented, Equatable {
        /// The one with the newest message first.
        public var chats: [Chat]
        /// Of all of them.
        public var unread: Int64

        /// A result from its parts.
        public init(chats: [Chat], unread: Int64) {
            self.chats = chats
            self.unread = unread
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("chats", .array(.object(Chat.self)), "the chats, those with the newest messages first"),
            Field("unread", .count, "how many messages are unread in all of them"),
        ]
    }
}
