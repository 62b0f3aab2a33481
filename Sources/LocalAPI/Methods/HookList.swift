// hook.list: the hooks, what each gets, and how far it is.

/// `hook.list`.
public enum HookList: Method {
    /// The name on the wire.
    public static let name = "hook.list"
    /// What it does.
    public static let summary =
        "List the files in the folder of the hooks, after looking at it again: new hooks begin with the next event"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [.storage, .diskFull]

    /// None.
    public typealias Params = Empty

    /// How a hook stands.
    public enum State: String, Codable, CaseIterable, Sendable {
        /// It gets events.
        case active
        /// The configuration says not to.
        case disabled
        /// Its file must not be run.
        case refused
        /// Its file is gone; its place is kept.
        case missing
    }

    /// One hook.
    public struct Hook: Documented, Equatable {
        /// Name of its file.
        public var name: String
        /// How it stands.
        public var state: State
        /// Why it is not run.
        public var reason: String?
        /// The types of events it gets.
        public var types: [String]?
        /// Only of this account.
        public var account: String?
        /// Only of this chat.
        public var chat: String?
        /// Runs at the same time.
        public var parallel: Int?
        /// Seconds a run may take.
        public var timeout: Int?
        /// Runs for one event.
        public var attempts: Int?
        /// Runs now.
        public var running: Int64
        /// The last event it is done with.
        public var acknowledged: Int64?
        /// How many events came since.
        public var pending: Int64?
        /// Events that will be tried again.
        public var waiting: Int64
        /// Events that will not.
        public var failed: Int64

        /// A hook that nothing is known of but its name.
        public init(name: String, state: State, reason: String?) {
            self.name = name
            self.state = state
            self.reason = reason
            (running, waiting, failed) = (0, 0, 0)
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("name", .string, "name of its file"),
            Field("state", .word(State.self), "how it stands"),
            .optional("reason", .string, "why it is not run"),
            .optional("types", .array(.string), "the types of events it gets"),
            .optional("account", .jid, "it gets events of this account only"),
            .optional("chat", .jid, "it gets events of this chat only"),
            .optional("parallel", .integer(1...8), "how many runs there may be at the same time"),
            .optional("timeout", .integer(1...3600), "how many seconds a run may take"),
            .optional("attempts", .integer(1...100), "how many runs there are for one event at most"),
            Field("running", .count, "how many runs there are now"),
            .optional("acknowledged", .count, "number of the last event it is done with"),
            .optional("pending", .count, "how many events of any type are newer than that"),
            Field("waiting", .count, "how many events it failed at and will get again"),
            Field("failed", .count, "how many events it failed at for good; see failure.list"),
        ]
    }

    /// The hooks.
    public struct Result: Documented, Equatable {
        /// By name; those whose file is gone last.
        public var hooks: [Hook]

        /// A result from its parts.
        public init(hooks: [Hook]) { self.hooks = hooks }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("hooks", .array(.object(Hook.self)), "the hooks, by name; those whose file is gone last")
        ]
    }
}
