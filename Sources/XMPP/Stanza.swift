// What message, presence and iq have in common (RFC 6120 §8.1).

/// The three kinds of stanza.
public enum StanzaKind: String, Sendable, CaseIterable {
    /// A push from one entity to another.
    case message
    /// An announcement of availability.
    case presence
    /// A request or its reply.
    case iq
}

extension Element {
    /// Which stanza this is; nil for any other element, also for one of that name in another namespace.
    public var stanzaKind: StanzaKind? {
        namespace == Namespace.client ? StanzaKind(rawValue: name) : nil
    }

    /// The sender. Nil when absent **or malformed**: rules that treat an absent `from` as one's own server
    /// must ask ``hasSender`` too.
    public var from: JID? {
        get { self["from"].flatMap { try? JID($0) } }
        set { self["from"] = newValue?.description }
    }

    /// The addressee. Nil when absent or malformed.
    public var to: JID? {
        get { self["to"].flatMap { try? JID($0) } }
        set { self["to"] = newValue?.description }
    }

    /// The `id` attribute.
    public var id: String? {
        get { self["id"] }
        set { self["id"] = newValue }
    }

    /// The `type` attribute, as written.
    public var type: String? {
        get { self["type"] }
        set { self["type"] = newValue }
    }

    /// Whether a `from` attribute is there at all, well-formed or not.
    public var hasSender: Bool { self["from"] != nil }

    /// Whether the account itself speaks: `from` is absent (RFC 6120 §8.1.2.1) or the account's bare JID.
    ///
    /// - Parameter account: the own JID; its resource plays no part.
    public func isFromOwnAccount(_ account: JID) -> Bool {
        guard let from = self["from"] else { return true }
        return (try? JID(from)) == account.bare
    }
}
