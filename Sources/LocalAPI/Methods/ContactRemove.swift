// contact.remove: take somebody off the roster.

/// `contact.remove`.
public enum ContactRemove: Method {
    /// The name on the wire.
    public static let name = "contact.remove"
    /// What it does.
    public static let summary = "Remove a contact and end the subscriptions both ways; messages stay"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [
        .badAddress, .unknownAccount, .noAccount, .ambiguousAccount, .noSuchContact, .notConnected, .timeout,
    ]
    /// Whom.
    public typealias Params = ContactParams
    /// Nothing.
    public typealias Result = Empty
}
