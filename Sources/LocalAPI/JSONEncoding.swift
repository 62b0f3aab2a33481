// Codable types into a JSON tree, members in the order the type writes them.

extension JSONValue {
    /// Encodes a type of this module; nil members are left out.
    ///
    /// - Throws: `EncodingError` for a number that JSON cannot carry.
    public init(encoding value: some Encodable) throws {
        let node = EncodingNode()
        try node.encode(value, [])
        self = node.resolved
    }
}

/// A place in the tree that an encoder fills; a class because containers outlive the call that made them.
final class EncodingNode {
    enum Content {
        case value(JSONValue)
        case object([(key: String, node: EncodingNode)])
        case array([EncodingNode])
    }

    var content = Content.value(.null)

    init() {}
    init(_ value: JSONValue) { content = .value(value) }

    var resolved: JSONValue {
        switch content {
        case .value(let value): value
        case .object(let members): .object(members.map { .init($0.key, $0.node.resolved) })
        case .array(let elements): .array(elements.map(\.resolved))
        }
    }

    func encode(_ value: some Encodable, _ path: [any CodingKey]) throws {
        if let value = value as? JSONValue {
            content = .value(value)
        } else {
            try value.encode(to: ValueEncoder(node: self, codingPath: path))
        }
    }

    func set(_ key: String, _ node: EncodingNode) {
        guard case .object(var members) = content else { return }
        content = .value(.null)
        members.append((key, node))
        content = .object(members)
    }

    func append(_ node: EncodingNode) {
        guard case .array(var elements) = content else { return }
        content = .value(.null)
        elements.append(node)
        content = .array(elements)
    }
}

/// An `Encoder` into one place of the tree.
struct ValueEncoder: Encoder {
    let node: EncodingNode
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        if case .object = node.content {} else { node.content = .object([]) }
        return KeyedEncodingContainer(KeyedPlaces(node: node, codingPath: codingPath))
    }
    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        node.content = .array([])
        return UnkeyedPlaces(node: node, codingPath: codingPath)
    }
    func singleValueContainer() -> any SingleValueEncodingContainer {
        SinglePlace(node: node, codingPath: codingPath)
    }
}

private func finite(_ value: Double, _ path: [any CodingKey]) throws -> JSONValue {
    guard value.isFinite else {
        throw EncodingError.invalidValue(value, .init(codingPath: path, debugDescription: "not finite"))
    }
    return .number(value)
}

private func whole<T: FixedWidthInteger>(_ value: T) -> JSONValue {
    Int64(exactly: value).map { .integer($0) } ?? .number(Double(value))
}

private struct KeyedPlaces<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let node: EncodingNode
    let codingPath: [any CodingKey]

    private func put(_ value: JSONValue, _ key: Key) { node.set(key.stringValue, EncodingNode(value)) }
    private func place(_ key: Key) -> ValueEncoder {
        let child = EncodingNode()
        node.set(key.stringValue, child)
        return ValueEncoder(node: child, codingPath: codingPath + [key])
    }

    mutating func encodeNil(forKey key: Key) { put(.null, key) }
    mutating func encode(_ value: Bool, forKey key: Key) { put(.bool(value), key) }
    mutating func encode(_ value: String, forKey key: Key) { put(.string(value), key) }
    mutating func encode(_ value: Double, forKey key: Key) throws { put(try finite(value, codingPath), key) }
    mutating func encode(_ value: Float, forKey key: Key) throws {
        put(try finite(Double(value), codingPath), key)
    }
    mutating func encode(_ value: Int, forKey key: Key) { put(whole(value), key) }
    mutating func encode(_ value: Int8, forKey key: Key) { put(whole(value), key) }
    mutating func encode(_ value: Int16, forKey key: Key) { put(whole(value), key) }
    mutating func encode(_ value: Int32, forKey key: Key) { put(whole(value), key) }
    mutating func encode(_ value: Int64, forKey key: Key) { put(whole(value), key) }
    mutating func encode(_ value: UInt, forKey key: Key) { put(whole(value), key) }
    mutating func encode(_ value: UInt8, forKey key: Key) { put(whole(value), key) }
    mutating func encode(_ value: UInt16, forKey key: Key) { put(whole(value), key) }
    mutating func encode(_ value: UInt32, forKey key: Key) { put(whole(value), key) }
    mutating func encode(_ value: UInt64, forKey key: Key) { put(whole(value), key) }
    mutating func encode<T: Encodable>(_ value: T, forKey key: Key) throws {
        let place = place(key)
        try place.node.encode(value, place.codingPath)
    }

    mutating func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> {
        place(key).container(keyedBy: type)
    }
    mutating func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        place(key).unkeyedContainer()
    }
    mutating func superEncoder() -> any Encoder { ValueEncoder(node: node, codingPath: codingPath) }
    mutating func superEncoder(forKey key: Key) -> any Encoder { place(key) }
}

