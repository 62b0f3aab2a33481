// What the clients of one limited socket may do: every request is looked at here before its method runs.
import LocalAPI
import XMPP

/// `[access.NAME]` of the configuration. What is not allowed is denied, and so is every method that is added later.
struct Access: Equatable, Sendable {
    /// One thing that can be allowed.
    enum Capability: String, CaseIterable, Sendable {
        /// Send messages, encrypted.
        case send
        /// With `send`: also without encryption.
        case plaintext
        /// Read the messages that come, as the durable consumer that is called like the socket.
        case receive
        /// Count the unread messages.
        case unread
        /// See whether imd and its accounts are well.
        case status
    }

    /// Of the socket and, with `receive`, of its consumer.
    var name: String
    /// `allow`.
    var allow: Set<Capability> = []
    /// `to`: the only people that messages go to, and come from; nil for everybody.
    var to: Set<JID>?
    /// `account`: the only one; nil for all.
    var account: JID?
    /// `per-minute`: how many messages.
    var perMinute = 60

    /// What a capability opens. rpc.discover is open to all: it says what everybody can read in the manual.
    private static let capabilities: [String: Capability] = [
        MessageSend.name: .send, EventSubscribe.name: .receive, EventAck.name: .receive,
        ChatList.name: .unread,
        DaemonStatus.name: .status,
    ]

    /// Whether the method may be called at all.
    func allows(_ method: String) -> Bool {
        method == RPCDiscover.name || Self.capabilities[method].map(allow.contains) ?? false
    }

    /// Looks at a request.
    ///
    /// - Returns: the parameters to run it with; what was left out is filled in so that it stays within the limits.
    /// - Throws: `.denied`.
    func permit(_ method: String, _ params: JSONValue) throws(UserError) -> JSONValue {
        guard allows(method) else {
            throw UserError(
                .denied, "this socket does not allow \(Self.shown(method))",
                hint: "what it allows is in config.toml, [access.\(name)]")
        }
        switch method {
        case MessageSend.name: return try permitSend(params)
        case EventSubscribe.name: return try permitSubscribe(params)
        case EventAck.name:
            try expectOwnConsumer(params["consumer"])
            return params
        case ChatList.name: return try withAccount(params)
        default: return params
        }
    }

    // MARK: Parameters

    private func permitSend(_ params: JSONValue) throws(UserError) -> JSONValue {
        try expectContact(params["to"])
        // Whatever is not plainly false could come to mean true.
        switch params["plaintext"] {
        case nil, .null, .bool(false): break
        default:
            guard allow.contains(.plaintext) else { throw denied("to send without encryption") }
        }
        // It would find out which ids there are.
        switch params["reactsTo"] {
        case nil, .null: break
        default: throw denied("to react to messages")
        }
        let params = try withAccount(params)
        guard let id = params["id"]?.string, !id.isEmpty else { return params }
        return params.with("id", .string(idPrefix + id))
    }

    /// The ids of its clients are theirs alone: they can neither take nor find out those of others.
    private var idPrefix: String { name + ":" }

    /// Those of messages that came, and of those that could not be read.
    private static let messageEvents: [JSONValue] = ["message", "undecryptable", "gap"]

    /// Messages alone, by the one consumer that belongs to the socket: it cannot acknowledge what is for others, nor
    /// have events kept under ever new names.
    private func permitSubscribe(_ params: JSONValue) throws(UserError) -> JSONValue {
        var params = try withAccount(params)
        switch params["consumer"] {
        case nil, .null: params = params.with("consumer", .string(name))
        case let consumer: try expectOwnConsumer(consumer)
        }
        if to != nil { try expectContact(params["chat"]) }
        switch params["types"] {
        case nil, .null: params = params.with("types", .array(Self.messageEvents))
        case .array(let types)? where !types.isEmpty && types.allSatisfy(Self.messageEvents.contains): break
        default: throw denied("events that are not about messages that came")
        }
        // What came before somebody gave it the socket is not for it.
        return params.with("begin", .string("newest"))
    }

    private func expectOwnConsumer(_ consumer: JSONValue?) throws(UserError) {
        guard consumer == .string(name) else { throw denied("another consumer than \"\(name)\"") }
    }

    private func expectContact(_ value: JSONValue?) throws(UserError) {
        guard let to else { return }
        guard let jid = value?.string.flatMap({ try? JID(parameter: $0) }), to.contains(jid) else {
            throw denied("that contact")
        }
    }

    /// Fills in the account, so that the caller need not know it.
    private func withAccount(_ params: JSONValue) throws(UserError) -> JSONValue {
        guard let account else { return params }
        switch params["account"] {
        case nil, .null: return params.with("account", .string(account.description))
        case .string(let name)? where (try? JID(parameter: name)) == account: return params
        default: throw denied("that account")
        }
    }

    private func denied(_ what: String) -> UserError {
        UserError(
            .denied, "this socket does not allow \(what)",
            hint: "what it allows is in config.toml, [access.\(name)]")
    }

    private static func shown(_ method: String) -> String {
        "\"\(TerminalText.escape(String(method.unicodeScalars.prefix(64)), keepsLines: false))\""
    }

    // MARK: Answers

    /// What the client may see of an answer.
    func narrow(_ result: JSONValue, of method: String) -> JSONValue {
        switch method {
        case RPCDiscover.name:
            result.filtering("methods") { $0["name"]?.string.map(allows) ?? false }
        case DaemonStatus.name:
            result.filtering("accounts") { isOwn($0["jid"]) }
        case ChatList.name: countsAlone(result)
        case MessageSend.name:
            if let id = result["id"]?.string, id.hasPrefix(idPrefix) {
                result.with("id", .string(String(id.dropFirst(idPrefix.count))))
            } else {
                result
            }
        default: result
        }
    }

    /// What the client may see of an error: not how many accounts there are.
    func narrow(_ error: UserError) -> UserError {
        guard error.code == .ambiguousAccount else { return error }
        return UserError(
            .ambiguousAccount, "which account this socket is for is not said",
            hint: "set account in config.toml, [access.\(name)]")
    }

    private func isOwn(_ jid: JSONValue?) -> Bool {
        account == nil || jid?.string.flatMap { try? JID($0) } == account
    }

    /// The number of unread messages in the chats it may know of, and nothing about these.
    private func countsAlone(_ result: JSONValue) -> JSONValue {
        guard case .array(let chats)? = result["chats"] else { return ["chats": [], "unread": .integer(0)] }
        let counted = chats.filter { chat in
            guard isOwn(chat["account"]) else { return false }
            guard let to else { return true }
            return chat["chat"]?.string.flatMap { try? JID($0) }.map(to.contains) ?? false
        }
        let unread = counted.reduce(0) { $0 + ($1["unread"]?.integer ?? 0) }
        return ["chats": [], "unread": .integer(unread)]
    }
}

extension JSONValue {
    /// The object with one member set.
    fileprivate func with(_ key: String, _ value: JSONValue) -> JSONValue {
        guard case .object(var members) = self else { return self }
        members.removeAll { $0.key == key }
        members.append(.init(key, value))
        return .object(members)
    }

    /// The object with some elements of one of its arrays.
    fileprivate func filtering(_ key: String, _ isKept: (JSONValue) -> Bool) -> JSONValue {
        guard case .array(let elements)? = self[key] else { return with(key, []) }
        return with(key, .array(elements.filter(isKept)))
    }
}
