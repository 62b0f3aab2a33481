// account.import: a backup becomes a new device.

/// `account.import`.
public enum AccountImport: Method {
    /// The name on the wire.
    public static let name = "account.import"
    /// What it does.
    public static let summary =
        "Add an account from a file of account.export: a new device with the old contacts, decisions and history"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [
        .unreadableFile, .badPassphrase, .badText, .conflict, .storage, .diskFull,
    ]

    /// The file, the passphrase, and what is other than it says.
    public struct Params: Documented, Equatable {
        /// The file.
        public var path: String
        /// The passphrase.
        public var passphrase: String
        /// Another password.
        public var password: String?
        /// A command that prints the password.
        public var passwordCommand: String?
        /// Where to connect.
        public var server: String?
        /// Authorities to trust.
        public var caFile: String?

        /// Parameters from their parts.
        public init(
            path: String, passphrase: String, password: String? = nil, passwordCommand: String? = nil,
            server:
                String? = nil, caFile: String? = nil
        ) {
            self.path = path
            self.passphrase = passphrase
            self.password = password
            self.passwordCommand = passwordCommand
            self.server = server
            self.caFile = caFile
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("path", .string, "absolute path of the file"),
            Field("passphrase", .string, "what the file is encrypted with"),
            .optional("password", .string, "the account's password, if it is another now"),
            .optional(
                "passwordCommand", .string,
                "a shell command that prints the password; the one in the file is not taken from there, see "
                    + "account.inspect"
            ),
            .optional("server", .string, "host:port to connect to, instead of the one in the file"),
            .optional("caFile", .string, "absolute path of a PEM file, instead of the one in the file"),
        ]
    }

    /// What was in it.
    public struct Result: Documented, Equatable {
        /// The account.
        public var account: AccountStatus
        /// How many messages.
        public var messages: Int64
        /// How many contacts.
        public var contacts: Int64
        /// How many decisions.
        public var decisions: Int64

        /// A result from its parts.
        public init(account: AccountStatus, messages: Int64, contacts: Int64, decisions: Int64) {
            self.account = account
            self.messages = messages
            self.contacts = contacts
            self.decisions = decisions
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("account", .object(AccountStatus.self), "the account; it connects by itself"),
            Field("messages", .count, "how many messages were in it"),
            Field("contacts", .count, "how many contacts were in it"),
            Field("decisions", .count, "how many decisions about keys were in it"),
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
