// Which program is there (XEP-0092).

extension Namespace {
    /// Software version.
    public static let softwareVersion = "jabber:iq:version"
}

/// A program's name and version.
public struct SoftwareVersion: Equatable, Sendable {
    /// The program's name.
    public var name: String
    /// Its version.
    public var version: String
    /// The operating system, if told. imd does not tell: it helps attackers only.
    public var system: String?

    /// The payload of a request of type `get`.
    public static let query = Element("query", in: Namespace.softwareVersion)

    /// What imd tells of itself.
    public init(name: String, version: String) {
        self.name = name
        self.version = version
    }

    /// Reads the answer of another program.
    public init(_ element: Element) throws(CodecError) {
        try element.expect("query", in: Namespace.softwareVersion)
        name = try element.required(child: "name", in: Namespace.softwareVersion).text
        version = try element.required(child: "version", in: Namespace.softwareVersion).text
        system = element.child("os", in: Namespace.softwareVersion)?.text
    }

    /// The payload of the answer.
    public var element: Element {
        var element = Element(
            "query", in: Namespace.softwareVersion, [:],
            [
                Element("name", in: Namespace.softwareVersion, text: name),
                Element("version", in: Namespace.softwareVersion, text: version),
            ])
        if let system { element.append(Element("os", in: Namespace.softwareVersion, text: system)) }
        return element
    }

    /// The answer if the stanza asks for the version and its sender may know, else nil: then the default
    /// answer is due, the same a stranger gets when nobody is there.
    ///
    /// - Parameter mayKnow: whether the sender may see our presence.
    public func answer(to iq: Element, mayKnow: Bool) -> Element? {
        guard mayKnow, iq.stanzaKind == .iq, iq.type == "get", iq.id != nil,
            let payload = try? IQ.payload(iq), payload.is("query", in: Namespace.softwareVersion)
        else { return nil }
        return IQ.result(of: iq, element)
    }
}
