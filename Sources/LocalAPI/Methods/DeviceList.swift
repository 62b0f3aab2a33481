// device.list: the OMEMO devices of a contact or of our own account.

/// `device.list`.
public enum DeviceList: Method {
    /// The name on the wire.
    public static let name = "device.list"
    /// What it does.
    public static let summary =
        "List the OMEMO devices of a contact or of our own account, as they are known here"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [
        .badAddress, .unknownAccount, .noAccount, .ambiguousAccount, .storage,
    ]

    /// Whose.
    public struct Params: Documented, Equatable {
        /// Bare JID; nil for our own account.
        public var jid: String?
        /// Which account.
        public var account: String?

        /// Parameters from their parts.
        public init(jid: String? = nil, account: String? = nil) {
            self.jid = jid
            self.account = account
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            .optional("jid", .jid, "bare JID of the contact; default the account itself"),
            .optional("account", .jid, "which account; needed when there are several"),
        ]
    }

    /// One device.
    public struct Device: Documented, Equatable {
        /// OMEMO device id.
        public var device: UInt32
        /// Fingerprint, once its keys were fetched.
        public var fingerprint: String?
        /// How far it is trusted.
        public var trust: Trust
        /// On the published device list.
        public var active: Bool
        /// This imd.
        public var own: Bool
        /// When it was first seen here.
        public var firstSeenAt: Timestamp
        /// When it last sent something readable.
        public var lastReceivedAt: Timestamp?
        /// On which lists it is.
        public var versions: [DeviceVersion]
        /// Whether messages go to it.
        public var receives: Bool
        /// What its owner calls it.
        public var label: String?

        /// A device from its parts.
        public init(
            device: UInt32, fingerprint: String?, trust: Trust, active: Bool, own: Bool,
            firstSeenAt: Timestamp, lastReceivedAt: Timestamp? = nil, versions: [DeviceVersion],
            receives: Bool, label: String? = nil
        ) {
            self.device = device
            self.fingerprint = fingerprint
            self.trust = trust
            self.active = active
            self.own = own
            self.firstSeenAt = firstSeenAt
            self.lastReceivedAt = lastReceivedAt
            self.versions = versions
            self.receives = receives
            self.label = label
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("device", .device, "OMEMO device id"),
            .optional("fingerprint", .string, "fingerprint of its identity key, once that was fetched"),
            Field(
                "trust", .word(Trust.self), "how far it is trusted; see policy"
            ),
            Field("active", .boolean, "it is on the published device list"),
            Field("own", .boolean, "it is this imd"),
            Field("firstSeenAt", .timestamp, "when it was first seen here"),
            .optional("lastReceivedAt", .timestamp, "when it last sent something that could be read"),
            Field("versions", .array(.word(DeviceVersion.self)), "the versions of OMEMO it is listed for"),
            Field("receives", .boolean, "messages are encrypted to it"),
            .optional("label", .string, "what its owner calls it, if its key signed that"),
        ]
    }

    /// The devices.
    public struct Result: Documented, Equatable {
        /// Whose they are.
        public var jid: String
        /// All known ones.
        public var devices: [Device]
        /// Which of them get messages.
        public var policy: Policy

        /// A result from its parts.
        public init(jid: String, devices: [Device], policy: Policy) {
            self.jid = jid
            self.devices = devices
            self.policy = policy
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("jid", .jid, "whose devices they are"),
            Field("devices", .array(.object(Device.self)), "all devices known here"),
            Field("policy", .word(Policy.self), "which of them get messages"),
        ]
    }
}
