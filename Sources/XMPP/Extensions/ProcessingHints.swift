// What servers should do with a message (XEP-0334).

extension Namespace {
    /// Message processing hints.
    public static let hints = "urn:xmpp:hints"
}

/// A wish to the servers on a message's way.
public enum ProcessingHint: String, Sendable, CaseIterable {
    /// Not in archives that last (§4.1).
    case noPermanentStore = "no-permanent-store"
    /// Nowhere, not even until the recipient is back (§4.2).
    case noStore = "no-store"
    /// Not to the recipient's other devices (§4.3).
    case noCopy = "no-copy"
    /// In the archive, even without a body (§4.4).
    case store

    /// The hint as an element.
    public var element: Element { Element(rawValue, in: Namespace.hints) }

    /// The hints a message carries.
    public static func all(of message: Element) -> Set<ProcessingHint> {
        Set(
            message.children.filter { $0.namespace == Namespace.hints }.compactMap { Self(rawValue: $0.name) }
        )
    }
}
