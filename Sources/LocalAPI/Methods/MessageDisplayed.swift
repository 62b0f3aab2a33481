// message.displayed: tell a contact that their messages were read (XEP-0333).

/// `message.displayed`.
public enum MessageDisplayed: Method {
    /// The name on the wire.
    public static let name = "message.displayed"
    /// What it does.
    public static let summary =
        "Tell a contact that its messages up to one were read, if it asked for that; it goes out like a message"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [
        .badAddress, .unknownAccount, .noAccount, .ambiguousAccount, .noSuchMessage, .storage, .diskFull,
    ]

    /// Which message.
    public struct Params: Documented, Equatable {
        /// Bare JID of the chat.
        public var chat: String
        /// The last message that was read.
        public var id: String?
        /// Which account.
        public var account: String?

        /// Parameters from their parts.
        public init(chat: String, id: String? = nil, account: String? = nil) {
            self.chat = chat
            self.id = id
            self.account = account
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("chat", .jid, "bare JID of the contact"),
            .optional("id", .string, "id of the last message that was read; default the newest that came"),
            .optional("account", .jid, "which account; needed when there are several"),
        ]
    }

    /// The message that counts as read, with those before it.
    public typealias Result = Message
}
