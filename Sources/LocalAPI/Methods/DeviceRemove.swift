// device.remove: take an old device of ours off the lists.

/// `device.remove`.
public enum DeviceRemove: Method {
    /// The name on the wire.
    public static let name = "device.remove"
    /// What it does.
    public static let summary =
        "Take another device of the account off its device lists: nobody writes to it any more"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [
        .badAddress, .unknownAccount, .noAccount, .ambiguousAccount, .noSuchDevice, .notConnected, .denied,
        .notSupported, .timeout, .storage,
    ]

    /// Which device.
    public struct Params: Documented, Equatable {
        /// The device.
        public var device: UInt32
        /// Which account.
        public var account: String?

        /// Parameters from their parts.
        public init(device: UInt32, account: String? = nil) {
            self.device = device
            self.account = account
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("device", .device, "OMEMO device id; not of this imd"),
            .optional("account", .jid, "which account; needed when there are several"),
        ]
    }

    /// Nothing.
    public typealias Result = Empty
}