private struct UnkeyedPlaces: UnkeyedEncodingContainer {
    let node: EncodingNode
    let codingPath: [any CodingKey]

    var count: Int {
        guard case .array(let elements) = node.content else { return 0 }
        return elements.count
    }

    private func put(_ value: JSONValue) { node.append(EncodingNode(value)) }
    private func place() -> ValueEncoder {
        let child = EncodingNode()
        node.append(child)
        return ValueEncoder(node: child, codingPath: codingPath)
    }

    mutating func encodeNil() { put(.null) }
    mutating func encode(_ value: Bool) { put(.bool(value)) }
    mutating func encode(_ value: String) { put(.string(value)) }
    mutating func encode(_ value: Double) throws { put(try finite(value, codingPath)) }
    mutating func encode(_ value: Float) throws { put(try finite(Double(value), codingPath)) }
    mutating func encode(_ value: Int) { put(whole(value)) }
    mutating func encode(_ value: Int8) { put(whole(value)) }
    mutating func encode(_ value: Int16) { put(whole(value)) }
    mutating func encode(_ value: Int32) { put(whole(value)) }
    mutating func encode(_ value: Int64) { put(whole(value)) }
    mutating func encode(_ value: UInt) { put(whole(value)) }
    mutating func encode(_ value: UInt8) { put(whole(value)) }
    mutating func encode(_ value: UInt16) { put(whole(value)) }
    mutating func encode(_ value: UInt32) { put(whole(value)) }
    mutating func encode(_ value: UInt64) { put(whole(value)) }
    mutating func encode<T: Encodable>(_ value: T) throws { try place().node.encode(value, codingPath) }

    mutating func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type
    ) -> KeyedEncodingContainer<Nested> {
        place().container(keyedBy: type)
    }
    mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { place().unkeyedContainer() }
    mutating func superEncoder() -> any Encoder { place() }
}

private struct SinglePlace: SingleValueEncodingContainer {
    let node: EncodingNode
    let codingPath: [any CodingKey]

    private func put(_ value: JSONValue) { node.content = .value(value) }

    mutating func encodeNil() { put(.null) }
    mutating func encode(_ value: Bool) { put(.bool(value)) }
    mutating func encode(_ value: String) { put(.string(value)) }
    mutating func encode(_ value: Double) throws { put(try finite(value, codingPath)) }
    mutating func encode(_ value: Float) throws { put(try finite(Double(value), codingPath)) }
    mutating func encode(_ value: Int) { put(whole(value)) }
    mutating func encode(_ value: Int8) { put(whole(value)) }
    mutating func encode(_ value: Int16) { put(whole(value)) }
    mutating func encode(_ value: Int32) { put(whole(value)) }
    mutating func encode(_ value: Int64) { put(whole(value)) }
    mutating func encode(_ value: UInt) { put(whole(value)) }
    mutating func encode(_ value: UInt8) { put(whole(value)) }
    mutating func encode(_ value: UInt16) { put(whole(value)) }
    mutating func encode(_ value: UInt32) { put(whole(value)) }
    mutating func encode(_ value: UInt64) { put(whole(value)) }
    mutating func encode<T: Encodable>(_ value: T) throws { try node.encode(value, codingPath) }
}
