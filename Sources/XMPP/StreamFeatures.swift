// What a server offers at one point of the negotiation (RFC 6120 §4.3.2).

extension Namespace {
    /// STARTTLS (RFC 6120 §5).
    public static let tls = "urn:ietf:params:xml:ns:xmpp-tls"
    /// SASL (RFC 6120 §6).
    public static let sasl = "urn:ietf:params:xml:ns:xmpp-sasl"
    /// Resource binding (RFC 6120 §7).
    public static let bind = "urn:ietf:params:xml:ns:xmpp-bind"
    /// Session establishment (RFC 3921 §3), since then a no-op.
    public static let session = "urn:ietf:params:xml:ns:xmpp-session"
    /// Stream management (XEP-0198).
    public static let streamManagement = "urn:xmpp:sm:3"
}

/// `<stream:features/>`.
public struct StreamFeatures: Equatable, Sendable {
    /// Features beyond this number are an attack, not an offer.
    public static let maxCount = 100
    /// The same for mechanisms, and for channel-binding types.
    public static let maxMechanisms = 64

    /// As received.
    public let element: Element

    /// Checks the element and its limits.
    /// - Throws: `.unexpected` for another element, `.invalid` beyond the limits.
    public init(_ element: Element) throws(CodecError) {
        try element.expect("features", in: Namespace.streams)
        self.element = element
        guard element.nodes.count <= Self.maxCount else { throw .invalid("features") }
        guard mechanisms.count <= Self.maxMechanisms else { throw .invalid("mechanisms") }
        guard (channelBindingTypes ?? []).count <= Self.maxMechanisms else {
            throw .invalid("sasl-channel-binding")
        }
    }

    /// Whether the server offers that feature.
    public func contains(_ name: String, in namespace: String) -> Bool {
        element.child(name, in: namespace) != nil
    }

    /// The SASL mechanisms, as named by the server.
    public var mechanisms: [String] {
        element.child("mechanisms", in: Namespace.sasl)?
            .children("mechanism", in: Namespace.sasl).map(\.text) ?? []
    }

    /// The channel-binding types announced by XEP-0440; nil without an announcement.
    ///
    /// An empty announcement, which XEP-0440 forbids, counts as none.
    public var channelBindingTypes: [String]? {
        let types = element.child("sasl-channel-binding", in: Namespace.channelBindings)?
            .children("channel-binding", in: Namespace.channelBindings).compactMap { $0["type"] }
        return types?.isEmpty == true ? nil : types
    }

    /// Whether a session must be established although nothing happens by it.
    var requiresSession: Bool {
        guard let session = element.child("session", in: Namespace.session) else { return false }
        return session.child("optional", in: Namespace.session) == nil
    }
}
