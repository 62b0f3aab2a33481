// message.list: the history of one chat, newest page first.

/// `message.list`.
public enum MessageList: Method {
    /// The name on the wire.
    public static let name = "message.list"
    /// What it does.
    public static let summary = "Read the history of a chat, a page at a time, the newest page first"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [
        .badAddress, .unknownAccount, .noAccount, .ambiguousAccount, .noSuchMessage, .storage,
    ]

    /// Which chat, which page.
    public struct Params: Documented, Equatable {
        /// Bare JID of the chat.
        public var chat: String
        /// Which account.
        public var account: String?
        /// Only messages before this one.
        public var before: String?
        /// How many at most.
        public var limit: Int?

        /// Parameters from their parts.
        public init(chat: String, account: String? = nil, before: String? = nil, limit: Int? = nil) {
            self.chat = chat
            self.account = account
            self.before = before
            self.limit = limit
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("chat", .jid, "bare JID of the contact"),
            .optional("account", .jid, "which account; needed when there are several"),
            .optional("before", .string, "id of a message: only older ones"),
            .optional("limit", .integer(1...1000), "how many at most; default 50"),
        ]
    }

    /// One page.
    public struct Result: Documented, Equatable {
        /// Oldest first.
        public var messages: [Message]
        /// Whether there are older ones.
        public var more: Bool

        /// A result from its parts.
        public init(messages: [Message], more: Bool) {
            self.messages = messages
            self.more = more
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field(
                "messages", .array(.object(Message.self)),
                "the messages, oldest first; fewer when they are long"),
            Field("more", .boolean, "there are older ones"),
        ]
    }
}
