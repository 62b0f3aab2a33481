// What each type of event tells beside its number, account and time.

/// The types of events.
public enum EventType: String, Codable, CaseIterable, Sendable {
    /// A message came, or went out elsewhere.
    case message
    /// A message we sent has come further.
    case state
    /// A contact's presence changed.
    case presence
    /// Somebody asks for, gives or takes back a subscription.
    case subscription
    /// The roster changed.
    case contact
    /// A device appeared, vanished or changed its key.
    case device
    /// The connection of an account changed.
    case account
    /// A message came that cannot be read.
    case undecryptable
    /// Something else went wrong.
    case error
    /// Something that was sent to us could not be taken in.
    case gap
    /// Events were dropped before the consumer acknowledged them.
    case overflow
    /// Something about the encryption of a chat needs a look.
    case security
}

/// A message we sent has come further.
public struct StateDetail: Documented, Equatable {
    /// Bare JID of the chat.
    public var chat: String
    /// Id of the message.
    public var id: String
    /// How far it is now.
    public var state: DeliveryState
    /// Why it failed.
    public var reason: String?
    /// Who cannot read it.
    public var excluded: [ExcludedDevice]?

    /// From its parts.
    public init(
        chat: String, id: String, state: DeliveryState, reason: String? = nil,
        excluded: [ExcludedDevice]? = nil
    ) {
        self.chat = chat
        self.id = id
        self.state = state
        self.reason = reason
        self.excluded = excluded
    }

    /// The members on the wire.
    public static let fields: [Field] = [
        Field("chat", .jid, "bare JID of the chat"),
        Field("id", .string, "id of the message"),
        Field("state", .word(DeliveryState.self), "how far the message is now"),
        .optional("reason", .string, "why it failed"),
        .optional(
            "excluded", .array(.object(ExcludedDevice.self)),
            "the devices that cannot read it, and why; of a message that waits or failed"),
    ]
}

/// A contact's presence changed.
public struct PresenceDetail: Documented, Equatable {
    /// Bare JID.
    public var from: String
    /// What it shows.
    public var show: Show
    /// The text beside it.
    public var status: String?
    /// What it showed before.
    public var was: Show?

    /// From its parts.
    public init(from: String, show: Show, status: String? = nil, was: Show? = nil) {
        self.from = from
        self.show = show
        self.status = status
        self.was = was
    }

    /// The members on the wire.
    public static let fields: [Field] = [
        Field("from", .jid, "bare JID of the contact"),
        Field(
            "show", .word(Show.self),
            "what the contact shows now: of several clients the one with the highest priority"),
        .optional("status", .string, "the text it shows with it"),
        .optional("was", .word(Show.self), "what it showed before"),
    ]
}

/// Somebody asks for, gives or takes back a subscription.
public struct SubscriptionDetail: Documented, Equatable {
    /// What happened.
    public enum Kind: String, Codable, CaseIterable, Sendable {
        /// Asks to see our presence; `contact.approve` answers.
        case request
        /// Lets us see theirs.
        case approved
        /// Does not let us see theirs any more, or refused.
        case denied
        /// Does not want to see ours any more.
        case cancelled
    }

    /// Bare JID.
    public var from: String
    /// What happened.
    public var kind: Kind

    /// From its parts.
    public init(from: String, kind: Kind) {
        self.from = from
        self.kind = kind
    }

    /// The members on the wire.
    public static let fields: [Field] = [
        Field("from", .jid, "bare JID of the other side"),
        Field(
            "kind", .word(Kind.self),
            "request: asks to see our presence; approved or denied: an answer to us; cancelled: no longer sees ours"
        ),
    ]
}

/// The roster changed.
public struct ContactDetail: Documented, Equatable {
    /// What happened.
    public enum Change: String, Codable, CaseIterable, Sendable {
        /// New.
        case added
        /// Name, groups or subscription changed.
        case changed
        /// Gone.
        case removed
    }

    /// Bare JID.
    public var jid: String
    /// Who sees whose presence.
    public var subscription: Subscription
    /// What happened.
    public var change: Change

    /// From its parts.
    public init(jid: String, subscription: Subscription, change: Change) {
        self.jid = jid
        self.subscription = subscription
        self.change = change
    }

    /// The members on the wire.
    public static let fields: [Field] = [
        Field("jid", .jid, "bare JID of the contact"),
        Field("subscription", .word(Subscription.self), "who sees whose presence now"),
        Field("change", .word(Change.self), "what happened to the contact"),
    ]
}

/// A device appeared, vanished or changed its key.
public struct DeviceDetail: Documented, Equatable {
    /// What happened.
    public enum Change: String, Codable, CaseIterable, Sendable {
        /// New on the device list.
        case added
        /// Gone from the device list.
        case removed
        /// Another identity key than before: nothing is sent to it until a person decides.
        case keyChanged = "key-changed"
        /// Its key is known now and nobody decided about it: messages leave it out.
        case trustNeeded = "trust-needed"
        /// Somebody decided about its key.
        case trustChanged = "trust-changed"
        /// Its session did not work and has been replaced.
        case sessionRenewed = "session-renewed"
    }

    /// Whose.
    public var jid: String
    /// OMEMO device id.
    public var device: UInt32
    /// Fingerprint, if known.
    public var fingerprint: String?
    /// How far it is trusted, if decided.
    public var trust: Trust?
    /// What happened.
    public var change: Change
    /// What its owner calls it.
    public var label: String?
    /// Who decided.
    public var source: TrustSource?

