// failure.add: a consumer says that it could not handle an event.

/// `failure.add`.
public enum FailureAdd: Method {
    /// The name on the wire.
    public static let name = "failure.add"
    /// What it does.
    public static let summary =
        "Keep an event that a consumer failed at, with what it says, until failure.remove; acknowledges nothing"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [.noSuchConsumer, .noSuchEvent, .storage, .diskFull]

    /// The longest reason, in bytes of UTF-8.
    public static let maxReasonLength = 4096

    /// Which, and why.
    public struct Params: Documented, Equatable {
        /// Name of the consumer.
        public var consumer: String
        /// Number of the event.
        public var number: Int64
        /// How often it was tried.
        public var attempts: Int64
        /// Why it failed.
        public var reason: String

        /// Parameters from their parts.
        public init(consumer: String, number: Int64, attempts: Int64, reason: String) {
            self.consumer = consumer
            self.number = number
            self.attempts = attempts
            self.reason = reason
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("consumer", .string, "name of the consumer"),
            Field("number", .count, "number of the event; a second call for it replaces what the first said"),
            Field("attempts", .count, "how often it was tried"),
            Field("reason", .string, "why it failed, at most \(maxReasonLength) bytes"),
        ]
    }

    /// Nothing.
    public typealias Result = Empty

    /// A reason is short.
    public static func validate(_ params: Params) throws(UserError) {
        guard params.reason.utf8.count <= maxReasonLength else {
            throw UserError(.tooLarge, "the reason is longer than \(maxReasonLength) bytes")
        }
    }
}
