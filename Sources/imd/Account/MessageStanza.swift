// The message stanzas imd sends (RFC 6121 §5, XEP-0384; in omemo:2 with an envelope by XEP-0420).
import IMCrypto
import OMEMO
import Store
import XMPP

enum MessageStanza {
    /// What clients without OMEMO show instead.
    static let fallback = "This message is encrypted with OMEMO, which your client cannot read."

    /// Legacy clients expect a body to fall back to and requests in clear. In omemo:2 those are in the envelope, and
    /// a body would be shown by clients that got the same text in the legacy version.
    static func encrypted(_ message: EncryptedMessage, to chat: JID, id: String) -> Element {
        let payloads = [
            message.element, hint(message.version), ProcessingHint.store.element, StanzaIDs.originID(id),
        ]
        return switch message.version {
        case .legacy: Message(to: chat, id: id, body: fallback, payloads: payloads + requests).element
        case .omemo2: Message(to: chat, id: id, payloads: payloads).element
        }
    }

    /// What is encrypted for a text.
    static func payload(
        _ body: String, _ version: ProtocolVersion, from own: JID, to chat: JID,
        using random: inout some RandomNumberGenerator
    ) -> Bytes {
        switch version {
        case .legacy: Array(body.utf8)
        case .omemo2:
            StanzaContent(
                content: [Element("body", in: Namespace.client, text: body)] + requests, from: own, to: chat
            ).serialized(using: &random)
        }
    }

    static func plain(_ body: String, to chat: JID, id: String) -> Element {
        Message(to: chat, id: id, body: body, payloads: [StanzaIDs.originID(id)] + requests).element
    }

    /// Reactions in an envelope: the legacy version has none, and would carry them in clear.
    static func payload(
        _ reactions: Reactions, from own: JID, to chat: JID, using random: inout some RandomNumberGenerator
    ) -> Bytes {
        StanzaContent(content: [reactions.element], from: own, to: chat).serialized(using: &random)
    }

    static func plain(_ reactions: Reactions, to chat: JID, id: String) -> Element {
        let payloads = [reactions.element, ProcessingHint.store.element, StanzaIDs.originID(id)]
        return Message(to: chat, id: id, payloads: payloads).element
    }

    /// A message without text: it moves the ratchet, or carries what only clients read. It is kept for a device that
    /// is offline now.
    static func silent(_ message: EncryptedMessage, to jid: JID, id: String) -> Element {
        Message(
            to: jid, id: id,
            payloads: [message.element, hint(message.version), ProcessingHint.store.element]
        ).element
    }

    private static let requests = [DeliveryReceipts.request, ChatMarkers.markable]

    private static func hint(_ version: ProtocolVersion) -> Element {
        version == .legacy ? legacyHint : omemo2Hint
    }

    private static let legacyHint = MessageEncryption(ProtocolVersion.legacy.rawValue, name: "OMEMO").element
    private static let omemo2Hint = MessageEncryption(ProtocolVersion.omemo2.rawValue, name: "OMEMO").element
}

extension StoredMessage {
    /// What it is when it is no text.
    var reactions: Reactions? {
        reactsTo.map { Reactions(to: $0, body.split(separator: " " as Character).map(String.init)) }
    }
}
