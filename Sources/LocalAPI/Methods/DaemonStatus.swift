// daemon.status: is imd alive, and how are its accounts?

/// `daemon.status`.
public enum DaemonStatus: Method {
    /// The name on the wire.
    public static let name = "daemon.status"
    /// What it does.
    public static let summary = "Tell which imd this is and how its accounts are doing"
    /// What can go wrong.
    public static let errors: [ErrorCode] = []

    /// None.
    public typealias Params = Empty

    /// The daemon and its accounts.
    public struct Result: Documented, Equatable {
        /// Version of imd.
        public var version: String
        /// Process id.
        public var pid: Int32
        /// When it started.
        public var startedAt: Timestamp
        /// All accounts.
        public var accounts: [AccountStatus]
        /// Number of the newest event.
        public var lastEvent: Int64
        /// Why nothing can be stored at the moment; nil when all is well.
        public var storage: UserError?

        /// A result from its parts.
        public init(
            version: String, pid: Int32, startedAt: Timestamp, accounts: [AccountStatus], lastEvent: Int64,
            storage: UserError? = nil
        ) {
            self.version = version
            self.pid = pid
            self.startedAt = startedAt
            self.accounts = accounts
            self.lastEvent = lastEvent
            self.storage = storage
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("version", .string, "version of imd"),
            Field("pid", .integer(0...Int64(Int32.max)), "process id of imd"),
            Field("startedAt", .timestamp, "when imd started"),
            Field("accounts", .array(.object(AccountStatus.self)), "all accounts"),
            Field("lastEvent", .count, "number of the newest event, 0 when there is none"),
            .optional(
                "storage", .object(UserError.self), "why nothing can be stored at the moment, if that is so"),
        ]
    }
}
