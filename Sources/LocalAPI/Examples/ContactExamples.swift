// Examples: contacts and presence.

extension ContactList {
    /// As the manual shows it.
    public static var example: Example<Self>? { Example(Params(), Result(contacts: [Scene.contact])) }
}

extension ContactAdd {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(
            Params(jid: Scene.carol, name: "Carol", groups: ["Friends"]),
            Contact(
                account: Scene.alice, jid: Scene.carol, name: "Carol", subscription: .none, ask: "subscribe",
                groups: ["Friends"], show: .offline))
    }
}

extension ContactRemove {
    /// As the manual shows it.
    public static var example: Example<Self>? { Example(Params(jid: Scene.carol), Empty()) }
}

extension ContactApprove {
    /// As the manual shows it.
    public static var example: Example<Self>? { Example(Params(jid: Scene.carol), Empty()) }
}

extension PresenceSet {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(Params(show: .away, status: "lunch"), Empty())
    }
}
