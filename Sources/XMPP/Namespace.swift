// The XML namespaces of the core protocol; each extension adds its own beside its codec.

/// XML namespace names, as the specifications write them.
public enum Namespace {
    /// Stanzas between client and server (RFC 6120 §4.8.2).
    public static let client = "jabber:client"
    /// The stream element, its features and errors (RFC 6120 §4.8.1).
    public static let streams = "http://etherx.jabber.org/streams"
    /// Error conditions inside a stanza error (RFC 6120 §8.3).
    public static let stanzaErrors = "urn:ietf:params:xml:ns:xmpp-stanzas"
    /// What the prefix `xml` stands for, in every document.
    public static let xml = "http://www.w3.org/XML/1998/namespace"
}