    /// From its parts.
    public init(
        jid: String, device: UInt32, fingerprint: String? = nil, trust: Trust? = nil, change: Change,
        label: String? = nil, source: TrustSource? = nil
    ) {
        self.jid = jid
        self.device = device
        self.fingerprint = fingerprint
        self.trust = trust
        self.change = change
        self.label = label
        self.source = source
    }

    /// The members on the wire.
    public static let fields: [Field] = [
        Field("jid", .jid, "whose device it is"),
        Field("device", .device, "OMEMO device id"),
        .optional("fingerprint", .string, "fingerprint of its identity key, if known"),
        .optional("trust", .word(Trust.self), "how far it is trusted, if that is decided"),
        Field("change", .word(Change.self), "what happened to the device"),
        .optional("label", .string, "what its owner calls it, if its key signed that"),
        .optional("source", .word(TrustSource.self), "who decided, for trust-changed"),
    ]
}

/// The connection of an account changed.
public struct AccountDetail: Documented, Equatable {
    /// Where it stands now.
    public var state: AccountState
    /// Why.
    public var reason: UserError?

    /// From its parts.
    public init(state: AccountState, reason: UserError? = nil) {
        self.state = state
        self.reason = reason
    }

    /// The members on the wire.
    public static let fields: [Field] = [
        Field("state", .word(AccountState.self), "where the connection stands now"),
        .optional("reason", .object(UserError.self), "why it is not online, when it should be"),
    ]
}

/// A message came that cannot be read.
public struct UndecryptableDetail: Documented, Equatable {
    /// Bare JID of the chat.
    public var chat: String
    /// Who sent it.
    public var from: String
    /// With which device.
    public var device: UInt32?
    /// Why.
    public var reason: String

    /// From its parts.
    public init(chat: String, from: String, device: UInt32? = nil, reason: String) {
        self.chat = chat
        self.from = from
        self.device = device
        self.reason = reason
    }

    /// The members on the wire.
    public static let fields: [Field] = [
        Field("chat", .jid, "bare JID of the chat"),
        Field("from", .jid, "bare JID of who sent it"),
        .optional("device", .device, "the device that sent it, if known"),
        Field("reason", .string, "why it cannot be read"),
    ]
}

/// Something that was sent to us could not be taken in.
public struct GapDetail: Documented, Equatable {
    /// Why not.
    public enum Reason: String, Codable, CaseIterable, Sendable {
        /// Beyond the limits of what imd reads.
        case tooLarge = "too-large"
        /// What is stored here and needed for it does not match its checksum.
        case damaged
        /// The server no longer keeps the archive from where we had read it.
        case archiveExpired = "archive-expired"
        /// Not what the protocol wants.
        case malformed
    }

    /// Why.
    public var reason: Reason
    /// Bare JID of the chat, if known.
    public var chat: String?
    /// Archive id, if known.
    public var id: String?

    /// From its parts.
    public init(reason: Reason, chat: String? = nil, id: String? = nil) {
        self.reason = reason
        self.chat = chat
        self.id = id
    }

    /// The members on the wire.
    public static let fields: [Field] = [
        Field(
            "reason", .word(Reason.self),
            """
            why: beyond the limits of imd, something stored here that it needs is damaged, the server no longer has \
            what came while we were away, or it breaks the protocol
            """),
        .optional("chat", .jid, "bare JID of the chat, if known"),
        .optional("id", .string, "its id in the archive of the server, if known"),
    ]
}

/// Events were dropped before the consumer acknowledged them.
public struct OverflowDetail: Documented, Equatable {
    /// The last event before those that are missing.
    public var after: Int64
    /// The last of those that are missing; the number of the event itself.
    public var through: Int64

    /// From its parts.
    public init(after: Int64, through: Int64) {
        self.after = after
        self.through = through
    }

    /// The members on the wire.
    public static let fields: [Field] = [
        Field("after", .count, "number of the last event before those that were dropped"),
        Field(
            "through", .count,
            "number of the last event that was dropped, which is also the number of this one"),
    ]
}

/// Something about the encryption of a chat needs a look.
public struct SecurityDetail: Documented, Equatable {
    /// What happened.
    public enum Kind: String, Codable, CaseIterable, Sendable {
        /// A message came in clear into a chat that is encrypted.
        case plaintext
        /// The contact asks for messages in clear: nothing is sent until `encryption.set` answers.
        case optOut = "opt-out"
        /// The device lists of a contact had devices and have none any more.
        case devicesGone = "devices-gone"
        /// Another client took this device off the account's own list; it has been put back.
        case listDamaged = "list-damaged"
        /// A device list names more devices than imd writes to: results of messages name those left out.
        case tooManyDevices = "too-many-devices"
    }

    /// What happened.
    public var kind: Kind
    /// Bare JID of the chat, or of the account itself.
    public var chat: String
    /// Id of the message, where it is about one.
    public var id: String?
    /// What the contact said for it.
    public var reason: String?

    /// From its parts.
    public init(kind: Kind, chat: String, id: String? = nil, reason: String? = nil) {
        self.kind = kind
        self.chat = chat
        self.id = id
        self.reason = reason
    }

    /// The members on the wire.
    public static let fields: [Field] = [
        Field(
            "kind", .word(Kind.self),
            """
            what happened: a message came in clear into an encrypted chat, the contact asks for messages in clear, all \
            of its devices are gone from its lists, this device had been taken off the list of the account, or a list \
            names more devices than imd writes to
            """),
        Field("chat", .jid, "bare JID of the chat, or of the account itself"),
        .optional("id", .string, "id of the message, where it is about one"),
        .optional("reason", .string, "what the contact said for it"),
    ]
}
