// hook.replay: let a hook have events again.

/// `hook.replay`.
public enum HookReplay: Method {
    /// The name on the wire.
    public static let name = "hook.replay"
    /// What it does.
    public static let summary =
        "Run a hook again for one event, or for all it failed at for good, as if for the first time"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [.noSuchHook, .noSuchEvent, .storage, .diskFull]

    /// Which.
    public struct Params: Documented, Equatable {
        /// Name of the hook.
        public var name: String
        /// Number of the event.
        public var number: Int64?

        /// Parameters from their parts.
        public init(name: String, number: Int64? = nil) {
            self.name = name
            self.number = number
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("name", .string, "name of the hook"),
            .optional(
                "number", .count,
                "number of an event that it failed at, or of any in the log; default all that it failed at"),
        ]
    }

    /// How many.
    public struct Result: Documented, Equatable {
        /// How many events it gets again.
        public var count: Int64

        /// A result from its parts.
        public init(count: Int64) { self.count = count }

        /// The members on the wire.
        public static let fields: [Field] = [Field("count", .count, "how many events it gets again")]
    }
}
