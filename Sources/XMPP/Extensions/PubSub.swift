// Publishing to an account's own nodes and hearing of other people's (XEP-0060, XEP-0163).

extension Namespace {
    /// Requests of subscribers and publishers.
    public static let pubsub = "http://jabber.org/protocol/pubsub"
    /// Requests of a node's owner.
    public static let pubsubOwner = "http://jabber.org/protocol/pubsub#owner"
    /// Notifications.
    public static let pubsubEvent = "http://jabber.org/protocol/pubsub#event"
    /// Error conditions.
    public static let pubsubErrors = "http://jabber.org/protocol/pubsub#errors"
    /// The form type of publish options, also the feature a server announces for them.
    public static let pubsubPublishOptions = "http://jabber.org/protocol/pubsub#publish-options"
    /// The form type of a node's configuration.
    public static let pubsubNodeConfig = "http://jabber.org/protocol/pubsub#node_config"
}

/// One item of a node.
public struct PubSubItem: Equatable, Sendable {
    /// The item's name in its node; nil lets the service choose one.
    public var id: String?
    /// What was published; nil where only the name is told.
    public var payload: Element?

    /// An item.
    public init(_ id: String?, _ payload: Element?) {
        self.id = id
        self.payload = payload
    }

    /// Reads `<item/>` of a result or an event. Of several payloads, which §7.1.3 forbids, the first counts.
    init(_ element: Element) {
        id = element["id"]
        payload = element.children.first
    }

    fileprivate var element: Element {
        Element("item", in: Namespace.pubsub, ["id": id], payload.map { [$0] } ?? [])
    }
}

/// The settings of a node that imd depends on; as publish options, conditions that must hold.
public struct PubSubOptions: Equatable, Sendable {
    /// Who may read (§4.5).
    public enum AccessModel: String, Sendable, CaseIterable {
        /// Everybody.
        case open
        /// Those who may see the owner's presence.
        case presence
        /// Those in certain groups of the owner's roster.
        case roster
        /// Those the owner approved.
        case authorize
        /// Those the owner listed; at an account's own service, only its own devices.
        case whitelist
    }

    /// Who may read.
    public var accessModel: AccessModel
    /// Whether items are kept for later readers.
    public var persistsItems: Bool
    /// How many items are kept, `max` for as many as the service can; nil leaves it to the service.
    public var maxItems: String?
    /// When the last item is sent unasked, such as `never`; nil leaves it to the service.
    public var sendLastItem: String?

    /// Items that are kept, readable by those the access model names.
    public init(_ accessModel: AccessModel, maxItems: String? = nil, sendLastItem: String? = nil) {
        self.accessModel = accessModel
        persistsItems = true
        self.maxItems = maxItems
        self.sendLastItem = sendLastItem
    }

    fileprivate func form(_ type: String) -> Element {
        var form = DataForm(
            submitting: type,
            [
                "pubsub#persist_items": persistsItems ? "true" : "false",
                "pubsub#access_model": accessModel.rawValue,
            ])
        if let maxItems { form.fields.append(.init("pubsub#max_items", [maxItems])) }
        if let sendLastItem {
            form.fields.append(.init("pubsub#send_last_published_item", [sendLastItem]))
        }
        return form.element
    }
}

/// Payloads of requests, for `IQ.get` and `IQ.set`, and what their results hold.
public enum PubSub {
    /// For a set: publishes an item; the service creates the node if need be (§7.1).
    ///
    /// - Parameter options: if the node exists with other settings the request fails with
    ///   `precondition-not-met`, see ``isPreconditionNotMet(_:)``. A service without the feature
    ///   `publish-options` ignores them: publish nothing private there.
    public static func publish(
        _ item: PubSubItem, to node: String, options: PubSubOptions? = nil
    ) -> Element {
        var pubsub = Element(
            "pubsub", in: Namespace.pubsub, [:],
            [Element("publish", in: Namespace.pubsub, ["node": node], [item.element])])
        if let options {
            pubsub.append(
                Element(
                    "publish-options", in: Namespace.pubsub, [:],
                    [options.form(Namespace.pubsubPublishOptions)]))
        }
        return pubsub
    }

    /// For a get: a node's items (§6.5).
    ///
    /// - Parameters:
    ///   - ids: only these; empty for all.
    ///   - max: only the most recent ones, that many.
    public static func items(of node: String, ids: [String] = [], max: Int? = nil) -> Element {
        Element(
            "pubsub", in: Namespace.pubsub, [:],
            [
                Element(
                    "items", in: Namespace.pubsub, ["node": node, "max_items": max.map { String($0) }],
                    ids.map { Element("item", in: Namespace.pubsub, ["id": $0]) })
            ])
    }

    /// For a set: deletes one item and tells subscribers (§7.2).
    public static func retract(_ id: String, from node: String) -> Element {
        Element(
            "pubsub", in: Namespace.pubsub, [:],
            [
                Element(
                    "retract", in: Namespace.pubsub, ["node": node, "notify": "true"],
                    [Element("item", in: Namespace.pubsub, ["id": id])])
            ])
    }

    /// For a set: deletes a node with all its items (§8.4).
    public static func delete(_ node: String) -> Element {
        Element(
            "pubsub", in: Namespace.pubsubOwner, [:],
            [Element("delete", in: Namespace.pubsubOwner, ["node": node])])
    }

    /// For a get: a node's settings, as a form (§8.2.1).
    public static func configuration(of node: String) -> Element {
        Element(
            "pubsub", in: Namespace.pubsubOwner, [:],
            [Element("configure", in: Namespace.pubsubOwner, ["node": node])])
    }

    /// The form in the result of ``configuration(of:)``; nil without one.
    public static func configuration(_ iq: Element) -> DataForm? {
        guard let pubsub = try? iq.required(child: "pubsub", in: Namespace.pubsubOwner),
            let configure = try? pubsub.onlyChild("configure", in: Namespace.pubsubOwner),
            let form = try? configure.onlyChild("x", in: Namespace.dataForms)
        else { return nil }
        return try? DataForm(form)
    }

    /// For a set: changes a node's settings (§8.2.4); what `options` leaves open stays.
    public static func configure(_ node: String, _ options: PubSubOptions) -> Element {
        Element(
            "pubsub", in: Namespace.pubsubOwner, [:],
            [
                Element(
                    "configure", in: Namespace.pubsubOwner, ["node": node],
                    [options.form(Namespace.pubsubNodeConfig)])
            ])
    }

    /// The items in the result of ``items(of:ids:max:)``.
    /// - Throws: `.unexpected("node")` if the result is about another node.
    public static func result(_ iq: Element, node: String) throws(CodecError) -> [PubSubItem] {
        guard iq.type == "result" else { throw .unexpected("type") }
        let pubsub = try iq.required(child: "pubsub", in: Namespace.pubsub)
        let items = try pubsub.onlyChild("items", in: Namespace.pubsub)
        guard items["node"] == node else { throw .unexpected("node") }
        return items.children("item", in: Namespace.pubsub).map(PubSubItem.init)
    }

    /// Whether a publication failed because the node has other settings than the options demand (§7.1.5):
    /// change them with ``configure(_:_:)`` and publish again.
    public static func isPreconditionNotMet(_ error: StanzaError) -> Bool {
        error.application?.is("precondition-not-met", in: Namespace.pubsubErrors) ?? false
    }
}
