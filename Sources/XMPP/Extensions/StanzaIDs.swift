// Names of messages that others must keep (XEP-0359).

extension Namespace {
    /// Unique and stable stanza ids; also the feature of an entity that sets them properly.
    public static let stanzaIDs = "urn:xmpp:sid:0"
}

/// The sender's own id, and those that archives assign.
public enum StanzaIDs {
    /// Goes into a message that we send; the same value as its `id`, which rooms may change.
    public static func originID(_ id: String) -> Element {
        Element("origin-id", in: Namespace.stanzaIDs, ["id": id])
    }

    /// The id that the sender gave, nil if there is none or more than one. It proves nothing: anybody can
    /// write any.
    public static func originID(of message: Element) -> String? {
        let found = message.children("origin-id", in: Namespace.stanzaIDs)
        guard found.count == 1, let id = found[0]["id"], !id.isEmpty else { return nil }
        return id
    }

    /// The id that an archive assigned to a message.
    ///
    /// - Parameters:
    ///   - archive: the own bare JID, or the room the message came from. Ids by others mean nothing.
    ///   - isAnnounced: whether the archive announces `urn:xmpp:sid:0`: then it removes forged ids, else
    ///     none can be trusted (§5).
    /// - Returns: nil unless exactly one id is by that archive.
    public static func stanzaID(of message: Element, by archive: JID, isAnnounced: Bool) -> String? {
        guard isAnnounced else { return nil }
        var found: String?
        for child in message.children("stanza-id", in: Namespace.stanzaIDs) {
            guard let by = child["by"].flatMap({ try? JID($0) }), by == archive else { continue }
            guard found == nil, let id = child["id"], !id.isEmpty else { return nil }
            found = id
        }
        return found
    }
}
