// The whole stream failed: `<stream:error/>` (RFC 6120 §4.9).

extension Namespace {
    /// Error conditions inside a stream error (RFC 6120 §4.9.2).
    public static let streamErrors = "urn:ietf:params:xml:ns:xmpp-streams"
}

/// A stream error, received or to be sent; the stream ends with it.
public struct StreamError: Error, Equatable, Sendable {
    /// The defined conditions (RFC 6120 §4.9.3); the raw value is the element's name.
    public enum Condition: String, Sendable, CaseIterable {
        case badFormat = "bad-format"
        case badNamespacePrefix = "bad-namespace-prefix"
        case conflict
        case connectionTimeout = "connection-timeout"
        case hostGone = "host-gone"
        case hostUnknown = "host-unknown"
        case improperAddressing = "improper-addressing"
        case internalServerError = "internal-server-error"
        case invalidFrom = "invalid-from"
        case invalidNamespace = "invalid-namespace"
        case invalidXML = "invalid-xml"
        case notAuthorized = "not-authorized"
        case notWellFormed = "not-well-formed"
        case policyViolation = "policy-violation"
        case remoteConnectionFailed = "remote-connection-failed"
        case reset
        case resourceConstraint = "resource-constraint"
        case restrictedXML = "restricted-xml"
        case seeOtherHost = "see-other-host"
        case systemShutdown = "system-shutdown"
        case undefinedCondition = "undefined-condition"
        case unsupportedEncoding = "unsupported-encoding"
        case unsupportedFeature = "unsupported-feature"
        case unsupportedStanzaType = "unsupported-stanza-type"
        case unsupportedVersion = "unsupported-version"
    }

    /// What went wrong, in the RFC's vocabulary; `.undefinedCondition` for a word it does not know.
    public var condition: Condition
    /// The peer's explanation, untrusted text.
    public var text: String?
    /// Where to connect instead, as the server wrote it: only with `.seeOtherHost` (§4.9.3.19).
    public var otherHost: String?
    /// The condition of an extension, if any: an element beside the defined one.
    public var application: Element?

    /// An error to send.
    public init(_ condition: Condition, text: String? = nil, application: Element? = nil) {
        self.condition = condition
        self.text = text
        self.application = application
    }

    /// Reads `<stream:error/>`. Missing and unknown parts get a default: the stream is over either way.
    /// - Throws: `.unexpected` for any other element.
    public init(_ element: Element) throws(CodecError) {
        try element.expect("error", in: Namespace.streams)
        var condition: Condition?
        for child in element.children {
            if child.namespace != Namespace.streamErrors {
                application = application ?? child
            } else if child.name == "text" {
                text = text ?? child.text
            } else if condition == nil, let known = Condition(rawValue: child.name) {
                condition = known
                if known == .seeOtherHost && !child.text.isEmpty { otherHost = child.text }
            }
        }
        self.condition = condition ?? .undefinedCondition
    }

    /// The `<stream:error/>` element.
    public var element: Element {
        let child = Element(
            condition.rawValue, in: Namespace.streamErrors, text: otherHost ?? "")
        var element = Element("error", in: Namespace.streams, [:], [child])
        if let text { element.append(Element("text", in: Namespace.streamErrors, text: text)) }
        if let application { element.append(application) }
        return element
    }
}
