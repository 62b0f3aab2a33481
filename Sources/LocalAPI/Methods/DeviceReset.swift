// device.reset: start new sessions.

/// `device.reset`.
public enum DeviceReset: Method {
    /// The name on the wire.
    public static let name = "device.reset"
    /// What it does.
    public static let summary =
        "Start new sessions with devices of somebody, where messages cannot be read on one side"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [
        .badAddress, .unknownAccount, .noAccount, .ambiguousAccount, .noSuchDevice, .notConnected, .timeout,
        .storage, .diskFull,
    ]

    /// Which devices.
    public struct Params: Documented, Equatable {
        /// Bare JID.
        public var jid: String
        /// Only this device.
        public var device: UInt32?
        /// Forget their keys.
        public var forget: Bool?
        /// Which account.
        public var account: String?

        /// Parameters from their parts.
        public init(jid: String, device: UInt32? = nil, forget: Bool? = nil, account: String? = nil) {
            self.jid = jid
            self.device = device
            self.forget = forget
            self.account = account
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("jid", .jid, "bare JID of whose devices they are"),
            .optional("device", .device, "one device; default: all on the lists"),
            .optional("forget", .boolean, "forget their keys too, also one that has changed; default false"),
            .optional("account", .jid, "which account; needed when there are several"),
        ]
    }

    /// The devices.
    public struct Result: Documented, Equatable {
        /// Those with a new session.
        public var devices: [UInt32]

        /// A result from its parts.
        public init(devices: [UInt32]) {
            self.devices = devices
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("devices", .array(.device), "the devices that have a new session")
        ]
    }
}
