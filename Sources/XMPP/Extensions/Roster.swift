// The contact list kept by the server (RFC 6121 §2).

extension Namespace {
    /// The roster.
    public static let roster = "jabber:iq:roster"
    /// The stream feature for roster versioning (§2.6).
    public static let rosterVersioning = "urn:xmpp:features:rosterver"
}

/// One contact.
public struct RosterItem: Equatable, Sendable {
    /// Who sees whose presence (§2.1.2.5).
    public enum Subscription: String, Sendable, CaseIterable {
        /// Neither.
        case none
        /// The contact sees ours.
        case from
        /// We see the contact's.
        case to
        /// Both.
        case both
        /// Only in pushes and requests: the contact is being taken off the list.
        case remove
    }

    /// Whose item it is.
    public var jid: JID
    /// The name the user gave the contact.
    public var name: String?
    /// Who sees whose presence.
    public var subscription: Subscription
    /// Whether our request to see the contact's presence is waiting (`ask='subscribe'`).
    public var isPending: Bool
    /// Whether the contact's request was approved in advance (§3.4).
    public var isApproved: Bool
    /// The groups the user put the contact in.
    public var groups: [String]

    /// A contact.
    public init(
        _ jid: JID, name: String? = nil, subscription: Subscription = .none, isPending: Bool = false,
        isApproved: Bool = false, groups: [String] = []
    ) {
        self.jid = jid
        self.name = name
        self.subscription = subscription
        self.isPending = isPending
        self.isApproved = isApproved
        self.groups = groups
    }

    /// Reads `<item/>`.
    public init(_ element: Element) throws(CodecError) {
        try element.expect("item", in: Namespace.roster)
        guard let jid = try? JID(try element.required("jid")) else { throw .invalid("jid") }
        guard let subscription = Subscription(rawValue: element["subscription"] ?? "none") else {
            throw .invalid("subscription")
        }
        self.init(
            jid, name: element["name"].flatMap { $0.isEmpty ? nil : $0 }, subscription: subscription,
            isPending: element["ask"] == "subscribe", isApproved: try element.flag("approved"))
        for group in element.children("group", in: Namespace.roster) {
            let name = group.text
            if !name.isEmpty && !groups.contains(name) { groups.append(name) }
        }
    }

    /// The part of the item that a client may set: not the subscription, which only the server changes.
    fileprivate var request: Element {
        Element(
            "item", in: Namespace.roster, ["jid": jid.description, "name": name],
            groups.map { Element("group", in: Namespace.roster, text: $0) })
    }
}

/// The list, its changes, and the requests for both.
public struct Roster: Equatable, Sendable {
    /// What to ask for next time to get only changes; nil if the server keeps no versions.
    public var version: String?
    /// The contacts.
    public var items: [RosterItem]
    /// How many items were left out because they could not be read, such as addresses that RFC 7622 forbids.
    public var unreadable: Int

    /// Reads the result of ``get(version:)``; nil if the list has not changed since that version (§2.6.3).
    public static func result(_ iq: Element) throws(CodecError) -> Roster? {
        guard iq.type == "result" else { throw .unexpected("type") }
        guard let query = iq.child("query", in: Namespace.roster) else { return nil }
        var roster = Roster(version: query["ver"], items: [], unreadable: 0)
        for element in query.children("item", in: Namespace.roster) {
            if let item = try? RosterItem(element), item.subscription != .remove {
                roster.items.append(item)
            } else {
                roster.unreadable += 1
            }
        }
        return roster
    }

    /// The payload that asks for the list.
    ///
    /// - Parameter version: the version last stored, the empty string for none; nil if the server does not
    ///   offer versions.
    public static func get(version: String?) -> Element {
        Element("query", in: Namespace.roster, ["ver": version])
    }

    /// The payload that adds or changes a contact. Groups not named are lost.
    public static func set(_ item: RosterItem) -> Element {
        Element("query", in: Namespace.roster, [:], [item.request])
    }

    /// The payload that removes a contact and cancels both subscriptions (§2.5).
    public static func remove(_ jid: JID) -> Element {
        Element(
            "query", in: Namespace.roster, [:],
            [Element("item", in: Namespace.roster, ["jid": jid.description, "subscription": "remove"])])
    }
}

/// A change to the list that the server pushed (§2.1.6).
public struct RosterPush: Equatable, Sendable {
    /// The list's version after the change, if the server keeps versions.
    public var version: String?
    /// The contact as it is now; `.remove` if it is gone.
    public var item: RosterItem

    /// Whether the stanza claims to be a push; everybody can send one.
    public static func isClaimed(by stanza: Element) -> Bool {
        stanza.stanzaKind == .iq && stanza.type == "set" && stanza.child("query", in: Namespace.roster) != nil
    }

    /// Reads a push.
    ///
    /// - Parameter account: the own JID.
    /// - Throws: `.unexpected("from")` if anybody but the own account sent it (§2.1.6): answer with
    ///   `IQ.defaultAnswer`, change nothing. `.unexpected("item")` unless it holds exactly one item.
    public init(_ iq: Element, account: JID) throws(CodecError) {
        guard Self.isClaimed(by: iq) else { throw .unexpected(iq.name) }
        guard iq.isFromOwnAccount(account) else { throw .unexpected("from") }
        let query = try iq.onlyChild("query", in: Namespace.roster)
        version = query["ver"]
        item = try RosterItem(try query.onlyChild("item", in: Namespace.roster))
    }
}
