// contact.approve: answer a request to see our presence.

/// `contact.approve`.
public enum ContactApprove: Method {
    /// The name on the wire.
    public static let name = "contact.approve"
    /// What it does.
    public static let summary = "Let somebody see our presence, or refuse"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [
        .badAddress, .unknownAccount, .noAccount, .ambiguousAccount, .notConnected, .timeout,
    ]

    /// Whom, and the answer.
    public struct Params: Documented, Equatable {
        /// Bare JID of who asked.
        public var jid: String
        /// Which account.
        public var account: String?
        /// Refuse.
        public var deny: Bool?

        /// Parameters from their parts.
        public init(jid: String, account: String? = nil, deny: Bool? = nil) {
            self.jid = jid
            self.account = account
            self.deny = deny
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("jid", .jid, "bare JID of who asked"),
            .optional("account", .jid, "which account; needed when there are several"),
            .optional("deny", .boolean, "refuse, also when allowed before; default false"),
        ]
    }

    /// Nothing.
    public typealias Result = Empty
}
