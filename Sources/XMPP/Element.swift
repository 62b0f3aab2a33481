// A parsed XML element: a value to read, build and compare.

/// One XML element with its attributes and content; namespaces are resolved, prefixes forgotten.
public struct Element: Equatable, Sendable {
    /// One attribute. Namespace declarations are not attributes here.
    public struct Attribute: Equatable, Sendable {
        /// The local name.
        public var name: String
        /// Nil for the ordinary case, an attribute written without prefix.
        public var namespace: String?
        /// The value with all references resolved.
        public var value: String

        /// An attribute; `namespace` only for those written with a prefix, such as `xml:lang`.
        public init(_ name: String, namespace: String? = nil, _ value: String) {
            self.name = name
            self.namespace = namespace
            self.value = value
        }
    }

    /// One piece of content, in document order.
    public enum Node: Equatable, Sendable {
        /// A child element.
        case element(Element)
        /// Character data. A parser never yields two in a row, nor an empty one.
        case text(String)
    }

    /// The local name.
    public var name: String
    /// The namespace name; empty for none.
    public var namespace: String
    /// In document order.
    public var attributes: [Attribute]
    /// Child elements and text, in document order.
    public var nodes: [Node]

    /// An element with children; attributes whose value is nil are left out.
    public init(
        _ name: String, in namespace: String, _ attributes: KeyValuePairs<String, String?> = [:],
        _ children: [Element] = []
    ) {
        self.init(name, in: namespace, list: Self.list(attributes), nodes: children.map { .element($0) })
    }

    /// An element that holds text; attributes whose value is nil are left out, as is empty text.
    public init(
        _ name: String, in namespace: String, _ attributes: KeyValuePairs<String, String?> = [:],
        text: String
    ) {
        self.init(
            name, in: namespace, list: Self.list(attributes), nodes: text.isEmpty ? [] : [.text(text)])
    }

    init(_ name: String, in namespace: String, list: [Attribute], nodes: [Node]) {
        self.name = name
        self.namespace = namespace
        self.attributes = list
        self.nodes = nodes
    }

    private static func list(_ pairs: KeyValuePairs<String, String?>) -> [Attribute] {
        if pairs.isEmpty { return [] }
        var list: [Attribute] = []
        list.reserveCapacity(pairs.count)
        for (name, value) in pairs {
            if let value { list.append(Attribute(name, value)) }
        }
        return list
    }

    /// The value of an attribute without namespace. Setting nil removes it.
    public subscript(_ attribute: String) -> String? {
        get {
            for candidate in attributes where candidate.namespace == nil && candidate.name == attribute {
                return candidate.value
            }
            return nil
        }
        set {
            let index = attributes.firstIndex { $0.namespace == nil && $0.name == attribute }
            switch (index, newValue) {
            case (let index?, let value?): attributes[index].value = value
            case (let index?, nil): attributes.remove(at: index)
            case (nil, let value?): attributes.append(Attribute(attribute, value))
            case (nil, nil): break
            }
        }
    }

    /// The value of `xml:lang`, if the element has one of its own.
    public var language: String? {
        attributes.first { $0.name == "lang" && $0.namespace == Namespace.xml }?.value
    }
}

// MARK: Content

extension Element {
    /// The child elements, without the text between them.
    public var children: [Element] {
        nodes.compactMap { if case .element(let child) = $0 { child } else { nil } }
    }

    /// The first child element of that name.
    public func child(_ name: String, in namespace: String) -> Element? {
        for case .element(let child) in nodes where child.is(name, in: namespace) { return child }
        return nil
    }

    /// Every child element of that name, in order.
    public func children(_ name: String, in namespace: String) -> [Element] {
        var found: [Element] = []
        for case .element(let child) in nodes where child.is(name, in: namespace) { found.append(child) }
        return found
    }

    /// The only child element of that name.
    /// - Throws: `.missing` without any, `.unexpected` with more than one.
    public func onlyChild(_ name: String, in namespace: String) throws(CodecError) -> Element {
        var found: Element?
        for case .element(let child) in nodes where child.is(name, in: namespace) {
            if found != nil { throw .unexpected(name) }
            found = child
        }
        guard let found else { throw .missing(name) }
        return found
    }

    /// The element's own text, without that of its children.
    public var text: String {
        if nodes.count == 1, case .text(let only) = nodes[0] { return only }
        var text = ""
        for case .text(let piece) in nodes { text += piece }
        return text
    }

    /// Adds a child element at the end.
    public mutating func append(_ child: Element) {
        nodes.append(.element(child))
    }

    /// Adds text at the end; joins text that is already there.
    public mutating func append(text: String) {
        if text.isEmpty { return }
        if case .text(let before)? = nodes.last {
            nodes[nodes.count - 1] = .text(before + text)
        } else {
            nodes.append(.text(text))
        }
    }
}

// MARK: Reading what a specification promises

extension Element {
    /// Whether the element has that name and namespace.
    public func `is`(_ name: String, in namespace: String) -> Bool {
        self.name == name && self.namespace == namespace
    }

    /// - Throws: `.unexpected` unless the element has that name and namespace.
    public func expect(_ name: String, in namespace: String) throws(CodecError) {
        guard self.is(name, in: namespace) else { throw .unexpected(self.name) }
    }

    /// The value of an attribute that must be there.
    public func required(_ attribute: String) throws(CodecError) -> String {
        guard let value = self[attribute] else { throw .missing(attribute) }
        return value
    }

    /// An integer attribute that must be there, in decimal digits, in the range of its type.
    public func required<Number: FixedWidthInteger>(_ attribute: String) throws(CodecError) -> Number {
        guard let value = self[attribute] else { throw .missing(attribute) }
        guard let number = Number(value) else { throw .invalid(attribute) }
        return number
    }

    /// An integer attribute that may be absent, but not malformed.
    public func optional<Number: FixedWidthInteger>(_ attribute: String) throws(CodecError) -> Number? {
        guard let value = self[attribute] else { return nil }
        guard let number = Number(value) else { throw .invalid(attribute) }
        return number
    }

    /// A boolean attribute (`true`, `false`, `1`, `0`), false when absent.
    public func flag(_ attribute: String) throws(CodecError) -> Bool {
        switch self[attribute] {
        case nil, "false", "0": false
        case "true", "1": true
        default: throw .invalid(attribute)
        }
    }

    /// A child that must be there.
    public func required(child name: String, in namespace: String) throws(CodecError) -> Element {
        guard let child = child(name, in: namespace) else { throw .missing(name) }
        return child
    }
}
