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
        /// Which account.
        public var account: String?

        /// Parameters from their parts.
        public init(
            jid: String, trust: Trust, device: UInt32? = nil, fingerprint: String? = nil,
            account: String? =
                nil
        ) {
            self.jid = jid
            self.trust = trust
            self.device = device
            self.fingerprint = fingerprint
            self.account = account
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("jid", .jid, "bare JID of whose devices they are"),
            Field("trust", .word(Trust.self), "the decision; undecided takes one back"),
            .optional("device", .device, "one device; default: all whose key is known"),
            .optional(
                "fingerprint", .string,
                "identity key, 64 hex digits; spaces and colons between them do not count"
            ),
            .optional("account", .jid, "which account; needed when there are several"),
        ]
    }

    /// What it changed.
    public typealias Result = TrustResult
}
