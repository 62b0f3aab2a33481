// What a type on the wire must say about its members: key, JSON type, one sentence.

/// A type that travels over the socket as a JSON object and describes each of its members.
public protocol Documented: Codable, Sendable {
    /// Every key the type can write, in the order of the documentation.
    static var fields: [Field] { get }
}

/// One member of a documented object.
public struct Field: Sendable {
    /// The JSON key, lowerCamelCase.
    public var key: String
    /// The JSON type and its bounds.
    public var type: FieldType
    /// The member may be left out.
    public var isOptional: Bool
    /// One sentence, lower case, no full stop.
    public var sentence: String

    /// A member that is always there.
    public init(_ key: String, _ type: FieldType, _ sentence: String) {
        self.init(key: key, type: type, isOptional: false, sentence: sentence)
    }

    /// A member that may be left out.
    public static func optional(_ key: String, _ type: FieldType, _ sentence: String) -> Field {
        Field(key: key, type: type, isOptional: true, sentence: sentence)
    }

    private init(key: String, type: FieldType, isOptional: Bool, sentence: String) {
        self.key = key
        self.type = type
        self.isOptional = isOptional
        self.sentence = sentence
    }
}

/// The JSON type of a member.
public indirect enum FieldType: Sendable {
    /// Any text.
    case string
    /// A bare JID.
    case jid
    /// RFC 3339 in UTC.
    case timestamp
    /// A whole number within bounds.
    case integer(ClosedRange<Int64>)
    /// `true` or `false`.
    case boolean
    /// One of the words listed.
    case word([String])
    /// A list of one type.
    case array(FieldType)
    /// An object of a documented type.
    case object(any Documented.Type)
    /// The type, or an explicit `null`.
    case nullable(FieldType)
    /// Any JSON value.
    case json

    /// One of an enumeration's raw values.
    public static func word<T: CaseIterable & RawRepresentable<String>>(_: T.Type) -> FieldType {
        .word(T.allCases.map(\.rawValue))
    }

    /// A number of events, messages or the like.
    public static let count = FieldType.integer(0...Int64.max)
    /// An OMEMO device id.
    public static let device = FieldType.integer(0...Int64(UInt32.max))
    /// A time limit in seconds.
    public static let seconds = FieldType.integer(0...86_400)

    /// "string", "integer", … for the manual.
    public var name: String {
        switch self {
        case .string: "string"
        case .jid: "JID"
        case .timestamp: "time"
        case .integer: "integer"
        case .boolean: "boolean"
        case .word: "word"
        case .array(let element): "array of \(element.name)"
        case .object: "object"
        case .nullable(let type): "\(type.name) or null"
        case .json: "any JSON"
        }
    }

    /// The type as JSON Schema.
    public var schema: JSONValue {
        switch self {
        case .string: ["type": "string"]
        case .jid: ["type": "string", "format": "jid"]
        case .timestamp: ["type": "string", "format": "date-time"]
        case .integer(let range):
            ["type": "integer", "minimum": .integer(range.lowerBound), "maximum": .integer(range.upperBound)]
        case .boolean: ["type": "boolean"]
        case .word(let words): ["type": "string", "enum": .array(words.map { .string($0) })]
        case .array(let element): ["type": "array", "items": element.schema]
        case .object(let type): type.schema
        case .nullable(let type): ["oneOf": [type.schema, ["type": "null"]]]
        case .json: [:]
        }
    }
}

extension Documented {
    /// The type as JSON Schema. Members may be added later, so unknown ones are to be ignored.
    public static var schema: JSONValue {
        let properties = fields.map { field -> JSONValue.Member in
            guard case .object(let members) = field.type.schema else { return .init(field.key, [:]) }
            return .init(field.key, .object(members + [.init("description", .string(field.sentence))]))
        }
        let required = fields.filter { !$0.isOptional }.map { JSONValue.string($0.key) }
        return ["type": "object", "properties": .object(properties), "required": .array(required)]
    }
}

/// Nothing: the parameters of a method that needs none, or the answer of one that has nothing to say.
public struct Empty: Documented, Equatable {
    /// Nothing.
    public init() {}
    /// None.
    public static let fields: [Field] = []
}
