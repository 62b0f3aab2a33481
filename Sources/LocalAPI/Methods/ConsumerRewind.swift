// consumer.rewind: let a consumer have events again.

/// `consumer.rewind`.
public enum ConsumerRewind: Method {
    /// The name on the wire.
    public static let name = "consumer.rewind"
    /// What it does.
    public static let summary =
        "Set the place of a consumer that is not connected, so that it gets events again, or skips them"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [.noSuchConsumer, .conflict, .storage, .diskFull]

    /// Which, and to where.
    public struct Params: Documented, Equatable {
        /// Its name.
        public var name: String
        /// Number of the last event to count as acknowledged.
        public var number: Int64

        /// Parameters from their parts.
        public init(name: String, number: Int64) {
            self.name = name
            self.number = number
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("name", .string, "name of the consumer"),
            Field(
                "number", .count,
                "number of the last event to count as acknowledged: later ones come again, 0 for all that are kept"
            ),
        ]
    }

    /// The consumer as it is now.
    public typealias Result = ConsumerList.Consumer
}
