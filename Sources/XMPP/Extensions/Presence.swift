// Who is there, and who may know (RFC 6121 §3 and §4).

/// A `<presence/>`: availability, or a step in the subscription handshake.
public struct Presence: Equatable, Sendable {
    /// What the stanza says (§4.7.1).
    public enum Kind: String, Sendable, CaseIterable {
        /// There; written without a type.
        case available
        /// Gone.
        case unavailable
        /// Asks to see the addressee's presence.
        case subscribe
        /// Grants that.
        case subscribed
        /// No longer wants it.
        case unsubscribe
        /// Refuses it or takes it back.
        case unsubscribed
        /// A server's question; never sent by clients.
        case probe
        /// A presence that came back.
        case error
    }

    /// How available (§4.7.2.1); without it, simply available.
    public enum Show: String, Sendable, CaseIterable {
        /// Away for a short time.
        case away
        /// Eager to chat.
        case chat
        /// Do not disturb.
        case dnd
        /// Away for a long time.
        case xa
    }

    /// What the stanza says.
    public var kind: Kind
    /// The sender; absent from what we send.
    public var from: JID?
    /// The addressee; absent for all who may see our presence.
    public var to: JID?
    /// How available.
    public var show: Show?
    /// A sentence for people.
    public var status: String?
    /// Which of an account's resources gets messages to its bare JID; a negative one gets none.
    public var priority: Int8
    /// The other children, in order.
    public var payloads: [Element]

    /// A presence to send.
    public init(
        _ kind: Kind = .available, to: JID? = nil, show: Show? = nil, status: String? = nil,
        priority: Int8 = 0, payloads: [Element] = []
    ) {
        self.kind = kind
        self.to = to
        self.show = show
        self.status = status
        self.priority = priority
        self.payloads = payloads
    }

    /// Reads a presence. An unknown `show` or a priority out of range counts as absent.
    /// - Throws: `.invalid` for an unknown type or a malformed address: to be ignored.
    public init(_ stanza: Element) throws(CodecError) {
        try stanza.expect("presence", in: Namespace.client)
        guard let kind = Kind(rawValue: stanza.type ?? "available"), stanza.type != "available" else {
            throw .invalid("type")
        }
        self.init(kind, to: stanza.to)
        from = stanza.from
        if stanza.hasSender && from == nil { throw .invalid("from") }
        if stanza["to"] != nil && to == nil { throw .invalid("to") }
        for child in stanza.children {
            guard child.namespace == Namespace.client else {
                payloads.append(child)
                continue
            }
            switch child.name {
            case "show": show = Show(rawValue: child.text)
            case "status": status = status ?? child.text
            case "priority": priority = Int8(child.text) ?? 0
            default: payloads.append(child)
            }
        }
    }

    /// The stanza.
    public var element: Element {
        var children: [Element] = []
        if let show { children.append(Element("show", in: Namespace.client, text: show.rawValue)) }
        if let status { children.append(Element("status", in: Namespace.client, text: status)) }
        if priority != 0 {
            children.append(Element("priority", in: Namespace.client, text: String(priority)))
        }
        return Element(
            "presence", in: Namespace.client,
            [
                "type": kind == .available ? nil : kind.rawValue, "from": from?.description,
                "to": to?.description,
            ], children + payloads)
    }
}
