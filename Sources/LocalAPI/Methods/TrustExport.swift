// trust.export: decisions, to keep in version control.

/// `trust.export`.
public enum TrustExport: Method {
    /// The name on the wire.
    public static let name = "trust.export"
    /// What it does.
    public static let summary = "List every decision about keys, and every policy that was set"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [
        .badAddress, .unknownAccount, .noAccount, .ambiguousAccount, .storage,
    ]

    /// Whose.
    public struct Params: Documented, Equatable {
        /// Which account.
        public var account: String?

        /// Parameters from their parts.
        public init(account: String? = nil) {
            self.account = account
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            .optional("account", .jid, "which account; needed when there are several")
        ]
    }

    /// Decisions and policies.
    public struct Result: Documented, Equatable {
        /// The decisions.
        public var entries: [TrustEntry]
        /// The policies.
        public var policies: [PolicyEntry]

        /// A result from its parts.
        public init(entries: [TrustEntry], policies: [PolicyEntry]) {
            self.entries = entries
            self.policies = policies
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("entries", .array(.object(TrustEntry.self)), "the decisions, by JID and fingerprint"),
            Field(
                "policies", .array(.object(PolicyEntry.self)),
                "the policies; one without JID is the account's own"
            ),
        ]
    }
}
