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
    /// Nothing.
    public typealias Result = Empty
}
