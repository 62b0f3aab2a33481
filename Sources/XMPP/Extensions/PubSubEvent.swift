// What a node's owner announces (XEP-0060 §7.1.2, §7.2.2, §8.4, §8.5; XEP-0163 §4).

/// A notification from an account's own node.
public struct PubSubEvent: Equatable, Sendable {
    /// What happened to the node.
    public enum Change: Equatable, Sendable {
        /// Items were published, others taken back; both in order.
        case items(published: [PubSubItem], retracted: [String])
        /// All items are gone.
        case purged
        /// The node itself is gone.
        case deleted
        /// The node's settings changed.
        case configured
    }

    /// Whose node it is: the bare JID the message came from.
    public var owner: JID
    /// The node.
    public var node: String
    /// What happened to it.
    public var change: Change

    /// Whether the stanza claims to be a notification; everybody can send one.
    public static func isClaimed(by stanza: Element) -> Bool {
        stanza.stanzaKind == .message && stanza.child("event", in: Namespace.pubsubEvent) != nil
    }

    /// Reads a notification.
    ///
    /// An account's service speaks with the account's bare JID (XEP-0163 §4.3), so a notification says
    /// something about its sender only. Nodes that are private count only where
    /// ``isFromOwnAccount(_:)`` holds.
    ///
    /// - Throws: `.unexpected("from")` if a full JID or nobody sent it: anybody's client can do that.
    public init(_ message: Element) throws(CodecError) {
        guard message.stanzaKind == .message, message.type != "error", message.type != "groupchat" else {
            throw .unexpected(message.name)
        }
        guard let from = message.from, from.isBare else { throw .unexpected("from") }
        let event = try message.onlyChild("event", in: Namespace.pubsubEvent)
        guard let child = event.children.first(where: { $0.namespace == Namespace.pubsubEvent }) else {
            throw .missing("items")
        }
        owner = from
        node = try child.required("node")
        switch child.name {
        case "items":
            change = .items(
                published: child.children("item", in: Namespace.pubsubEvent).map(PubSubItem.init),
                retracted: child.children("retract", in: Namespace.pubsubEvent).compactMap { $0["id"] })
        case "purge": change = .purged
        case "delete": change = .deleted
        case "configuration": change = .configured
        default: throw .unexpected(child.name)
        }
    }

    /// Whether the account itself is the owner, as for bookmarks and other private nodes (XEP-0223).
    public func isFromOwnAccount(_ account: JID) -> Bool { owner == account.bare }
}
