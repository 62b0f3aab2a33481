// Is anybody there? (XEP-0199)

extension Namespace {
    /// Ping.
    public static let ping = "urn:xmpp:ping"
}

/// Asking and answering.
public enum Ping {
    /// The payload of a request of type `get`. Any reply shows that the other side is there, an error too.
    public static let query = Element("ping", in: Namespace.ping)

    /// The answer if the stanza is a ping, else nil.
    public static func answer(to iq: Element) -> Element? {
        guard iq.stanzaKind == .iq, iq.type == "get", iq.id != nil, !iq.hasSender || iq.from != nil,
            let payload = try? IQ.payload(iq), payload.is("ping", in: Namespace.ping)
        else { return nil }
        return IQ.result(of: iq)
    }
}
