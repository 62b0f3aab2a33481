// message.get: one message by its id.

/// `message.get`.
public enum MessageGet: Method {
    /// The name on the wire.
    public static let name = "message.get"
    /// What it does.
    public static let summary = "Read one message and how far it has come"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [
        .unknownAccount, .noAccount, .ambiguousAccount, .noSuchMessage, .storage,
    ]

    /// Which message.
    public struct Params: Documented, Equatable {
        /// Id of the message.
        public var id: String
        /// Which account.
        public var account: String?

        /// Parameters from their parts.
        public init(id: String, account: String? = nil) {
            self.id = id
            self.account = account
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("id", .string, "id of the message"),
            .optional("account", .jid, "which account; needed when there are several"),
        ]
    }

    /// The message.
    public typealias Result = Message
}
