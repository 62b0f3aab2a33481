// event.ack: a consumer is done with everything up to a number.

/// `event.ack`.
public enum EventAck: Method {
    /// The name on the wire.
    public static let name = "event.ack"
    /// What it does.
    public static let summary =
        "Acknowledge all events up to a number: they do not come again for this consumer"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [.noSuchConsumer, .storage, .diskFull]

    /// How far.
    public struct Params: Documented, Equatable {
        /// Name of the consumer.
        public var consumer: String
        /// Number of the last event done.
        public var number: Int64

        /// Parameters from their parts.
        public init(consumer: String, number: Int64) {
            self.consumer = consumer
            self.number = number
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("consumer", .string, "name of the consumer"),
            Field(
                "number", .count, "number of the last event that is done; lower than before changes nothing"),
        ]
    }

    /// Nothing.
    public typealias Result = Empty
}
