// account.remove: forget an account and all that belongs to it.

/// `account.remove`.
public enum AccountRemove: Method {
    /// The name on the wire.
    public static let name = "account.remove"
    /// What it does.
    public static let summary =
        "Log out and delete the account here with its keys, messages and events; the account on the server stays"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [.badAddress, .unknownAccount, .storage]
    /// Which account.
    public typealias Params = AccountParams

    /// What the server did not take back, in the seconds that it gets for it.
    public struct Result: Documented, Equatable {
        /// The device that is no more.
        public var device: UInt32
        /// Where it may still be listed.
        public var listed: [DeviceVersion]
        /// Where its keys may still be.
        public var keys: [DeviceVersion]

        /// A result from its parts.
        public init(device: UInt32, listed: [DeviceVersion], keys: [DeviceVersion]) {
            self.device = device
            self.listed = listed
            self.keys = keys
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("device", .device, "OMEMO device id that the account had here"),
            Field(
                "listed", .array(.word(DeviceVersion.self)),
                "the device lists that may still have it, as the server did not answer; contacts go on encrypting "
                    + "to it until another device of the account takes it off"
            ),
            Field(
                "keys", .array(.word(DeviceVersion.self)),
                "the versions of OMEMO for which the server may still have its public keys"
            ),
        ]
    }
}
