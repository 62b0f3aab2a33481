// message.send: encrypt one message and queue it, once.

/// `message.send`.
public enum MessageSend: Method {
    /// The name on the wire.
    public static let name = "message.send"
    /// What it does.
    public static let summary =
        "Encrypt one chat message to every trusted device of a contact and to our own other devices, and queue it"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [
        .badAddress, .unknownAccount, .noAccount, .ambiguousAccount, .badText, .noSuchMessage,
        .noTrustedDevice,
        .encryptionRequired, .optedOut, .recipientUnknown,
        .notConnected, .conflict, .timeout, .busy, .storage, .diskFull,
    ]

    /// How far to wait.
    public enum Wait: String, Codable, CaseIterable, Sendable {
        /// Stored; it will go out.
        case queued
        /// Written to the connection.
        case sent
        /// The server has it.
        case server
        /// A device of the contact has it.
        case delivered
        /// The contact has seen it.
        case displayed

        /// The state to wait for.
        public var state: DeliveryState {
            switch self {
            case .queued: .queued
            case .sent: .sent
            case .server: .server
            case .delivered: .delivered
            case .displayed: .displayed
            }
        }
    }

    /// The message.
    public struct Params: Documented, Equatable {
        /// Bare JID of the contact.
        public var to: String
        /// The text.
        public var body: String
        /// Which account sends.
        public var account: String?
        /// Idempotency key.
        public var id: String?
        /// How far to wait.
        public var wait: Wait?
        /// How long to wait, in seconds.
        public var timeout: Int?
        /// Send without encryption.
        public var plaintext: Bool?
        /// Id of the message of the chat that the text, emojis, is a reaction to.
        public var reactsTo: String?

        /// Parameters from their parts.
        public init(
            to: String, body: String, account: String? = nil, id: String? = nil, wait: Wait? = nil,
            timeout: Int? = nil, plaintext: Bool? = nil, reactsTo: String? = nil
        ) {
            self.to = to
            self.body = body
            self.account = account
            self.id = id
            self.wait = wait
            self.timeout = timeout
            self.plaintext = plaintext
            self.reactsTo = reactsTo
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("to", .jid, "bare JID of the contact"),
            Field("body", .string, "the text, 1 to 65536 bytes of UTF-8"),
            .optional("account", .jid, "the account that sends; needed when there are several"),
            .optional(
                "id", .string,
                "your own id for the message, 1 to 255 bytes: a second call with it sends nothing and answers alike"
            ),
            .optional(
                "wait", .word(Wait.self),
                "answer when the message has come this far, or has failed; default queued"),
            .optional(
                "timeout", .seconds,
                "how long to wait, in seconds; then the answer tells how far it came; default 30"),
            .optional(
                "plaintext", .boolean,
                "send without encryption, for everyone on the way to read; default false"),
            .optional(
                "reactsTo", .string,
                """
                id of a message of the chat; the text is then emojis, separated by spaces, that are shown at it in place \
                of earlier ones, and may be empty. Encrypted it is for devices with omemo:2 only: the older version \
                carries no reactions. It comes no further than the server
                """),
        ]
    }

    /// A device the message was encrypted to.
    public struct Recipient: Documented, Equatable {
        /// Whose it is.
        public var jid: String
        /// OMEMO device id.
        public var device: UInt32
        /// Fingerprint of its identity key.
        public var fingerprint: String
        /// How far it is trusted.
        public var trust: Trust

        /// A device from its parts.
        public init(jid: String, device: UInt32, fingerprint: String, trust: Trust) {
            self.jid = jid
            self.device = device
            self.fingerprint = fingerprint
            self.trust = trust
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("jid", .jid, "whose device it is"),
            Field("device", .device, "OMEMO device id"),
            Field("fingerprint", .string, "fingerprint of its identity key"),
            Field("trust", .word(Trust.self), "how far it is trusted"),
        ]
    }

    /// A device that cannot read the message.
    public typealias Excluded = ExcludedDevice

