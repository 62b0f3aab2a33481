// Requests, their replies, and what to say to a request nobody understands (RFC 6120 §8.2.3, §8.4).

/// Builds and answers `<iq/>` stanzas.
public enum IQ {
    /// A request for information. `to` nil addresses the own account at the server.
    ///
    /// - Parameter id: unguessable, so that nobody can answer in the recipient's place.
    public static func get(_ id: String, to: JID? = nil, _ payload: Element) -> Element {
        Element("iq", in: Namespace.client, ["type": "get", "id": id, "to": to?.description], [payload])
    }

    /// A request to change something. `to` nil addresses the own account at the server.
    ///
    /// - Parameter id: unguessable, so that nobody can answer in the recipient's place.
    public static func set(_ id: String, to: JID? = nil, _ payload: Element) -> Element {
        Element("iq", in: Namespace.client, ["type": "set", "id": id, "to": to?.description], [payload])
    }

    /// The successful reply to a request.
    public static func result(of request: Element, _ payload: Element? = nil) -> Element {
        Element(
            "iq", in: Namespace.client,
            ["type": "result", "id": request["id"], "to": request["from"]], payload.map { [$0] } ?? [])
    }

    /// The reply that refuses a request. The payload is not sent back: it may be large.
    public static func error(of request: Element, _ error: StanzaError) -> Element {
        Element(
            "iq", in: Namespace.client,
            ["type": "error", "id": request["id"], "to": request["from"]], [error.element])
    }

    /// Whether the stanza is a request: one that must be answered, exactly once.
    public static func isRequest(_ stanza: Element) -> Bool {
        stanza.stanzaKind == .iq && (stanza.type == "get" || stanza.type == "set")
    }

    /// The one payload of a request, or what a result carries.
    /// - Throws: `.missing` or `.unexpected` if a request does not hold exactly one child (§8.2.3).
    public static func payload(_ iq: Element) throws(CodecError) -> Element {
        let children = iq.children
        guard let first = children.first else { throw .missing("payload") }
        guard children.count == 1 || !isRequest(iq) else { throw .unexpected("payload") }
        return first
    }

    /// The answer to a request that nothing else has answered.
    ///
    /// - Parameter understood: namespaces for which other requests would have been answered: such a
    ///   request gets `feature-not-implemented`, all others `service-unavailable` (§8.3.3).
    /// - Returns: nil if there must be no answer: never to a result or an error, which would loop, nor to
    ///   what cannot be answered because its `id` is missing or its `from` is no address.
    public static func defaultAnswer(
        to stanza: Element, understanding understood: Set<String> = []
    ) -> Element? {
        guard stanza.stanzaKind == .iq, stanza.id != nil else { return nil }
        if stanza.type == "result" || stanza.type == "error" { return nil }
        if stanza.hasSender && stanza.from == nil { return nil }
        guard isRequest(stanza), let payload = try? payload(stanza) else {
            return error(of: stanza, StanzaError(.badRequest))
        }
        let isNear = understood.contains(payload.namespace)
        return error(of: stanza, StanzaError(isNear ? .featureNotImplemented : .serviceUnavailable))
    }
}
