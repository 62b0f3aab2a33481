// Emojis that stand at somebody's message (XEP-0444).

extension Namespace {
    /// Message reactions.
    public static let reactions = "urn:xmpp:reactions:0"
}

/// All reactions of one person to one message: they replace those that were sent before.
public struct Reactions: Equatable, Sendable {
    /// Id of the message: that of its stanza, which an `origin-id` repeats (§4.2).
    public var id: String
    /// None twice; an empty list takes back what was there.
    public var emojis: [String]

    /// Reactions from their parts.
    public init(to id: String, _ emojis: [String]) {
        self.id = id
        self.emojis = emojis
    }

    /// The payload of a message.
    public var element: Element {
        Element(
            "reactions", in: Namespace.reactions, ["id": id],
            emojis.map { Element("reaction", in: Namespace.reactions, text: $0) })
    }
}
