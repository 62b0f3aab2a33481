// trust.import: decisions, from version control.

/// `trust.import`.
public enum TrustImport: Method {
    /// The name on the wire.
    public static let name = "trust.import"
    /// What it does.
    public static let summary =
        "Take over decisions about keys, also of devices that were never seen; others stay as they are"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [
        .badAddress, .unknownAccount, .noAccount, .ambiguousAccount, .storage, .diskFull, .conflict,
    ]

    /// Decisions and policies.
    public struct Params: Documented, Equatable {
        /// The decisions.
        public var entries: [TrustEntry]
        /// The policies.
        public var policies: [PolicyEntry]?
        /// Which account.
        public var account: String?

        /// Parameters from their parts.
        public init(entries: [TrustEntry], policies: [PolicyEntry]? = nil, account: String? = nil) {
            self.entries = entries
            self.policies = policies
            self.account = account
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("entries", .array(.object(TrustEntry.self)), "the decisions"),
            .optional("policies", .array(.object(PolicyEntry.self)), "policies to set"),
            .optional("account", .jid, "which account; needed when there are several"),
        ]
    }

    /// What it changed.
    public struct Result: Documented, Equatable {
        /// How many are other than before.
        public var changed: Int64
        /// How many messages go out now.
        public var released: Int64
        /// How many messages have failed.
        public var cancelled: Int64

        /// A result from its parts.
        public init(changed: Int64, released: Int64, cancelled: Int64) {
            self.changed = changed
            self.released = released
            self.cancelled = cancelled
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("changed", .count, "how many decisions and policies are other than before"),
            Field("released", .count, "how many messages that waited go out now"),
            Field("cancelled", .count, "how many messages that waited have failed"),
        ]
    }
}
