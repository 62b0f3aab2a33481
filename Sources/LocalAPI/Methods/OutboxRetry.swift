// outbox.retry: send a failed message once more, or try everything that waits at once.

/// `outbox.retry`.
public enum OutboxRetry: Method {
    /// The name on the wire.
    public static let name = "outbox.retry"
    /// What it does.
    public static let summary =
        "Queue a failed message again; without id, reconnect at once and try everything that waits"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [
        .badAddress, .unknownAccount, .noAccount, .ambiguousAccount, .noSuchMessage, .noTrustedDevice,
        .conflict, .storage, .diskFull,
    ]

    /// Which message.
    public struct Params: Documented, Equatable {
        /// A failed message; nil for all that wait.
        public var id: String?
        /// Which account.
        public var account: String?

        /// Parameters from their parts.
        public init(id: String? = nil, account: String? = nil) {
            self.id = id
            self.account = account
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            .optional("id", .string, "id of a message that failed; default everything that waits now"),
            .optional(
                "account", .jid, "which account; with id needed when there are several, else default all"),
        ]
    }

    /// The messages that are tried now, oldest first.
    public typealias Result = OutboxList.Result
}
