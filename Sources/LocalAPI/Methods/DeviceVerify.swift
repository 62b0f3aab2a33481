// device.verify: a person has compared a fingerprint.

/// `device.verify`.
public enum DeviceVerify: Method {
    /// The name on the wire.
    public static let name = "device.verify"
    /// What it does.
    public static let summary =
        "Mark as verified what a person has compared: a fingerprint, or the keys of an xmpp: link"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [
        .badAddress, .unknownAccount, .noAccount, .ambiguousAccount, .noSuchDevice, .fingerprintMismatch,
        .storage, .diskFull,
    ]

    /// What was compared.
    public struct Params: Documented, Equatable {
        /// Bare JID.
        public var jid: String?
        /// The identity key, as people compare it.
        public var fingerprint: String?
        /// A link with keys.
        public var uri: String?
        /// Which account.
        public var account: String?

        /// Parameters from their parts.
        public init(
            jid: String? = nil, fingerprint: String? = nil, uri: String? = nil, account: String? = nil
        ) {
            self.jid = jid
            self.fingerprint = fingerprint
            self.uri = uri
            self.account = account
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            .optional("jid", .jid, "bare JID of whose devices they are; not needed with a link"),
            .optional(
                "fingerprint", .string,
                "identity key, 64 hex digits; spaces and colons between them do not count"
            ),
            .optional(
                "uri", .string,
                "a link as the other client shows it, also as a QR code: xmpp:JID?omemo-sid-ID=KEY"
            ),
            .optional("account", .jid, "which account; needed when there are several"),
        ]
    }

    /// What it changed.
    public typealias Result = TrustResult

    /// Exactly one thing to compare with.
    public static func validate(_ params: Params) throws(UserError) {
        guard (params.fingerprint == nil) != (params.uri == nil) else {
            throw UserError(.invalidParams, "exactly one of \"fingerprint\" and \"uri\" is needed")
        }
        guard params.uri != nil || params.jid != nil else {
            throw UserError(.invalidParams, "parameter \"jid\" is needed with a fingerprint")
        }
    }
}
