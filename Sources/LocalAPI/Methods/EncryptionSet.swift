// encryption.set: a person decides for a chat.

/// `encryption.set`.
public enum EncryptionSet: Method {
    /// The name on the wire.
    public static let name = "encryption.set"
    /// What it does.
    public static let summary = "Decide whether a chat must be encrypted, and which devices get its messages"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [
        .badAddress, .unknownAccount, .noAccount, .ambiguousAccount, .conflict, .storage, .diskFull,
    ]

    /// Which chat, and the decisions.
    public struct Params: Documented, Equatable {
        /// Bare JID.
        public var jid: String?
        /// Whether plaintext is refused.
        public var required: Bool?
        /// Which devices get messages.
        public var policy: Policy?
        /// Take the policy back.
        public var clearPolicy: Bool?
        /// Which account.
        public var account: String?

        /// Parameters from their parts.
        public init(
            jid: String? = nil, required: Bool? = nil, policy: Policy? = nil, clearPolicy: Bool? = nil,
            account: String? = nil
        ) {
            self.jid = jid
            self.required = required
            self.policy = policy
            self.clearPolicy = clearPolicy
            self.account = account
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            .optional("jid", .jid, "bare JID of the contact; default the account as a whole"),
            .optional(
                "required", .boolean,
                "false: allow plaintext until the next encrypted message; true: refuse it, also after an opt-out"
            ),
            .optional("policy", .word(Policy.self), "which devices get messages"),
            .optional("clearPolicy", .boolean, "take back what was set here; default false"),
            .optional("account", .jid, "which account; needed when there are several"),
        ]
    }

    /// How the chat stands now.
    public typealias Result = ChatEncryption

    /// Something to decide, and a chat where one is needed.
    public static func validate(_ params: Params) throws(UserError) {
        guard params.required != nil || params.policy != nil || params.clearPolicy == true else {
            throw UserError(
                .invalidParams, "nothing to set: give \"required\", \"policy\" or \"clearPolicy\"")
        }
        guard params.required == nil || params.jid != nil else {
            throw UserError(.invalidParams, "parameter \"required\" needs \"jid\"")
        }
        guard params.policy == nil || params.clearPolicy != true else {
            throw UserError(.invalidParams, "\"policy\" and \"clearPolicy\" exclude each other")
        }
    }
}
