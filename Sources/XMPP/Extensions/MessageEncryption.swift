// Says, in clear, how a message is encrypted (XEP-0380), for clients that cannot read it.

extension Namespace {
    /// Explicit message encryption.
    public static let messageEncryption = "urn:xmpp:eme:0"
}

/// The hint `<encryption/>`. It decides nothing: what a message holds does.
public struct MessageEncryption: Equatable, Sendable {
    /// The encryption's namespace.
    public var method: String
    /// Its name for people, if given.
    public var name: String?

    /// A hint.
    public init(_ method: String, name: String? = nil) {
        self.method = method
        self.name = name
    }

    /// The hint of a message, nil without one.
    public init?(of message: Element) {
        guard let element = message.child("encryption", in: Namespace.messageEncryption),
            let method = element["namespace"]
        else { return nil }
        self.init(method, name: element["name"])
    }

    /// The `<encryption/>` element.
    public var element: Element {
        Element("encryption", in: Namespace.messageEncryption, ["namespace": method, "name": name])
    }
}
