// account.list: all accounts.

/// `account.list`.
public enum AccountList: Method {
    /// The name on the wire.
    public static let name = "account.list"
    /// What it does.
    public static let summary = "List the accounts and how they are doing"
    /// What can go wrong.
    public static let errors: [ErrorCode] = []

    /// None.
    public typealias Params = Empty

    /// All accounts.
    public struct Result: Documented, Equatable {
        /// In the order they were added.
        public var accounts: [AccountStatus]

        /// A result from its parts.
        public init(accounts: [AccountStatus]) { self.accounts = accounts }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field(
                "accounts", .array(.object(AccountStatus.self)), "all accounts, in the order they were added")
        ]
    }
}
