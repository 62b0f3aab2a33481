// rpc.discover: this API describes itself (OpenRPC).

/// `rpc.discover`.
public enum RPCDiscover: Method {
    /// The name on the wire.
    public static let name = "rpc.discover"
    /// What it does.
    public static let summary = "Describe all methods, errors and events as an OpenRPC document"
    /// What can go wrong.
    public static let errors: [ErrorCode] = []

    /// None.
    public typealias Params = Empty

    /// An OpenRPC document.
    public struct Result: Documented, Equatable {
        /// Version of OpenRPC.
        public var openrpc: String
        /// Title and version.
        public var info: JSONValue
        /// One object per method.
        public var methods: [JSONValue]
        /// One schema per type of event.
        public var events: [JSONValue]

        /// A result from its parts.
        public init(openrpc: String, info: JSONValue, methods: [JSONValue], events: [JSONValue]) {
            self.openrpc = openrpc
            self.info = info
            self.methods = methods
            self.events = events
        }

        enum CodingKeys: String, CodingKey {
            case openrpc, info, methods
            case events = "x-events"
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("openrpc", .string, "version of OpenRPC"),
            Field("info", .json, "title and version of the API"),
            Field("methods", .array(.json), "one OpenRPC method object per method"),
            Field("x-events", .array(.json), "the schema of each type of event"),
        ]
    }
}
