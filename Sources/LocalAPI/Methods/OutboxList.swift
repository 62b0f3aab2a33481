// outbox.list: what has been accepted and is not yet with the server, or has failed.

/// `outbox.list`.
public enum OutboxList: Method {
    /// The name on the wire.
    public static let name = "outbox.list"
    /// What it does.
    public static let summary = "List the messages that still wait to reach the server, or those that failed"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [.badAddress, .unknownAccount, .storage]

    /// The most messages one answer holds.
    public static let maxLimit = 1000

    /// Which.
    public struct Params: Documented, Equatable {
        /// Only this account.
        public var account: String?
        /// Those that failed instead.
        public var failed: Bool?
        /// How many at most, 1 to `maxLimit`.
        public var limit: Int?

        /// Parameters from their parts.
        public init(account: String? = nil, failed: Bool? = nil, limit: Int? = nil) {
            self.account = account
            self.failed = failed
            self.limit = limit
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            .optional("account", .jid, "only messages of this account; default all"),
            .optional(
                "failed", .boolean,
                "those that failed instead of those that are queued or sent; default false"),
            .optional("limit", .integer(1...Int64(maxLimit)), "how many at most; default \(maxLimit)"),
        ]
    }

    /// The messages.
    public struct Result: Documented, Equatable {
        /// Oldest first.
        public var messages: [Message]
        /// Whether there are younger ones.
        public var more: Bool

        /// A result from its parts.
        public init(messages: [Message], more: Bool = false) {
            self.messages = messages
            self.more = more
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field(
                "messages", .array(.object(Message.self)),
                "the messages, oldest first; fewer when they are long"),
            Field("more", .boolean, "there are younger ones"),
        ]
    }
}
