// What one device tells another about keys (XEP-0434).

/// A `<trust-message/>`.
public struct TrustMessage: Equatable, Sendable {
    /// The element's namespace.
    public static let namespace = "urn:xmpp:tm:1"
    /// Automatic trust management (XEP-0450), the only usage imd knows.
    public static let automatic = "urn:xmpp:atm:1"
    /// More keys than anybody has devices.
    static let maxKeys = 1000

    /// Whose keys, and what about them.
    public struct KeyOwner: Equatable, Sendable {
        /// Bare JID.
        public var jid: JID
        /// Identifiers of keys to trust; with OMEMO the 32 bytes of an Ed25519 identity key.
        public var trusted: [[UInt8]]
        /// Identifiers of keys not to trust any more.
        public var distrusted: [[UInt8]]

        /// What is said about one person's keys.
        public init(jid: JID, trusted: [[UInt8]] = [], distrusted: [[UInt8]] = []) {
            self.jid = jid.bare
            self.trusted = trusted
            self.distrusted = distrusted
        }
    }

    /// The protocol that it is a message of.
    public var usage: String
    /// The encryption whose keys it is about.
    public var encryption: String
    /// At least one.
    public var owners: [KeyOwner]

    /// A message to send.
    public init(usage: String = automatic, encryption: String, owners: [KeyOwner]) {
        self.usage = usage
        self.encryption = encryption
        self.owners = owners
    }

    /// Reads the element.
    ///
    /// - Throws: for a key or address that is none, or more keys than anybody has.
    public init(_ element: Element) throws(CodecError) {
        try element.expect("trust-message", in: Self.namespace)
        usage = try element.required("usage")
        encryption = try element.required("encryption")
        owners = []
        var count = 0
        for child in element.children("key-owner", in: Self.namespace) {
            guard let jid = try? JID(child.required("jid")) else { throw .invalid("jid") }
            let owner = KeyOwner(
                jid: jid, trusted: try child.keys("trust"), distrusted: try child.keys("distrust"))
            count += owner.trusted.count + owner.distrusted.count
            guard count <= Self.maxKeys else { throw .invalid("key-owner") }
            owners.append(owner)
        }
        guard !owners.isEmpty else { throw .missing("key-owner") }
    }

    /// The element.
    public var element: Element {
        Element(
            "trust-message", in: Self.namespace, ["usage": usage, "encryption": encryption],
            owners.map { owner in
                Element(
                    "key-owner", in: Self.namespace, ["jid": owner.jid.description],
                    owner.trusted.map { Element("trust", in: Self.namespace, text: Base64.encode($0)) }
                        + owner.distrusted.map {
                            Element("distrust", in: Self.namespace, text: Base64.encode($0))
                        })
            })
    }
}

extension Element {
    fileprivate func keys(_ name: String) throws(CodecError) -> [[UInt8]] {
        var keys: [[UInt8]] = []
        for child in children(name, in: TrustMessage.namespace) {
            guard let key = Base64.decode(child.text, ignoringWhiteSpace: true), !key.isEmpty else {
                throw .invalid(name)
            }
            keys.append(key)
        }
        return keys
    }
}
