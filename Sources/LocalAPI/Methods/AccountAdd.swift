// account.add: log in to an account and keep it.

/// `account.add`.
public enum AccountAdd: Method {
    /// The name on the wire.
    public static let name = "account.add"
    /// What it does.
    public static let summary =
        "Add an account: log in, publish this device, and keep the account only if that worked; one that exists gets the new settings and keeps its keys"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [
        .badAddress, .notAuthorized, .passwordUnavailable, .hostUnknown, .serverUnreachable,
        .certificate, .tlsRequired, .serverProtocol, .notSupported, .unreadableFile, .timeout, .storage,
        .diskFull,
    ]

    /// How the connection is secured.
    public enum TLS: String, Codable, CaseIterable, Sendable {
        /// Start in the clear, then upgrade.
        case starttls
        /// TLS from the first byte.
        case direct
    }

    /// The account and how to reach it.
    public struct Params: Documented, Equatable {
        /// Bare JID.
        public var jid: String
        /// The password.
        public var password: String?
        /// A command that prints the password.
        public var passwordCommand: String?
        /// `host:port`.
        public var server: String?
        /// How the connection is secured.
        public var tls: TLS?
        /// PEM file of certificate authorities.
        public var caFile: String?
        /// Whether SASL PLAIN may be used.
        public var allowPlain: Bool?
        /// Whether to wait until online.
        public var wait: Bool?
        /// How long to wait, in seconds.
        public var timeout: Int?

        /// Parameters from their parts.
        public init(
            jid: String, password: String? = nil, passwordCommand: String? = nil, server: String? = nil,
            tls: TLS? = nil, caFile: String? = nil, allowPlain: Bool? = nil, wait: Bool? = nil,
            timeout: Int? = nil
        ) {
            self.jid = jid
            self.password = password
            self.passwordCommand = passwordCommand
            self.server = server
            self.tls = tls
            self.caFile = caFile
            self.allowPlain = allowPlain
            self.wait = wait
            self.timeout = timeout
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("jid", .jid, "bare JID of the account"),
            .optional("password", .string, "the password; this or passwordCommand is needed"),
            .optional(
                "passwordCommand", .string,
                "a shell command imd runs at every login; the first line it prints is the password"),
            .optional("server", .string, "host:port to connect to instead of what DNS says"),
            .optional(
                "tls", .word(TLS.self), "how the connection is secured; default: what DNS says, or starttls"),
            .optional(
                "caFile", .string,
                "absolute path of a PEM file with the authorities to trust instead of the system's"),
            .optional("allowPlain", .boolean, "let the server see the password (SASL PLAIN); default false"),
            .optional("wait", .boolean, "answer when online and keep nothing on failure; default true"),
            .optional("timeout", .seconds, "how long to wait, in seconds; default 30"),
        ]
    }

    /// How the account is doing.
    public typealias Result = AccountStatus

    /// Exactly one way to the password, and an absolute path.
    public static func validate(_ params: Params) throws(UserError) {
        guard (params.password == nil) != (params.passwordCommand == nil) else {
            throw UserError(.invalidParams, "exactly one of \"password\" and \"passwordCommand\" is needed")
        }
        if let path = params.caFile, !path.hasPrefix("/") {
            throw UserError(.invalidParams, "parameter \"caFile\" must be an absolute path")
        }
    }
}
