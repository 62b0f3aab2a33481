// A chat message as history and events show it.

/// Who sent a message.
public enum Direction: String, Codable, CaseIterable, Sendable {
    /// Somebody else.
    case `in`
    /// This account, here or on another device.
    case out
}

/// How far a message has come.
public enum DeliveryState: String, Codable, CaseIterable, Sendable {
    /// Stored here until a person decides about the contact's devices.
    case held
    /// Stored here, not yet sent.
    case queued
    /// Handed to the network.
    case sent
    /// The server has taken responsibility.
    case server
    /// The contact's device has it.
    case delivered
    /// The contact has seen it.
    case displayed
    /// It will not arrive.
    case failed
    /// It came in.
    case received

    /// How far along the way out, for comparing; nil for `held`, `failed` and `received`.
    public var progress: Int? {
        switch self {
        case .queued: 0
        case .sent: 1
        case .server: 2
        case .delivered: 3
        case .displayed: 4
        case .held, .failed, .received: nil
        }
    }
}

/// How far a device's key is trusted.
public enum Trust: String, Codable, CaseIterable, Sendable {
    /// Not decided; gets nothing.
    case undecided
    /// Trusted at first sight.
    case blind
    /// Compared by a person.
    case verified
    /// Refused by a person.
    case distrusted
}

/// How a message was encrypted, and by whose key.
public struct Encryption: Documented, Equatable {
    /// Namespace of the OMEMO version.
    public var `protocol`: String
    /// The sending device.
    public var device: UInt32?
    /// Its fingerprint.
    public var fingerprint: String?
    /// How far it was trusted when the message came.
    public var trust: Trust?

    /// From its parts.
    public init(protocol: String, device: UInt32? = nil, fingerprint: String? = nil, trust: Trust? = nil) {
        self.protocol = `protocol`
        self.device = device
        self.fingerprint = fingerprint
        self.trust = trust
    }

    /// The members on the wire.
    public static let fields: [Field] = [
        Field(
            "protocol", .string,
            "namespace of the OMEMO version: eu.siacs.conversations.axolotl or urn:xmpp:omemo:2"),
        .optional("device", .device, "the device that encrypted it; absent for our own"),
        .optional("fingerprint", .string, "fingerprint of that device's identity key; absent for our own"),
        .optional("trust", .word(Trust.self), "how far that device was trusted; absent for our own"),
    ]
}

/// A device that cannot read a message of ours.
public struct ExcludedDevice: Documented, Equatable {
    /// Whose it is.
    public var jid: String
    /// OMEMO device id.
    public var device: UInt32
    /// Why.
    public var reason: String

    /// A device from its parts.
    public init(jid: String, device: UInt32, reason: String) {
        self.jid = jid
        self.device = device
        self.reason = reason
    }

    /// The members on the wire.
    public static let fields: [Field] = [
        Field("jid", .jid, "whose device it is"),
        Field("device", .device, "OMEMO device id"),
        Field("reason", .string, "why it was left out"),
    ]
}

/// What is out of the ordinary with a message.
public enum MessageWarning: String, Codable, CaseIterable, Sendable {
    /// It came in clear into a chat that is encrypted.
    case plaintextInEncryptedChat = "plaintext-in-encrypted-chat"
}

/// One chat message.
public struct Message: Documented, Equatable {
    /// Bare JID of our account.
    public var account: String
    /// Bare JID of the chat.
    public var chat: String
    /// Who sent it, bare JID.
    public var from: String
    /// In or out.
    public var direction: Direction
    /// The text.
    public var body: String
    /// nil for plaintext; written as an explicit null.
    public var encryption: Encryption?
    /// imd's id of the message.
    public var id: String
    /// When it was sent, as far as known.
    public var at: Timestamp
    /// Only in history.
    public var state: DeliveryState?
    /// Why it failed; only in history.
    public var reason: String?
    /// The stored row does not match its checksum.
    public var damaged: Bool?
    /// What is out of the ordinary with it.
    public var warning: MessageWarning?
    /// Who cannot read it; only in `message.get`.
    public var excluded: [ExcludedDevice]?
    /// Id of the message that the text, emojis, is a reaction to.
    public var reactsTo: String?

    /// From its parts.
    public init(
        account: String, chat: String, from: String, direction: Direction, body: String,
        encryption: Encryption?,
        id: String, at: Timestamp, state: DeliveryState? = nil, reason: String? = nil, damaged: Bool? = nil,
        warning: MessageWarning? = nil, excluded: [ExcludedDevice]? = nil, reactsTo: String? = nil
    ) {
        self.account = account
        self.chat = chat
        self.from = from
        self.direction = direction
        self.body = body
        self.encryption = encryption
        self.id = id
        self.at = at
        self.state = state
        self.reason = reason
        self.damaged = damaged
        self.warning = warning
        self.excluded = excluded
        self.reactsTo = reactsTo
    }

    enum CodingKeys: String, CodingKey {
        case account, chat, from, direction, body, encryption, id, at, state, reason, damaged, warning,
            excluded, reactsTo
    }

    /// Writes the members in order; `encryption` is null for plaintext, never left out.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(account, forKey: .account)
        try container.encode(chat, forKey: .chat)
        try container.encode(from, forKey: .from)
        try container.encode(direction, forKey: .direction)
        try container.encode(body, forKey: .body)
        try container.encode(encryption, forKey: .encryption)
        try container.encode(id, forKey: .id)
        try container.encode(at, forKey: .at)
        try container.encodeIfPresent(state, forKey: .state)
        try container.encodeIfPresent(reason, forKey: .reason)
        try container.encodeIfPresent(damaged, forKey: .damaged)
        try container.encodeIfPresent(warning, forKey: .warning)
        try container.encodeIfPresent(excluded, forKey: .excluded)
        try container.encodeIfPresent(reactsTo, forKey: .reactsTo)
    }

    /// The members on the wire.
    public static let fields: [Field] = [
        Field("account", .jid, "bare JID of our account"),
        Field("chat", .jid, "bare JID of the chat, which is the contact"),
        Field("from", .jid, "bare JID of who sent it"),
        Field("direction", .word(Direction.self), "whether it came in or went out"),
        Field("body", .string, "the text"),
        Field("encryption", .nullable(.object(Encryption.self)), "how it was encrypted; null for plaintext"),
        Field("id", .string, "id of the message, for message.get"),
        Field("at", .timestamp, "when it was sent, as far as known"),
        .optional("state", .word(DeliveryState.self), "how far it has come; not in events"),
        .optional("reason", .string, "why it failed; not in events"),
        .optional("damaged", .boolean, "true when the stored message does not match its checksum"),
        .optional("warning", .word(MessageWarning.self), "what is out of the ordinary with the message"),
        .optional(
            "excluded", .array(.object(ExcludedDevice.self)),
            "the devices that cannot read a message of ours, and why; only in message.get"),
        .optional(
            "reactsTo", .string,
            "id of the message that the text, emojis, is a reaction to, as it was on the wire"
        ),
    ]
}
