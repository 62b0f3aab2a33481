// contact.list: the roster and who is there.

/// What a contact's client shows.
public enum Show: String, Codable, CaseIterable, Sendable {
    /// There.
    case online
    /// Wants to talk.
    case chat
    /// Away for a while.
    case away
    /// Away for long.
    case xa
    /// Not to be disturbed.
    case dnd
    /// Not there.
    case offline
}

/// Who sees whose presence (RFC 6121 §2.1.2.5).
public enum Subscription: String, Codable, CaseIterable, Sendable {
    /// Nobody.
    case none
    /// We see theirs.
    case to
    /// They see ours.
    case from
    /// Each the other's.
    case both
    /// Being removed; only in events.
    case remove
}

/// One entry of the roster.
public struct Contact: Documented, Equatable {
    /// Our account.
    public var account: String
    /// Bare JID of the contact.
    public var jid: String
    /// What we call them.
    public var name: String?
    /// Who sees whose presence.
    public var subscription: Subscription
    /// "subscribe" while our request is open.
    public var ask: String?
    /// Groups.
    public var groups: [String]
    /// Best presence of their devices.
    public var show: Show
    /// The text beside it.
    public var status: String?

    /// A contact from its parts.
    public init(
        account: String, jid: String, name: String? = nil, subscription: Subscription, ask: String? = nil,
        groups: [String], show: Show, status: String? = nil
    ) {
        self.account = account
        self.jid = jid
        self.name = name
        self.subscription = subscription
        self.ask = ask
        self.groups = groups
        self.show = show
        self.status = status
    }

    /// The members on the wire.
    public static let fields: [Field] = [
        Field("account", .jid, "bare JID of our account"),
        Field("jid", .jid, "bare JID of the contact"),
        .optional("name", .string, "what we call the contact"),
        Field("subscription", .word(Subscription.self), "who sees whose presence"),
        .optional("ask", .string, "subscribe, while our request is open"),
        Field("groups", .array(.string), "the groups the contact is in"),
        Field("show", .word(Show.self), "presence of the contact; offline when unknown"),
        .optional("status", .string, "the text the contact shows with it"),
    ]
}

/// `contact.list`.
public enum ContactList: Method {
    /// The name on the wire.
    public static let name = "contact.list"
    /// What it does.
    public static let summary = "List the contacts with their presence"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [.badAddress, .unknownAccount]

    /// Which account.
    public struct Params: Documented, Equatable {
        /// Which account; nil for all.
        public var account: String?

        /// Parameters from their parts.
        public init(account: String? = nil) { self.account = account }

        /// The members on the wire.
        public static let fields: [Field] = [
            .optional("account", .jid, "only this account's contacts; default all")
        ]
    }

    /// The contacts.
    public struct Result: Documented, Equatable {
        /// All of them.
        public var contacts: [Contact]

        /// A result from its parts.
        public init(contacts: [Contact]) { self.contacts = contacts }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("contacts", .array(.object(Contact.self)), "the contacts, as last told by the server")
        ]
    }
}

/// The parameters of methods that concern one contact.
public struct ContactParams: Documented, Equatable {
    /// Bare JID of the contact.
    public var jid: String
    /// Which account.
    public var account: String?

    /// Parameters from their parts.
    public init(jid: String, account: String? = nil) {
        self.jid = jid
        self.account = account
    }

    /// The members on the wire.
    public static let fields: [Field] = [
        Field("jid", .jid, "bare JID of the contact"),
        .optional("account", .jid, "which account; needed when there are several"),
    ]
}
