// Messages to and from people (RFC 6121 §5).

/// A `<message/>`: the parts the RFC defines, and everything else as elements.
public struct Message: Equatable, Sendable {
    /// The kinds of message (§5.2.2).
    public enum Kind: String, Sendable, CaseIterable {
        /// Part of a conversation between two.
        case chat
        /// A message that came back.
        case error
        /// From or to a room.
        case groupchat
        /// An announcement that expects no reply.
        case headline
        /// A single message; what an absent or unknown type means.
        case normal
    }

    /// What kind of message it is.
    public var kind: Kind
    /// The sender; absent when sending, and from the own account.
    public var from: JID?
    /// The addressee.
    public var to: JID?
    /// The sender's identifier, if any. Other people choose theirs freely: not unique.
    public var id: String?
    /// The text, if any.
    public var body: String?
    /// The subject, if any. Empty text, which clears a room's subject, is kept.
    public var subject: String?
    /// Groups messages into a conversation, if given.
    public var thread: String?
    /// The other children, in order.
    public var payloads: [Element]

    /// A message to send.
    public init(
        _ kind: Kind = .chat, to: JID?, id: String?, body: String? = nil, thread: String? = nil,
        payloads: [Element] = []
    ) {
        self.kind = kind
        self.to = to
        self.id = id
        self.body = body
        self.thread = thread
        self.payloads = payloads
    }

    /// Reads a message. Of several bodies or subjects, in different languages, the first counts.
    /// - Throws: `.invalid` if an address is malformed; then nothing says whose message it is.
    public init(_ stanza: Element) throws(CodecError) {
        try stanza.expect("message", in: Namespace.client)
        from = stanza.from
        to = stanza.to
        if stanza.hasSender && from == nil { throw .invalid("from") }
        if stanza["to"] != nil && to == nil { throw .invalid("to") }
        kind = stanza.type.flatMap(Kind.init(rawValue:)) ?? .normal
        id = stanza.id
        payloads = []
        for child in stanza.children {
            guard child.namespace == Namespace.client else {
                payloads.append(child)
                continue
            }
            switch child.name {
            case "body": body = body ?? child.text
            case "subject": subject = subject ?? child.text
            case "thread": thread = thread ?? child.text
            default: payloads.append(child)
            }
        }
    }

    /// The stanza.
    public var element: Element {
        var children: [Element] = []
        if let subject { children.append(Element("subject", in: Namespace.client, text: subject)) }
        if let body { children.append(Element("body", in: Namespace.client, text: body)) }
        if let thread { children.append(Element("thread", in: Namespace.client, text: thread)) }
        return Element(
            "message", in: Namespace.client,
            [
                "type": kind == .normal ? nil : kind.rawValue, "id": id, "from": from?.description,
                "to": to?.description,
            ], children + payloads)
    }

    /// The first payload of that name.
    public func payload(_ name: String, in namespace: String) -> Element? {
        payloads.first { $0.is(name, in: namespace) }
    }
}
