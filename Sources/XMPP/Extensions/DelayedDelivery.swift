// When a message was really sent (XEP-0203).

extension Namespace {
    /// Delayed delivery.
    public static let delay = "urn:xmpp:delay"
}

/// Reading and writing `<delay/>`.
public enum DelayedDelivery {
    /// 1999-01-01, the year of the first Jabber server: nothing was sent before.
    static let earliest: Int64 = 915_148_800_000

    /// The time at which a stanza, or the content of a `<forwarded/>`, was sent.
    ///
    /// - Parameters:
    ///   - sources: who is believed: the own server and account, the room. Elements of others, and
    ///     elements that do not say whose they are, are ignored, for a sender can write any.
    ///   - receivedAt: when it arrived, Unix milliseconds.
    /// - Returns: Unix milliseconds, never later than `receivedAt`; `receivedAt` itself where the date is
    ///   malformed or impossible.
    public static func sentAt(_ element: Element, by sources: Set<JID>, receivedAt: Int64) -> Int64 {
        for delay in element.children("delay", in: Namespace.delay) {
            guard let from = delay.from, sources.contains(from) else { continue }
            return clamped(delay["stamp"], receivedAt: receivedAt)
        }
        return receivedAt
    }

    /// The time that a `<delay/>` of a trusted archive gives, which need not repeat the archive's name.
    public static func sentAt(inside forwarded: Element, receivedAt: Int64) -> Int64 {
        clamped(forwarded.child("delay", in: Namespace.delay)?["stamp"], receivedAt: receivedAt)
    }

    private static func clamped(_ stamp: String?, receivedAt: Int64) -> Int64 {
        guard let stamp, let at = DateTime.parse(stamp), at >= earliest, at <= receivedAt else {
            return receivedAt
        }
        return at
    }

    /// A `<delay/>` for something sent late, such as a message that waited in the outbox.
    ///
    /// - Parameter at: Unix milliseconds.
    public static func element(from: JID?, at: Int64) -> Element {
        Element(
            "delay", in: Namespace.delay, ["from": from?.description, "stamp": DateTime.format(at)])
    }
}
