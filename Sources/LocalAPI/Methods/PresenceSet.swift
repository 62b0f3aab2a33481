// presence.set: what contacts see of us.

/// `presence.set`.
public enum PresenceSet: Method {
    /// The name on the wire.
    public static let name = "presence.set"
    /// What it does.
    public static let summary = "Set what contacts see of us, now and after every login"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [.badAddress, .unknownAccount, .noAccount, .storage]

    /// What to show.
    public struct Params: Documented, Equatable {
        /// What to show.
        public var show: Show
        /// The text beside it.
        public var status: String?
        /// Which account; nil for all.
        public var account: String?

        /// Parameters from their parts.
        public init(show: Show, status: String? = nil, account: String? = nil) {
            self.show = show
            self.status = status
            self.account = account
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field(
                "show", .word(Show.self),
                "what to show; offline hides us while messages still come, unlike account.disconnect"),
            .optional("status", .string, "a text to show with it; default none"),
            .optional("account", .jid, "only for this account; default all"),
        ]
    }

    /// Nothing.
    public typealias Result = Empty
}
