// Trust and encryption as several methods tell them.

/// Which devices get messages.
public enum Policy: String, Codable, CaseIterable, Sendable {
    /// All that were not refused, until one was verified; then the verified ones.
    case btbv
    /// Those a contact had at first, and the verified ones.
    case tofu
    /// The verified ones alone.
    case verifiedOnly = "verified-only"
    /// All that were not refused.
    case always
}

/// Where a policy was set.
public enum PolicySource: String, Codable, CaseIterable, Sendable {
    /// Nowhere: it is the default.
    case `default`
    /// For the account, by a call.
    case account
    /// For the contact, by a call.
    case contact
    /// In config.toml.
    case configuration
}

/// Who decided about a key.
public enum TrustSource: String, Codable, CaseIterable, Sendable {
    /// The user, here.
    case person
    /// The user on another device, or the contact about his own.
    case trustMessage = "trust-message"
    /// A file.
    case imported
}

/// A version of OMEMO.
public enum DeviceVersion: String, Codable, CaseIterable, Sendable {
    /// eu.siacs.conversations.axolotl
    case legacy
    /// urn:xmpp:omemo:2
    case omemo2
}

/// What a decision about keys changed.
public struct TrustResult: Documented, Equatable {
    /// Whose devices they are.
    public var jid: String
    /// The devices.
    public var devices: [DeviceList.Device]
    /// Others that still get messages.
    public var unverified: [DeviceList.Device]?
    /// How many messages go out now.
    public var released: Int64
    /// How many messages have failed.
    public var cancelled: Int64

    /// A result from its parts.
    public init(
        jid: String, devices: [DeviceList.Device], unverified: [DeviceList.Device]? = nil, released: Int64,
        cancelled: Int64
    ) {
        self.jid = jid
        self.devices = devices
        self.unverified = unverified
        self.released = released
        self.cancelled = cancelled
    }

    /// The members on the wire.
    public static let fields: [Field] = [
        Field("jid", .jid, "whose devices they are"),
        Field("devices", .array(.object(DeviceList.Device.self)), "the devices whose trust is another now"),
        .optional(
            "unverified", .array(.object(DeviceList.Device.self)),
            "after a verification: other devices of the same person that get messages unverified, such as those "
                + "that were trusted blindly before; verify or distrust them"
        ),
        Field("released", .count, "how many messages that waited go out now"),
        Field("cancelled", .count, "how many messages that waited have failed"),
    ]
}

/// A decision about a key.
public struct TrustEntry: Documented, Equatable {
    /// Whose key it is.
    public var jid: String
    /// The identity key.
    public var fingerprint: String
    /// What was decided.
    public var trust: Trust
    /// What its owner calls it.
    public var label: String?

    /// An entry from its parts.
    public init(jid: String, fingerprint: String, trust: Trust, label: String? = nil) {
        self.jid = jid
        self.fingerprint = fingerprint
        self.trust = trust
        self.label = label
    }

    /// The members on the wire.
    public static let fields: [Field] = [
        Field("jid", .jid, "whose key it is"),
        Field("fingerprint", .string, "the identity key, 64 hex digits"),
        Field("trust", .word(Trust.self), "what was decided"),
        .optional("label", .string, "what its owner calls the device, if that is known"),
    ]
}

/// A policy that was set.
public struct PolicyEntry: Documented, Equatable {
    /// The contact.
    public var jid: String?
    /// Which devices get messages.
    public var policy: Policy

    /// An entry from its parts.
    public init(jid: String? = nil, policy: Policy) {
        self.jid = jid
        self.policy = policy
    }

    /// The members on the wire.
    public static let fields: [Field] = [
        .optional("jid", .jid, "the contact; absent for the account as a whole"),
        Field("policy", .word(Policy.self), "which devices get messages"),
    ]
}

/// How a chat stands.
public struct ChatEncryption: Documented, Equatable {
    /// The contact.
    public var jid: String?
    /// Whether plaintext is refused.
    public var required: Bool
    /// Since when it is encrypted.
    public var since: Timestamp?
    /// Which devices get messages.
    public var policy: Policy
    /// Where the policy was set.
    public var policySource: PolicySource
    /// The contact asked for messages in clear.
    public var optedOut: OptedOut?

    /// From its parts.
    public init(
        jid: String? = nil, required: Bool, since: Timestamp? = nil, policy: Policy,
        policySource:
            PolicySource, optedOut: OptedOut? = nil
    ) {
        self.jid = jid
        self.required = required
        self.since = since
        self.policy = policy
        self.policySource = policySource
        self.optedOut = optedOut
    }

    /// The members on the wire.
    public static let fields: [Field] = [
        .optional("jid", .jid, "the contact; absent for the account as a whole"),
        Field("required", .boolean, "whether plaintext is refused in this chat"),
        .optional("since", .timestamp, "since when the chat is encrypted"),
        Field("policy", .word(Policy.self), "which devices get messages"),
        Field("policySource", .word(PolicySource.self), "where that policy was set"),
        .optional(
            "optedOut", .object(OptedOut.self),
            "the contact asked for messages in clear; nothing is sent until encryption.set answers"
        ),
    ]
}

/// A contact's wish for messages in clear.
public struct OptedOut: Documented, Equatable {
    /// Why.
    public var reason: String?
    /// When.
    public var at: Timestamp

    /// From its parts.
    public init(reason: String? = nil, at: Timestamp) {
        self.reason = reason
        self.at = at
    }

    /// The members on the wire.
    public static let fields: [Field] = [
        .optional("reason", .string, "what the contact said for it"),
        Field("at", .timestamp, "when"),
    ]
}
