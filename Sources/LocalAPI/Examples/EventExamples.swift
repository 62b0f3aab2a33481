// Examples: subscriptions, consumers, and one event of each type.

extension EventSubscribe {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(
            Params(consumer: Scene.consumer.name, types: ["message"]),
            Result(consumer: Scene.consumer.name, after: 41, last: 43))
    }
}

extension EventAck {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(Params(consumer: Scene.consumer.name, number: 42), Empty())
    }
}

extension ConsumerList {
    /// As the manual shows it.
    public static var example: Example<Self>? { Example(Empty(), Result(consumers: [Scene.consumer])) }
}

extension ConsumerRemove {
    /// As the manual shows it.
    public static var example: Example<Self>? { Example(Params(name: Scene.consumer.name), Empty()) }
}

extension ConsumerRewind {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        var consumer = Scene.consumer
        (consumer.acknowledged, consumer.pending) = (40, 3)
        return Example(Params(name: consumer.name, number: 40), consumer)
    }
}

extension Event {
    /// One of each type, in the order of the manual.
    public static var examples: [Event] {
        details.enumerated().map { index, detail in
            Event(
                number: 43 + Int64(index), account: detail.type == .overflow ? nil : Scene.alice,
                at: detail.type == .message ? Scene.received.at : Scene.at(40, Int64(index)), detail: detail)
        }
    }

    private static var details: [EventDetail] {
        var message = Scene.received
        message.state = nil
        let unreachable = UserError(.serverUnreachable, "xmpp.example.org:5222 cannot be reached")
        return [
            .message(message),
            .state(StateDetail(chat: Scene.bob, id: Scene.sent.id, state: .delivered)),
            .presence(PresenceDetail(from: Scene.bob, show: .away, status: "lunch")),
            .subscription(SubscriptionDetail(from: Scene.carol, kind: .request)),
            .contact(ContactDetail(jid: Scene.carol, subscription: .both, change: .changed)),
            .device(
                DeviceDetail(
                    jid: Scene.bob, device: Scene.bobDevice, fingerprint: Scene.bobKey, trust: .blind,
                    change: .added)),
            .account(AccountDetail(state: .connecting, reason: unreachable)),
            .undecryptable(
                UndecryptableDetail(
                    chat: Scene.bob, from: Scene.bob, device: Scene.bobDevice, reason: "no-session")),
            .error(UserError(.storage, "the database cannot be written")),
            .gap(GapDetail(reason: .archiveExpired)),
            .overflow(OverflowDetail(after: 12, through: 53)),
            .security(SecurityDetail(kind: .plaintext, chat: Scene.bob, id: "k2Lw9vQfTz")),
        ]
    }
}
