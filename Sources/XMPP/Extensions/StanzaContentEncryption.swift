// What is encrypted of a stanza: an envelope around its content (XEP-0420).
import IMCrypto

extension Namespace {
    /// Stanza content encryption.
    public static let stanzaContent = "urn:xmpp:sce:1"
}

/// An `<envelope/>` in OMEMO's profile (XEP-0384 §5.5): content, and who says it to whom.
public struct StanzaContent: Equatable, Sendable {
    /// What stands in the stanza's place.
    public var content: [Element]
    /// Who encrypted it.
    public var from: JID?
    /// For whom it is; in rooms the room.
    public var to: JID?
    /// When it was encrypted, Unix milliseconds; nil if it does not say.
    public var sentAt: Int64?

    /// An envelope to be sealed.
    public init(content: [Element], from: JID?, to: JID? = nil, sentAt: Int64? = nil) {
        self.content = content
        self.from = from
        self.to = to
        self.sentAt = sentAt
    }

    /// How much padding there is at most (§4.1): the length of a text does not show in that of its message.
    static let maxPadding = 200

    /// The bytes to encrypt, with padding of random length.
    public func serialized(using random: inout some RandomNumberGenerator) -> [UInt8] {
        var envelope = Element(
            "envelope", in: Namespace.stanzaContent, [:],
            [Element("content", in: Namespace.stanzaContent, [:], content)])
        let padding = SecretBytes.random(
            count: Int.random(in: 0...Self.maxPadding, using: &random), using: &random)
        envelope.append(
            Element(
                "rpad", in: Namespace.stanzaContent,
                text: String(Base64.encode(padding.bytes).prefix(padding.count))))
        if let sentAt {
            envelope.append(
                Element("time", in: Namespace.stanzaContent, ["stamp": DateTime.format(sentAt)]))
        }
        if let to {
            envelope.append(Element("to", in: Namespace.stanzaContent, ["jid": to.bare.description]))
        }
        if let from {
            envelope.append(Element("from", in: Namespace.stanzaContent, ["jid": from.bare.description]))
        }
        return envelope.xml()
    }

    /// Reads decrypted bytes.
    ///
    /// - Throws: for anything but one envelope with one content and padding; an address that is none.
    public init(_ bytes: [UInt8]) throws(CodecError) {
        let envelope = try Element(document: bytes)
        try envelope.expect("envelope", in: Namespace.stanzaContent)
        content = try envelope.onlyChild("content", in: Namespace.stanzaContent).children
        _ = try envelope.onlyChild("rpad", in: Namespace.stanzaContent)
        from = try envelope.address("from")
        to = try envelope.address("to")
        if let time = envelope.child("time", in: Namespace.stanzaContent) {
            guard let stamp = DateTime.parse(try time.required("stamp")) else { throw .invalid("time") }
            sentAt = stamp
        }
    }

    /// Checks that it was meant for this stanza (§4, "affix elements").
    ///
    /// - Parameters:
    ///   - sender: who sent the stanza.
    ///   - recipient: to whom it was sent, or the room; nil if that is not known.
    public func verify(sender: JID, recipient: JID?) throws(CodecError) {
        guard let from else { throw .missing("from") }
        guard from.bare == sender.bare else { throw .invalid("from") }
        guard let to, let recipient else { return }
        guard to.bare == recipient.bare else { throw .invalid("to") }
    }

    /// The content without what only servers may say, which has no place inside (§5): it would be taken for theirs.
    public var accepted: [Element] {
        content.filter { !Self.forbidden.contains($0.namespace) && $0.name != "encrypted" }
    }

    private static let forbidden: Set<String> = [
        Namespace.hints, Namespace.stanzaIDs, Namespace.messageEncryption, Namespace.delay,
        Namespace.stanzaContent, Namespace.carbons, Namespace.archive, Namespace.pubsubEvent,
        "http://jabber.org/protocol/address",
    ]
}

extension Element {
    fileprivate func address(_ name: String) throws(CodecError) -> JID? {
        let found = children(name, in: Namespace.stanzaContent)
        guard let element = found.first else { return nil }
        guard found.count == 1, let jid = try? JID(element.required("jid")) else { throw .invalid(name) }
        return jid
    }
}
