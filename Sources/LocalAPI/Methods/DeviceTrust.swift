// device.trust: decide how far a device is trusted.

/// `device.trust`.
public enum DeviceTrust: Method {
    /// The name on the wire.
    public static let name = "device.trust"
    /// What it does.
    public static let summary =
        "Decide how far devices of somebody are trusted; messages that waited for that go out or fail"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [
        .badAddress, .unknownAccount, .noAccount, .ambiguousAccount, .noSuchDevice, .storage, .diskFull,
    ]

    /// Which devices, and the decision.
    public struct Params: Documented, Equatable {
        /// Bare JID.
        public var jid: String
        /// The decision.
        public var trust: Trust
        /// Only this device.
        public var device: UInt32?
        /// The identity key, as people compare it.
        public var fingerprint: String?
        /// The keys that the caller saw, when they are several.
        public var fingerprints: [String]?
        /// Which account.
        public var account: String?

        /// Parameters from their parts.
        public init(
            jid: String, trust: Trust, device: UInt32? = nil, fingerprint: String? = nil,
            fingerprints: [String]? = nil, account: String? = nil
        ) {
            self.jid = jid
            self.trust = trust
            self.device = device
            self.fingerprint = fingerprint
            self.fingerprints = fingerprints
            self.account = account
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("jid", .jid, "bare JID of whose devices they are"),
            Field("trust", .word(Trust.self), "the decision; undecided takes one back"),
            .optional(
                "device", .device,
                "one device; without it and a fingerprint: all that are known, which can be distrusted or "
                    + "undecided alone"
            ),
            .optional(
                "fingerprint", .string,
                "identity key, 64 hex digits; spaces and colons between them do not count"
            ),
            .optional(
                "fingerprints", .array(.string),
                "several identity keys, such as those that a person was shown; nothing is decided about others"
            ),
            .optional("account", .jid, "which account; needed when there are several"),
        ]
    }

    /// What it changed.
    public typealias Result = TrustResult

    /// One way to say which devices; a device that nobody named, such as one that came a moment ago, is not trusted.
    public static func validate(_ params: Params) throws(UserError) {
        let ways = [params.device != nil, params.fingerprint != nil, params.fingerprints != nil].count { $0 }
        guard ways <= 1 else {
            throw UserError(
                .invalidParams, "more than one of \"device\", \"fingerprint\" and \"fingerprints\"",
                hint: "name the devices in one of these ways")
        }
        guard params.fingerprints?.isEmpty != true else {
            throw UserError(.invalidParams, "parameter \"fingerprints\" must not be empty")
        }
        guard ways == 1 || params.trust == .distrusted || params.trust == .undecided else {
            throw UserError(
                .invalidParams, "devices that nobody named cannot become \(params.trust.rawValue)",
                hint: "give the fingerprints that device.list shows")
        }
    }
}
