// The message stanzas imd sends (RFC 6121 §5, XEP-0384 0.3 for the encrypted ones).
import IMCrypto
import OMEMO
import XMPP

enum MessageStanza {
    /// What clients without OMEMO show instead.
    static let fallback = "This message is encrypted with OMEMO, which your client cannot read."

    static func encrypted(_ message: EncryptedMessage, to chat: JID, id: String) -> Element {
        Message(
            to: chat, id: id, body: fallback,
            payloads: [
                message.element, hint, ProcessingHint.store.element, StanzaIDs.originID(id),
                DeliveryReceipts.request, ChatMarkers.markable,
            ]
        ).element
    }

    static func plain(_ body: String, to chat: JID, id: String) -> Element {
        Message(
            to: chat, id: id, body: body,
            payloads: [StanzaIDs.originID(id), DeliveryReceipts.request, ChatMarkers.markable]
        ).element
    }

    /// A message that only moves the ratchet. It is kept for a device that is offline now.
    static func empty(_ message: EncryptedMessage, to jid: JID, id: String) -> Element {
        Message(to: jid, id: id, payloads: [message.element, hint, ProcessingHint.store.element]).element
    }

    private static let hint = MessageEncryption(ProtocolVersion.legacy.rawValue, name: "OMEMO").element
}
