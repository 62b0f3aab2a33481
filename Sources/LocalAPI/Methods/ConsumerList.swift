// consumer.list: who reads events, and how far they are.

/// `consumer.list`.
public enum ConsumerList: Method {
    /// The name on the wire.
    public static let name = "consumer.list"
    /// What it does.
    public static let summary = "List the durable consumers and how far they are"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [.storage]

    /// None.
    public typealias Params = Empty

    /// One consumer.
    public struct Consumer: Documented, Equatable {
        /// Its name.
        public var name: String
        /// The last event it acknowledged.
        public var acknowledged: Int64
        /// How many events came since.
        public var pending: Int64
        /// When it first subscribed.
        public var createdAt: Timestamp
        /// Subscribed now.
        public var connected: Bool

        /// A consumer from its parts.
        public init(
            name: String, acknowledged: Int64, pending: Int64, createdAt: Timestamp, connected: Bool
        ) {
            self.name = name
            self.acknowledged = acknowledged
            self.pending = pending
            self.createdAt = createdAt
            self.connected = connected
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("name", .string, "its name"),
            Field("acknowledged", .count, "number of the last event it acknowledged"),
            Field("pending", .count, "how many events of any type are newer than that"),
            Field("createdAt", .timestamp, "when it first subscribed"),
            Field("connected", .boolean, "it is subscribed now"),
        ]
    }

    /// The consumers.
    public struct Result: Documented, Equatable {
        /// By name.
        public var consumers: [Consumer]

        /// A result from its parts.
        public init(consumers: [Consumer]) { self.consumers = consumers }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("consumers", .array(.object(Consumer.self)), "the consumers, by name")
        ]
    }
}
