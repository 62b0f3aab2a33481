// consumer.remove: forget a consumer and its place.

/// `consumer.remove`.
public enum ConsumerRemove: Method {
    /// The name on the wire.
    public static let name = "consumer.remove"
    /// What it does.
    public static let summary = "Forget a consumer and its place; events stay"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [.noSuchConsumer, .storage]

    /// Which.
    public struct Params: Documented, Equatable {
        /// Its name.
        public var name: String

        /// Parameters from their parts.
        public init(name: String) { self.name = name }

        /// The members on the wire.
        public static let fields: [Field] = [Field("name", .string, "name of the consumer")]
    }

    /// Nothing.
    public typealias Result = Empty
}
