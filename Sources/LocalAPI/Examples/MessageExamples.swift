// Examples: messages, chats and what waits.

extension MessageSend {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(
            Params(to: Scene.bob, body: Scene.sent.body, id: Scene.sent.id, wait: .server),
            Result(
                id: Scene.sent.id, account: Scene.alice, chat: Scene.bob, state: .server,
                encryption: Scene.encryption,
                devices: [
                    Recipient(
                        jid: Scene.bob, device: Scene.bobDevice, fingerprint: Scene.bobKey, trust: .blind)
                ],
                excluded: [], duplicate: false, at: Scene.sent.at))
    }
}

extension MessageList {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(
            Params(chat: Scene.bob, limit: 2), Result(messages: [Scene.sent, Scene.received], more: true))
    }
}

extension MessageGet {
    /// As the manual shows it.
    public static var example: Example<Self>? { Example(Params(id: Scene.sent.id), Scene.sent) }
}

extension MessageDisplayed {
    /// As the manual shows it.
    public static var example: Example<Self>? { Example(Params(chat: Scene.bob), Scene.received) }
}

extension ChatList {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        let chat = Chat(
            account: Scene.alice, chat: Scene.bob, name: "Bob", unread: 1, last: Scene.received.at)
        return Example(Params(), Result(chats: [chat], unread: 1))
    }
}

extension OutboxList {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(Params(), Result(messages: [Scene.waiting(.queued)]))
    }
}

extension OutboxCancel {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(Params(id: Scene.waiting(.queued).id), Scene.waiting(.failed, "cancelled"))
    }
}

extension OutboxRetry {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        let message = Scene.waiting(.queued)
        return Example(Params(id: message.id), Result(messages: [message]))
    }
}
