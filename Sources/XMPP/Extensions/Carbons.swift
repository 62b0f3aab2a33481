// Copies of what the account's other devices send and receive (XEP-0280), unwrapped by rule.

extension Namespace {
    /// Message carbons; also the feature a server announces.
    public static let carbons = "urn:xmpp:carbons:2"
    /// The wrapper of stanzas inside stanzas (XEP-0297).
    public static let forward = "urn:xmpp:forward:0"
}

/// A copy of a message. It is never answered: the device that got the original does that.
public struct Carbon: Equatable, Sendable {
    /// Which way the original went.
    public enum Direction: String, Sendable, CaseIterable {
        /// To the account.
        case received
        /// From one of the account's devices.
        case sent
    }

    /// Which way the original went.
    public var direction: Direction
    /// The original, believed because of who wrapped it.
    public var message: Element
    /// When the original passed the server, if it said so; Unix milliseconds, not later than the copy's
    /// arrival.
    public var sentAt: Int64

    /// The payload, for a set to the own account, that asks for copies (§4).
    public static let enable = Element("enable", in: Namespace.carbons)
    /// The payload, for a set to the own account, that ends them (§5).
    public static let disable = Element("disable", in: Namespace.carbons)
    /// Goes into a message of which there should be no copies (§8).
    public static let `private` = Element("private", in: Namespace.carbons)

    /// Whether the stanza claims to be a carbon; everybody can send one.
    public static func isClaimed(by stanza: Element) -> Bool {
        stanza.stanzaKind == .message
            && Direction.allCases.contains { stanza.child($0.rawValue, in: Namespace.carbons) != nil }
    }

    /// Unwraps a carbon.
    ///
    /// The only way in which a `<forwarded/>` speaks for the sender inside it. Believed is a wrapper whose
    /// `from` is the own bare JID, written out (§11: CVE-2017-5589 and many since).
    ///
    /// - Parameters:
    ///   - account: the own JID.
    ///   - receivedAt: when the carbon arrived, Unix milliseconds.
    /// - Returns: nil if the stanza does not claim to be a carbon.
    /// - Throws: `.unexpected("from")` for a forged one; others for malformed ones. Drop it whole: its
    ///   content must not be read as the wrapper's sender's either.
    public static func unwrap(
        _ stanza: Element, account: JID, receivedAt: Int64
    ) throws(CodecError) -> Carbon? {
        guard isClaimed(by: stanza) else { return nil }
        guard stanza.hasSender, stanza.from == account.bare else { throw .unexpected("from") }
        let wrappers = stanza.children.filter { $0.namespace == Namespace.carbons }
        guard wrappers.count == 1, let direction = Direction(rawValue: wrappers[0].name) else {
            throw .unexpected("carbon")
        }
        let forwarded = try wrappers[0].onlyChild("forwarded", in: Namespace.forward)
        let message = try forwarded.onlyChild("message", in: Namespace.client)
        guard !isClaimed(by: message) else { throw .unexpected("carbon") }
        if direction == .sent {
            guard message.hasSender, message.from?.bare == account.bare else { throw .unexpected("from") }
        } else {
            guard message.from != nil else { throw .invalid("from") }
        }
        return Carbon(
            direction: direction, message: message,
            sentAt: DelayedDelivery.sentAt(inside: forwarded, receivedAt: receivedAt))
    }
}
