// contact.add: put somebody on the roster and ask for their presence.

/// `contact.add`.
public enum ContactAdd: Method {
    /// The name on the wire.
    public static let name = "contact.add"
    /// What it does.
    public static let summary =
        "Add a contact or change its name and groups, and ask to see its presence where we do not"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [
        .badAddress, .unknownAccount, .noAccount, .ambiguousAccount, .notConnected, .denied, .timeout,
    ]

    /// Whom.
    public struct Params: Documented, Equatable {
        /// Bare JID of the contact.
        public var jid: String
        /// Which account.
        public var account: String?
        /// What we call them.
        public var name: String?
        /// Groups.
        public var groups: [String]?

        /// Parameters from their parts.
        public init(jid: String, account: String? = nil, name: String? = nil, groups: [String]? = nil) {
            self.jid = jid
            self.account = account
            self.name = name
            self.groups = groups
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("jid", .jid, "bare JID of the contact"),
            .optional("account", .jid, "which account; needed when there are several"),
            .optional("name", .string, "what to call the contact; default: as it is"),
            .optional("groups", .array(.string), "the groups to put it in; default: as they are"),
        ]
    }

    /// The contact as the roster has it now.
    public typealias Result = Contact
}
