// What an entity is, can do and offers (XEP-0030).

extension Namespace {
    /// Identities and features.
    public static let discoInfo = "http://jabber.org/protocol/disco#info"
    /// Other addresses and nodes.
    public static let discoItems = "http://jabber.org/protocol/disco#items"
}

/// What an entity is and can do (§3).
public struct DiscoInfo: Equatable, Sendable {
    /// One answer to "what are you?".
    public struct Identity: Hashable, Sendable {
        /// Such as `client`, from the registry.
        public var category: String
        /// Such as `bot`, from the registry.
        public var type: String
        /// Of the name.
        public var language: String?
        /// For people.
        public var name: String?

        /// An identity.
        public init(_ category: String, _ type: String, language: String? = nil, name: String? = nil) {
            self.category = category
            self.type = type
            self.language = language
            self.name = name
        }
    }

    /// The node asked about, if any.
    public var node: String?
    /// What the entity is.
    public var identities: [Identity]
    /// The namespaces it understands, as sent.
    public var features: [String]
    /// Further data (XEP-0128).
    public var forms: [DataForm]

    /// A description of an entity.
    public init(
        identities: [Identity], features: [String], forms: [DataForm] = [], node: String? = nil
    ) {
        self.identities = identities
        self.features = features
        self.forms = forms
        self.node = node
    }

    /// Reads `<query/>` of a result. Forms that are malformed are left out.
    public init(_ element: Element) throws(CodecError) {
        try element.expect("query", in: Namespace.discoInfo)
        node = element["node"]
        identities = []
        features = []
        forms = []
        for child in element.children {
            switch (child.name, child.namespace) {
            case ("identity", Namespace.discoInfo):
                identities.append(
                    Identity(
                        try child.required("category"), try child.required("type"),
                        language: child.language, name: child["name"]))
            case ("feature", Namespace.discoInfo): features.append(try child.required("var"))
            case ("x", Namespace.dataForms):
                if let form = try? DataForm(child) { forms.append(form) }
            default: break
            }
        }
    }

    /// The payload that asks.
    public static func query(node: String? = nil) -> Element {
        Element("query", in: Namespace.discoInfo, ["node": node])
    }

    /// Whether the entity understands that namespace.
    public func supports(_ feature: String) -> Bool { features.contains(feature) }

    /// The payload of the answer.
    public var element: Element {
        var element = Element("query", in: Namespace.discoInfo, ["node": node])
        for identity in identities {
            var child = Element(
                "identity", in: Namespace.discoInfo,
                ["category": identity.category, "type": identity.type, "name": identity.name])
            if let language = identity.language {
                child.attributes.append(
                    Element.Attribute("lang", namespace: Namespace.xml, language))
            }
            element.append(child)
        }
        for feature in features {
            element.append(Element("feature", in: Namespace.discoInfo, ["var": feature]))
        }
        for form in forms { element.append(form.element) }
        return element
    }
}

/// What else there is at an entity (§4).
public struct DiscoItems: Equatable, Sendable {
    /// An address, or one node of it.
    public struct Item: Equatable, Sendable {
        /// Where.
        public var jid: JID
        /// Which node there, if any.
        public var node: String?
        /// For people.
        public var name: String?

        /// An item.
        public init(_ jid: JID, node: String? = nil, name: String? = nil) {
            self.jid = jid
            self.node = node
            self.name = name
        }
    }

    /// The node asked about, if any.
    public var node: String?
    /// In order.
    public var items: [Item]

    /// A list.
    public init(_ items: [Item], node: String? = nil) {
        self.items = items
        self.node = node
    }

    /// Reads `<query/>` of a result. Items whose address is malformed are left out.
    public init(_ element: Element) throws(CodecError) {
        try element.expect("query", in: Namespace.discoItems)
        node = element["node"]
        items = element.children("item", in: Namespace.discoItems).compactMap { item in
            guard let jid = item["jid"].flatMap({ try? JID($0) }) else { return nil }
            return Item(jid, node: item["node"], name: item["name"])
        }
    }

    /// The payload that asks.
    public static func query(node: String? = nil) -> Element {
        Element("query", in: Namespace.discoItems, ["node": node])
    }

    /// The payload of the answer.
    public var element: Element {
        Element(
            "query", in: Namespace.discoItems, ["node": node],
            items.map {
                Element(
                    "item", in: Namespace.discoItems,
                    ["jid": $0.jid.description, "node": $0.node, "name": $0.name])
            })
    }
}
