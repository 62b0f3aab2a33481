// account.connect: go online, now and after every start.

/// `account.connect`.
public enum AccountConnect: Method {
    /// The name on the wire.
    public static let name = "account.connect"
    /// What it does.
    public static let summary =
        "Bring an account online and keep it so, also after a restart; answers at once, usually with connecting"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [.badAddress, .unknownAccount, .storage]
    /// Which account.
    public typealias Params = AccountParams
    /// How it is doing.
    public typealias Result = AccountStatus
}
