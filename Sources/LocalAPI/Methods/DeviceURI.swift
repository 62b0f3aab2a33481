// device.uri: a link to verify devices with.

/// `device.uri`.
public enum DeviceURI: Method {
    /// The name on the wire.
    public static let name = "device.uri"
    /// What it does.
    public static let summary = "Give the xmpp: link, and the QR code, by which others verify devices"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [
        .badAddress, .unknownAccount, .noAccount, .ambiguousAccount, .noSuchDevice, .storage,
    ]

    /// Whose devices, and in which form.
    public struct Params: Documented, Equatable {
        /// Bare JID.
        public var jid: String?
        /// Whether a QR code is wanted.
        public var qr: Bool?
        /// Which account.
        public var account: String?

        /// Parameters from their parts.
        public init(jid: String? = nil, qr: Bool? = nil, account: String? = nil) {
            self.jid = jid
            self.qr = qr
            self.account = account
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            .optional("jid", .jid, "bare JID; default the account itself"),
            .optional("qr", .boolean, "also as a QR code; default false"),
            .optional("account", .jid, "which account; needed when there are several"),
        ]
    }

    /// The link.
    public struct Result: Documented, Equatable {
        /// Whose devices they are.
        public var jid: String
        /// The link.
        public var uri: String
        /// The QR code.
        public var qr: [String]?

        /// A result from its parts.
        public init(jid: String, uri: String, qr: [String]? = nil) {
            self.jid = jid
            self.uri = uri
            self.qr = qr
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("jid", .jid, "whose devices they are"),
            Field("uri", .string, "the link: of the account itself, this device and the other verified ones"),
            .optional("qr", .array(.string), "the QR code without its quiet zone: a row each, 1 is dark"),
        ]
    }
}
