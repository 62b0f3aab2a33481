// account.disconnect: go offline and stay so.

/// `account.disconnect`.
public enum AccountDisconnect: Method {
    /// The name on the wire.
    public static let name = "account.disconnect"
    /// What it does.
    public static let summary = "Take an account offline and keep it so, also after a restart"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [.badAddress, .unknownAccount, .storage]
    /// Which account.
    public typealias Params = AccountParams
    /// How it is doing.
    public typealias Result = AccountStatus
}
