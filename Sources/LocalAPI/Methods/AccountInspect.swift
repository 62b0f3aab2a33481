// account.inspect: what a backup would have imd do, before it is imported.

/// `account.inspect`.
public enum AccountInspect: Method {
    /// The name on the wire.
    public static let name = "account.inspect"
    /// What it does.
    public static let summary =
        "Tell whose account is in a file of account.export, and what imd would run and where it would connect"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [.unreadableFile, .badPassphrase, .badText]

    /// The file and its passphrase.
    public struct Params: Documented, Equatable {
        /// The file.
        public var path: String
        /// The passphrase.
        public var passphrase: String

        /// Parameters from their parts.
        public init(path: String, passphrase: String) {
            self.path = path
            self.passphrase = passphrase
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("path", .string, "absolute path of the file"),
            Field("passphrase", .string, "what the file is encrypted with"),
        ]
    }

    /// What its first line says.
    public struct Result: Documented, Equatable {
        /// Whose account.
        public var account: String
        /// When it was written.
        public var exportedAt: Timestamp
        /// The command that prints the password.
        public var passwordCommand: String?
        /// Where to connect.
        public var server: String?
        /// Authorities to trust.
        public var caFile: String?

        /// A result from its parts.
        public init(
            account: String, exportedAt: Timestamp, passwordCommand: String? = nil, server: String? = nil,
            caFile: String? = nil
        ) {
            self.account = account
            self.exportedAt = exportedAt
            self.passwordCommand = passwordCommand
            self.server = server
            self.caFile = caFile
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("account", .jid, "whose account it is"),
            Field("exportedAt", .timestamp, "when the file was written"),
            .optional(
                "passwordCommand", .string,
                "the shell command that printed the password where the file was written; account.import runs it "
                    + "only if it is given there again"
            ),
            .optional("server", .string, "host:port to connect to instead of where DNS says"),
            .optional("caFile", .string, "path of a PEM file with the only authorities to trust"),
        ]
    }

    /// An absolute path and a passphrase.
    public static func validate(_ params: Params) throws(UserError) {
        try AccountImport.validate(.init(path: params.path, passphrase: params.passphrase))
    }
}
