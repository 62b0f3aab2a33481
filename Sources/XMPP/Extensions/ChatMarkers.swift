// "It has been displayed", said by the recipient (XEP-0333).

extension Namespace {
    /// Displayed markers.
    public static let chatMarkers = "urn:xmpp:chat-markers:0"
}

/// Asking for, giving and reading displayed markers, in conversations between two.
public enum ChatMarkers {
    /// Goes into a message to ask for a marker. The message needs an `id`.
    public static let markable = Element("markable", in: Namespace.chatMarkers)

    /// The id of the message up to which everything was displayed; nil if this is no marker.
    ///
    /// It counts only for messages sent to whom it comes from, and only forward.
    public static func displayed(_ message: Message) -> String? {
        guard message.kind != .error, message.kind != .groupchat else { return nil }
        guard let id = message.payload("displayed", in: Namespace.chatMarkers)?["id"], !id.isEmpty else {
            return nil
        }
        return id
    }

    /// Whether the sender asks to be told. Never true of a marker: two clients would answer each other for
    /// ever. A marker shows that we are there: tell it only to people who may know.
    public static func isMarkable(_ message: Message) -> Bool {
        guard message.kind != .error, message.kind != .groupchat, message.id?.isEmpty == false else {
            return false
        }
        return message.payload("markable", in: Namespace.chatMarkers) != nil
            && message.payload("displayed", in: Namespace.chatMarkers) == nil
    }

    /// The marker for the message with that `id` and, by it, for those before.
    public static func displayed(id: String, to: JID) -> Message {
        let displayed = Element("displayed", in: Namespace.chatMarkers, ["id": id])
        return Message(.chat, to: to, id: nil, payloads: [displayed, ProcessingHint.store.element])
    }
}
