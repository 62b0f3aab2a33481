// account.export: a backup.

/// `account.export`.
public enum AccountExport: Method {
    /// The name on the wire.
    public static let name = "account.export"
    /// What it does.
    public static let summary =
        "Write account, contacts, decisions and history into an encrypted file; no key of this device is in it"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [
        .unknownAccount, .noAccount, .ambiguousAccount, .conflict, .unreadableFile, .storage, .diskFull,
    ]

    /// Where to, and the passphrase.
    public struct Params: Documented, Equatable {
        /// Where to.
        public var path: String
        /// The passphrase.
        public var passphrase: String
        /// Which account.
        public var account: String?

        /// Parameters from their parts.
        public init(path: String, passphrase: String, account: String? = nil) {
            self.path = path
            self.passphrase = passphrase
            self.account = account
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("path", .string, "absolute path of the file; it must not exist"),
            Field("passphrase", .string, "what the file is encrypted with"),
            .optional("account", .jid, "which account; needed when there are several"),
        ]
    }

    /// What is in it.
    public struct Result: Documented, Equatable {
        /// The file.
        public var path: String
        /// How many messages.
        public var messages: Int64
        /// How many contacts.
        public var contacts: Int64
        /// Size of the file.
        public var bytes: Int64

        /// A result from its parts.
        public init(path: String, messages: Int64, contacts: Int64, bytes: Int64) {
            self.path = path
            self.messages = messages
            self.contacts = contacts
            self.bytes = bytes
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("path", .string, "the file"),
            Field("messages", .count, "how many messages are in it"),
            Field("contacts", .count, "how many contacts are in it"),
            Field("bytes", .count, "size of the file"),
        ]
    }

    /// An absolute path and a passphrase.
    public static func validate(_ params: Params) throws(UserError) {
        guard params.path.hasPrefix("/") else {
            throw UserError(.invalidParams, "parameter \"path\" must be an absolute path")
        }
        guard !params.passphrase.isEmpty else {
            throw UserError(.invalidParams, "parameter \"passphrase\" must not be empty")
        }
    }
}