    /// What became of it.
    public struct Result: Documented, Equatable {
        /// Id of the message.
        public var id: String
        /// Which account sent.
        public var account: String
        /// Bare JID of the chat.
        public var chat: String
        /// How far it has come.
        public var state: DeliveryState
        /// Why it failed.
        public var reason: String?
        /// How it was encrypted.
        public var encryption: Encryption?
        /// Who can read it.
        public var devices: [Recipient]
        /// Who cannot.
        public var excluded: [ExcludedDevice]
        /// Sent by an earlier call with the same id.
        public var duplicate: Bool
        /// When it was accepted.
        public var at: Timestamp

        /// A result from its parts.
        public init(
            id: String, account: String, chat: String, state: DeliveryState, reason: String? = nil,
            encryption: Encryption? = nil, devices: [Recipient], excluded: [ExcludedDevice], duplicate: Bool,
            at: Timestamp
        ) {
            self.id = id
            self.account = account
            self.chat = chat
            self.state = state
            self.reason = reason
            self.encryption = encryption
            self.devices = devices
            self.excluded = excluded
            self.duplicate = duplicate
            self.at = at
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("id", .string, "id of the message: yours, or a new one"),
            Field("account", .jid, "the account that sends"),
            Field("chat", .jid, "bare JID of the contact"),
            Field("state", .word(DeliveryState.self), "how far it has come"),
            .optional("reason", .string, "why it failed"),
            .optional("encryption", .object(Encryption.self), "how it is encrypted; absent for plaintext"),
            Field("devices", .array(.object(Recipient.self)), "the devices it is encrypted to"),
            Field(
                "excluded", .array(.object(ExcludedDevice.self)), "the devices that cannot read it, and why"),
            Field("duplicate", .boolean, "an earlier call with this id sent it; this one sent nothing"),
            Field("at", .timestamp, "when imd accepted it"),
        ]
    }

    /// A text that XML can carry, within its limit, and an id of sensible length.
    public static func validate(_ params: Params) throws(UserError) {
        if params.reactsTo != nil {
            try validateReaction(params)
        } else if params.body.isEmpty {
            throw UserError(.badText, "the message is empty")
        }
        guard params.body.utf8.count <= maxBodyLength else {
            throw UserError(
                .tooLarge,
                "the message has \(params.body.utf8.count) bytes, more than \(maxBodyLength)",
                hint: "send it in several messages")
        }
        guard params.body.unicodeScalars.allSatisfy(isXMLCharacter) else {
            throw UserError(
                .badText, "the message holds control characters that XMPP cannot carry",
                hint: "only tab, line feed and carriage return are allowed below U+0020")
        }
        if let id = params.id,
            !(1...255).contains(id.utf8.count) || !id.unicodeScalars.allSatisfy(isIDCharacter)
        {
            throw UserError(
                .invalidParams, "parameter \"id\" must be 1 to 255 bytes without control characters")
        }
    }

    private static func validateReaction(_ params: Params) throws(UserError) {
        guard params.reactsTo != "" else {
            throw UserError(.invalidParams, "parameter \"reactsTo\" must not be empty")
        }
        guard Emoji.list(params.body) != nil else {
            throw UserError(
                .badText, "the text is no reaction",
                hint:
                    "a reaction is one emoji, or up to \(Emoji.maxCount) different ones with single spaces between"
            )
        }
        guard params.wait != .delivered, params.wait != .displayed else {
            throw UserError(
                .invalidParams, "parameter \"wait\": nobody says that a reaction has arrived",
                hint: "wait for server at most")
        }
    }

    /// XML 1.0 §2.2, `Char`.
    private static func isXMLCharacter(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09, 0x0a, 0x0d, 0x20...0xd7ff, 0xe000...0xfffd, 0x10000...0x10ffff: true
        default: false
        }
    }

    private static func isIDCharacter(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value >= 0x20 && !TerminalText.isUnsafe(scalar) && isXMLCharacter(scalar)
    }
}
