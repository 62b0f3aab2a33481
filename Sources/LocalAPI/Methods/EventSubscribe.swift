// event.subscribe: events on this connection, from a consumer's place, a number, or now.

/// `event.subscribe`.
public enum EventSubscribe: Method {
    /// The name on the wire.
    public static let name = "event.subscribe"
    /// What it does.
    public static let summary =
        "Send events on this connection, in order, as event notifications; event.caughtUp follows the last old one"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [.badAddress, .unknownAccount, .conflict, .storage]

    /// Where a consumer that is new begins.
    public enum Begin: String, Codable, CaseIterable, Sendable {
        /// With the oldest event that is kept.
        case oldest
        /// With what comes from now on.
        case newest
    }

    /// From where, and which.
    public struct Params: Documented, Equatable {
        /// Name of a durable consumer.
        public var consumer: String?
        /// Number after which to start.
        public var since: Int64?
        /// Only these types.
        public var types: [String]?
        /// Only this account.
        public var account: String?
        /// Only this chat.
        public var chat: String?
        /// How many may be unacknowledged.
        public var window: Int?
        /// Where a new consumer begins.
        public var begin: Begin?

        /// Parameters from their parts.
        public init(
            consumer: String? = nil, since: Int64? = nil, types: [String]? = nil, account: String? = nil,
            chat: String? = nil, window: Int? = nil, begin: Begin? = nil
        ) {
            self.consumer = consumer
            self.since = since
            self.types = types
            self.account = account
            self.chat = chat
            self.window = window
            self.begin = begin
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            .optional(
                "consumer", .string,
                """
                name of a durable consumer: it goes on after the last event it acknowledged; a new name makes one \
                that begins with the oldest event
                """),
            .optional(
                "since", .count,
                "start after the event with this number, 0 for all; without since and consumer: only new ones"
            ),
            .optional("types", .array(.word(EventType.self)), "only events of these types; default all"),
            .optional("account", .jid, "only events of this account"),
            .optional("chat", .jid, "only events of this chat"),
            .optional(
                "window", .integer(1...10_000),
                "how many events a consumer may have unacknowledged before imd waits; default 100"),
            .optional(
                "begin", .word(Begin.self),
                "where a consumer that is new begins: with the oldest event, or after the newest; default oldest"
            ),
        ]
    }

    /// Where it starts.
    public struct Result: Documented, Equatable {
        /// The consumer.
        public var consumer: String?
        /// Events after this number follow.
        public var after: Int64
        /// Number of the newest event.
        public var last: Int64

        /// A result from its parts.
        public init(consumer: String?, after: Int64, last: Int64) {
            self.consumer = consumer
            self.after = after
            self.last = last
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            .optional("consumer", .string, "name of the consumer, if one was named"),
            Field("after", .count, "events with higher numbers follow"),
            Field("last", .count, "number of the newest event now"),
        ]
    }

    /// A consumer's name is a word, and it has its own place.
    public static func validate(_ params: Params) throws(UserError) {
        if let consumer = params.consumer {
            try ConsumerName.check(consumer)
            guard params.since == nil else {
                throw UserError(.invalidParams, "\"since\" and \"consumer\" exclude each other")
            }
        } else if params.begin != nil {
            throw UserError(.invalidParams, "\"begin\" is for a consumer")
        }
    }
}

/// What consumers may be called.
public enum ConsumerName {
    /// - Throws: `.invalidParams` unless `name` is 1 to 64 letters, digits, `.`, `_` or `-`.
    public static func check(_ name: String) throws(UserError) {
        let isWord = name.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f: true
            default: false
            }
        }
        guard (1...64).contains(name.utf8.count), isWord else {
            throw UserError(
                .invalidParams, "\(quoted(name)) is not a consumer name",
                hint: "use 1 to 64 letters, digits, dots, underscores or hyphens")
        }
    }
}
