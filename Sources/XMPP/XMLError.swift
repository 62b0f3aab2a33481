// Why a stream's XML was refused.

/// The stream's bytes are not XML, or XML that XMPP forbids or that is too large. The stream must be closed.
public enum XMLError: Error, Equatable, Sendable {
    /// XML that RFC 6120 §11.1 forbids.
    public enum Restricted: String, Sendable {
        /// `<!-- … -->`
        case comment
        /// `<? … ?>`, also an XML declaration anywhere but at the start.
        case processingInstruction = "processing instruction"
        /// `<!DOCTYPE … >` or another declaration.
        case declaration = "markup declaration"
    }

    /// What there was too much of.
    public enum Limit: String, Sendable {
        /// Bytes since the last complete stanza.
        case stanzaBytes = "stanza size"
        /// Elements inside each other.
        case depth
        /// Attributes of one element, namespace declarations included.
        case attributes
        /// Elements of one stanza.
        case elements
        /// Different names in one stream: the parser keeps each for the stream's life.
        case names
    }

    /// Not well-formed, including bad UTF-8, unbound prefixes and undeclared entities.
    case notWellFormed(String)
    /// Well-formed but forbidden.
    case restricted(Restricted)
    /// Larger than the parser's limits.
    case limit(Limit)
    /// Characters other than white space between stanzas.
    case textBetweenStanzas
    /// The document is not a stream: its root is not `stream` in the streams namespace.
    case notAStream

    /// The stream error condition to close with (RFC 6120 §4.9.3).
    public var condition: String {
        switch self {
        case .notWellFormed: "not-well-formed"
        case .restricted: "restricted-xml"
        case .limit: "policy-violation"
        case .textBetweenStanzas: "bad-format"
        case .notAStream: "invalid-namespace"
        }
    }
}
