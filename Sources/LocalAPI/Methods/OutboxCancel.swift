// outbox.cancel: take back a message that has not left yet.

/// `outbox.cancel`.
public enum OutboxCancel: Method {
    /// The name on the wire.
    public static let name = "outbox.cancel"
    /// What it does.
    public static let summary =
        "Take back a message that is still queued: it fails with the reason cancelled; one that has left cannot be recalled"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [
        .badAddress, .unknownAccount, .noAccount, .ambiguousAccount, .noSuchMessage, .conflict, .storage,
        .diskFull,
    ]

    /// Which message.
    public typealias Params = MessageGet.Params

    /// The message as it is now.
    public typealias Result = Message
}
