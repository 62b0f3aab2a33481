// "It has arrived", said by the recipient's client (XEP-0184).

extension Namespace {
    /// Delivery receipts.
    public static let receipts = "urn:xmpp:receipts"
}

/// Asking for, giving and reading receipts.
public enum DeliveryReceipts {
    /// Goes into a message to ask for a receipt. The message needs an `id`, and must not be a receipt
    /// itself (§5.3).
    public static let request = Element("request", in: Namespace.receipts)

    /// The id of the message that this one acknowledges; nil if it is no receipt.
    public static func received(_ message: Message) -> String? {
        guard message.kind != .error, message.kind != .groupchat else { return nil }
        guard let id = message.payload("received", in: Namespace.receipts)?["id"], !id.isEmpty else {
            return nil
        }
        return id
    }

    /// The receipt for a message, if one is due.
    ///
    /// Due is it only for a message that came live (never out of an archive or as a carbon), has an id and
    /// asks, outside rooms (§5.3), and is not a receipt itself.
    ///
    /// - Parameters:
    ///   - account: the own JID: own messages are never acknowledged.
    ///   - mayKnow: whether the sender may see our presence: a receipt gives it away (§8).
    public static func answer(to message: Message, account: JID, mayKnow: Bool) -> Message? {
        guard mayKnow, message.kind != .error, message.kind != .groupchat,
            let id = message.id, !id.isEmpty, let from = message.from, from.bare != account.bare,
            message.payload("request", in: Namespace.receipts) != nil,
            message.payload("received", in: Namespace.receipts) == nil
        else { return nil }
        let received = Element("received", in: Namespace.receipts, ["id": id])
        return Message(
            message.kind, to: from, id: nil, payloads: [received, ProcessingHint.store.element])
    }
}
