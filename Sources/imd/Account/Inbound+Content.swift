// What was encrypted: a text, or in omemo:2 an envelope with anything that concerns only the clients (XEP-0420).
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

/// The content of a payload that was verified, and the envelope around it.
struct DecryptedContent {
    let version: ProtocolVersion
    /// Empty if there is none.
    let body: String
    /// Everything else; legacy has nothing else.
    let payloads: [Element]
    /// What the envelope says of its time, Unix milliseconds; nil if nothing.
    let sentAt: Int64?

    /// - Throws: for what is no text, or no envelope from this sender to this recipient (threat row 32).
    init(
        _ payload: Bytes, _ version: ProtocolVersion, of incoming: Incoming, own: JID
    ) throws(CodecError) {
        self.version = version
        switch version {
        case .legacy:
            guard let text = String(validating: payload, as: UTF8.self), !text.isEmpty else {
                throw .invalid("text")
            }
            (body, payloads, sentAt) = (text, [], nil)
        case .omemo2:
            let content = try StanzaContent(payload)
            let recipient = incoming.direction == .out ? incoming.chat : own
            try content.verify(sender: incoming.from.bare, recipient: recipient)
            let accepted = content.accepted
            body = accepted.first { $0.is("body", in: Namespace.client) }?.text ?? ""
            sentAt = content.sentAt
            payloads = accepted.filter { $0.namespace != Namespace.client }
        }
    }

    func payload(_ name: String, in namespace: String) -> Element? {
        payloads.first { $0.is(name, in: namespace) }
    }
}

extension Inbound {
    mutating func take(
        _ content: DecryptedContent, from sender: DeviceAddress, _ encryption: SenderEncryption,
        in incoming: Incoming, _ tx: Transaction
    ) throws {
        var incoming = incoming
        if content.version == .omemo2 {
            // What stands beside the envelope in clear is the servers' word at best.
            incoming.message.payloads = content.payloads
            try readStates(incoming, tx)
            if let message = content.payload("trust-message", in: TrustMessage.namespace) {
                try take(trustMessage: message, from: sender, at: content.sentAt, tx)
            }
            if incoming.direction == .in,
                let optOut = content.payload("opt-out", in: content.version.rawValue)
            {
                try take(optOut: optOut, from: sender, encryption.trust, in: incoming, tx)
            }
        }
        guard !content.body.isEmpty else {
            if let name = incoming.name { effects.textless.append(name) }
            return
        }
        try store(content.body, encryption: encryption, of: incoming, tx)
    }

    private mutating func take(
        trustMessage element: Element, from sender: DeviceAddress, at sentAt: Int64?, _ tx: Transaction
    ) throws {
        guard let message = try? TrustMessage(element) else { return }
        let messages = TrustMessages(own: own, policies: policies, now: now)
        effects.decided.formUnion(try messages.receive(message, from: sender, sentAt: sentAt, tx))
    }

    /// The contact wants messages in clear. That takes a person's answer here (XEP-0384 §5.9). From a device that
    /// would get nothing it stops nothing: a server may have added it.
    private mutating func take(
        optOut element: Element, from sender: DeviceAddress, _ trust: TrustLevel, in incoming: Incoming,
        _ tx: Transaction
    ) throws {
        guard incoming.way != .history, trust != .distrusted else { return }
        let reason = element.child("reason", in: element.namespace)?.text
        if try policies.policy(for: sender.jid, account: own, tx).policy.receives(trust) {
            try tx.setOptOut(account: own.account, chat: incoming.chat, reason: reason, now: now)
        }
        let detail = SecurityDetail(kind: .optOut, chat: incoming.chat.description, reason: reason)
        try append(.security(detail), chat: incoming.chat, tx)
    }
}
