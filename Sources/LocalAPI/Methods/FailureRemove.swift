// failure.remove: forget an event that a consumer failed at.

/// `failure.remove`.
public enum FailureRemove: Method {
    /// The name on the wire.
    public static let name = "failure.remove"
    /// What it does.
    public static let summary = "Forget that a consumer failed at an event; it is not tried again"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [.noSuchEvent, .storage, .diskFull]

    /// Which.
    public struct Params: Documented, Equatable {
        /// Name of the consumer.
        public var consumer: String
        /// Number of the event.
        public var number: Int64

        /// Parameters from their parts.
        public init(consumer: String, number: Int64) {
            self.consumer = consumer
            self.number = number
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("consumer", .string, "name of the consumer"),
            Field("number", .count, "number of the event"),
        ]
    }

    /// Nothing.
    public typealias Result = Empty
}
