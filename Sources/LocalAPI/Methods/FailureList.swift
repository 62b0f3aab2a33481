// failure.list: the events that consumers could not handle.

/// `failure.list`.
public enum FailureList: Method {
    /// The name on the wire.
    public static let name = "failure.list"
    /// What it does.
    public static let summary =
        "List the events that hooks, bots and other consumers failed at, also those that will be tried again"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [.noSuchConsumer, .storage]

    /// The most failures one answer holds.
    public static let maxLimit = 1000

    /// Which.
    public struct Params: Documented, Equatable {
        /// Only of this consumer.
        public var consumer: String?
        /// How many at most, 1 to `maxLimit`.
        public var limit: Int?

        /// Parameters from their parts.
        public init(consumer: String? = nil, limit: Int? = nil) {
            self.consumer = consumer
            self.limit = limit
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            .optional("consumer", .string, "only of this consumer; default all"),
            .optional("limit", .integer(1...Int64(maxLimit)), "how many at most; default 100"),
        ]
    }

    /// An event that its consumer failed at.
    public struct Failure: Documented, Equatable {
        /// Name of the consumer.
        public var consumer: String
        /// Number of the event.
        public var number: Int64
        /// How often it was tried.
        public var attempts: Int64
        /// Why it failed.
        public var reason: String
        /// When it failed the last time.
        public var at: Timestamp
        /// When it is tried again by itself.
        public var retryAt: Timestamp?
        /// The event.
        public var event: JSONValue

        /// A failure from its parts.
        public init(
            consumer: String, number: Int64, attempts: Int64, reason: String, at: Timestamp,
            retryAt: Timestamp?, event: JSONValue
        ) {
            self.consumer = consumer
            self.number = number
            self.attempts = attempts
            self.reason = reason
            self.at = at
            self.retryAt = retryAt
            self.event = event
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("consumer", .string, "name of the consumer"),
            Field("number", .count, "number of the event"),
            Field("attempts", .count, "how often it was tried"),
            Field("reason", .string, "why it failed the last time"),
            Field("at", .timestamp, "when that was"),
            .optional("retryAt", .timestamp, "when it is tried again by itself; absent if it is not"),
            Field("event", .json, "the event as subscribers get it, kept also when the log has dropped it"),
        ]
    }

    /// The failures.
    public struct Result: Documented, Equatable {
        /// By consumer, in the order of the events.
        public var failures: [Failure]

        /// A result from its parts.
        public init(failures: [Failure]) { self.failures = failures }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field(
                "failures", .array(.object(Failure.self)),
                "the failures, by consumer and in the order of the events")
        ]
    }
}
