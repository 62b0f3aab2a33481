// hook.test: run a hook once and see what it does.

/// `hook.test`.
public enum HookTest: Method {
    /// The name on the wire.
    public static let name = "hook.test"
    /// What it does.
    public static let summary =
        "Run a hook once, with a sample message or a given event, and tell what it printed; nothing is kept of it"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [
        .noSuchHook, .noSuchEvent, .configuration, .busy, .storage, .diskFull,
    ]

    /// Which, and with what.
    public struct Params: Documented, Equatable {
        /// Name of the hook.
        public var name: String
        /// An event.
        public var event: JSONValue?
        /// Number of an event.
        public var number: Int64?

        /// Parameters from their parts.
        public init(name: String, event: JSONValue? = nil, number: Int64? = nil) {
            self.name = name
            self.event = event
            self.number = number
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("name", .string, "name of the hook"),
            .optional("event", .json, "an object to give to it as the event; default a sample message"),
            .optional("number", .count, "number of an event of the log to give to it instead"),
        ]
    }

    /// What the run came to.
    public struct Result: Documented, Equatable {
        /// Its exit status.
        public var status: Int64?
        /// How long it took.
        public var milliseconds: Int64
        /// What it printed.
        public var output: String
        /// What it printed to standard error.
        public var errors: String
        /// Why the event would not be done.
        public var failure: String?

        /// A result from its parts.
        public init(
            status: Int64? = nil, milliseconds: Int64, output: String, errors: String, failure: String?
        ) {
            self.status = status
            self.milliseconds = milliseconds
            self.output = output
            self.errors = errors
            self.failure = failure
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            .optional("status", .count, "its exit status; absent if it did not exit by itself"),
            Field("milliseconds", .count, "how long it took"),
            Field("output", .string, "the beginning of what it printed"),
            Field("errors", .string, "the end of what it printed to standard error"),
            .optional("failure", .string, "why the event would be tried again; absent if it would be done"),
        ]
    }

    /// An event is an object, and there is one of it.
    public static func validate(_ params: Params) throws(UserError) {
        guard let event = params.event else { return }
        guard params.number == nil else {
            throw UserError(.invalidParams, "\"event\" and \"number\" exclude each other")
        }
        guard case .object = event else {
            throw UserError(.invalidParams, "\"event\" must be an object, not \(event.kind)")
        }
    }

    /// What a hook is tested with.
    public static let sample: JSONValue = [
        "number": .integer(0), "type": "message", "account": "you@example.org", "chat": "alice@example.org",
        "from": "alice@example.org", "direction": "in", "body": "This is a test of a hook: <b>&amp; $(true)",
        "encryption": .null, "id": "test", "at": "2026-01-01T00:00:00.000Z",
    ]
}
