// encryption.get: how a chat stands.

/// `encryption.get`.
public enum EncryptionGet: Method {
    /// The name on the wire.
    public static let name = "encryption.get"
    /// What it does.
    public static let summary = "Tell whether a chat must be encrypted, and which devices get its messages"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [
        .badAddress, .unknownAccount, .noAccount, .ambiguousAccount, .storage,
    ]

    /// Which chat.
    public struct Params: Documented, Equatable {
        /// Bare JID.
        public var jid: String?
        /// Which account.
        public var account: String?

        /// Parameters from their parts.
        public init(jid: String? = nil, account: String? = nil) {
            self.jid = jid
            self.account = account
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            .optional("jid", .jid, "bare JID of the contact; default the account as a whole"),
            .optional("account", .jid, "which account; needed when there are several"),
        ]
    }

    /// How the chat stands.
    public typealias Result = ChatEncryption
}
