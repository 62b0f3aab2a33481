// A hash in every presence instead of a question to every contact (XEP-0115).

public import IMCrypto

extension Namespace {
    /// Entity capabilities.
    public static let caps = "http://jabber.org/protocol/caps"
}

/// What `<c/>` says: which disco#info answer holds for the sender.
public struct EntityCapabilities: Hashable, Sendable {
    /// The hash function's name; nil in the legacy form, whose `ver` is not a hash.
    public var hash: String?
    /// A URI for the software.
    public var node: String
    /// The hash, base64.
    public var version: String

    /// Capabilities as announced.
    public init(hash: String?, node: String, version: String) {
        self.hash = hash
        self.node = node
        self.version = version
    }

    /// Reads the `<c/>` of a presence; nil without a usable one.
    public init?(_ presence: Presence) {
        guard let element = presence.payloads.first(where: { $0.is("c", in: Namespace.caps) }),
            let node = element["node"], let version = element["ver"]
        else { return nil }
        self.hash = element["hash"]
        self.node = node
        self.version = version
    }

    /// The capabilities that describe `info`.
    /// - Throws: see ``verificationBytes(of:)``.
    public init(node: String, _ info: DiscoInfo) throws(CodecError) {
        hash = "sha-1"
        self.node = node
        version = try Self.version(of: info)
    }

    /// The `<c/>` element.
    public var element: Element {
        Element("c", in: Namespace.caps, ["hash": hash, "node": node, "ver": version])
    }

    /// The node to ask with `DiscoInfo.query` (§6.2).
    public var queryNode: String { node + "#" + version }

    /// Whether `info` is what was announced, so that it may be cached for everybody who announces the same
    /// (§5.4). False for a hash function other than SHA-1: then it holds for its sender only.
    public func describes(_ info: DiscoInfo) -> Bool {
        hash == "sha-1" && (try? Self.version(of: info)) == version
    }

    /// The value of `ver`: the SHA-1 hash of the verification string, base64.
    /// - Throws: see ``verificationBytes(of:)``.
    public static func version(of info: DiscoInfo) throws(CodecError) -> String {
        Base64.encode(Hash.sha1(try verificationBytes(of: info)))
    }

    /// The verification string, UTF-8 (§5.1).
    ///
    /// - Throws: `.unexpected` for what §5.4 calls ill-formed: an identity, feature or form type given
    ///   twice. `.invalid` for a `<` in any part: it separates the parts, so one description could pass for
    ///   another.
    public static func verificationBytes(of info: DiscoInfo) throws(CodecError) -> Bytes {
        var bytes = Bytes()
        let identities = info.identities.map {
            [$0.category, $0.type, $0.language ?? "", $0.name ?? ""]
        }
        guard Set(identities).count == identities.count else { throw .unexpected("identity") }
        let isSmaller: ([String], [String]) -> Bool = { a, b in
            for (x, y) in zip(a, b) where x != y { return precedes(x, y) }
            return false
        }
        for identity in identities.sorted(by: isSmaller) {
            try append(identity.joined(separator: "/"), to: &bytes)
        }
        guard Set(info.features).count == info.features.count else { throw .unexpected("feature") }
        for feature in info.features.sorted(by: precedes) { try append(feature, to: &bytes) }

        var forms: [String: DataForm] = [:]
        for form in info.forms {
            guard let type = form.formType else { continue }  // §5.4: such a form is ignored
            guard forms.updateValue(form, forKey: type) == nil else { throw .unexpected("FORM_TYPE") }
        }
        for (type, form) in forms.sorted(by: { precedes($0.key, $1.key) }) {
            try append(type, to: &bytes)
            for field in form.fields.sorted(by: { precedes($0.name ?? "", $1.name ?? "") }) {
                if field.name == "FORM_TYPE" {
                    guard field.values.allSatisfy({ $0 == type }) else { throw .unexpected("FORM_TYPE") }
                    continue
                }
                try append(field.name ?? "", to: &bytes)
                for value in field.values.sorted(by: precedes) { try append(value, to: &bytes) }
            }
        }
        return bytes
    }

    /// The collation i;octet (RFC 4790 §9.3).
    private static func precedes(_ a: String, _ b: String) -> Bool {
        a.utf8.lexicographicallyPrecedes(b.utf8)
    }

    private static func append(_ part: String, to bytes: inout Bytes) throws(CodecError) {
        guard !part.utf8.contains(UInt8(ascii: "<")) else { throw .invalid("verification string") }
        bytes.append(contentsOf: part.utf8)
        bytes.append(UInt8(ascii: "<"))
    }
}
