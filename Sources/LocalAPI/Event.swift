// One event of the log, as subscribers get it: a flat JSON object.

/// What an event tells beside its number, account and time.
public enum EventDetail: Equatable, Sendable {
    /// A message came, or went out elsewhere.
    case message(Message)
    /// A message we sent has come further.
    case state(StateDetail)
    /// A contact's presence changed.
    case presence(PresenceDetail)
    /// Somebody asks for, gives or takes back a subscription.
    case subscription(SubscriptionDetail)
    /// The roster changed.
    case contact(ContactDetail)
    /// A device appeared, vanished or changed its key.
    case device(DeviceDetail)
    /// The connection of an account changed.
    case account(AccountDetail)
    /// A message came that cannot be read.
    case undecryptable(UndecryptableDetail)
    /// Something else went wrong.
    case error(UserError)
    /// Something that was sent to us could not be taken in.
    case gap(GapDetail)
    /// Events were dropped before the consumer acknowledged them.
    case overflow(OverflowDetail)
    /// Something about the encryption of a chat needs a look.
    case security(SecurityDetail)

    /// The type's name on the wire.
    public var type: EventType {
        switch self {
        case .message: .message
        case .state: .state
        case .presence: .presence
        case .subscription: .subscription
        case .contact: .contact
        case .device: .device
        case .account: .account
        case .undecryptable: .undecryptable
        case .error: .error
        case .gap: .gap
        case .overflow: .overflow
        case .security: .security
        }
    }

    /// The chat the event belongs to, for filtering.
    public var chat: String? {
        switch self {
        case .message(let message): message.chat
        case .state(let detail): detail.chat
        case .undecryptable(let detail): detail.chat
        case .gap(let detail): detail.chat
        case .security(let detail): detail.chat
        default: nil
        }
    }

    /// The detail's own members as a JSON object on one line: what the event log stores.
    ///
    /// - Throws: `.internalError`; only for a number JSON cannot carry.
    public func payload() throws(UserError) -> String {
        do {
            return String(decoding: try json().serialized(), as: UTF8.self)
        } catch {
            throw UserError(.internalError, "an event of type \(type.rawValue) cannot be written")
        }
    }

    /// A detail from what `payload()` wrote, or from a whole event object.
    ///
    /// - Throws: `DecodingError`.
    public init(_ type: EventType, _ json: JSONValue) throws {
        self =
            switch type {
            case .message: .message(try Message(json: json))
            case .state: .state(try StateDetail(json: json))
            case .presence: .presence(try PresenceDetail(json: json))
            case .subscription: .subscription(try SubscriptionDetail(json: json))
            case .contact: .contact(try ContactDetail(json: json))
            case .device: .device(try DeviceDetail(json: json))
            case .account: .account(try AccountDetail(json: json))
            case .undecryptable: .undecryptable(try UndecryptableDetail(json: json))
            case .error: .error(try UserError(json: json))
            case .gap: .gap(try GapDetail(json: json))
            case .overflow: .overflow(try OverflowDetail(json: json))
            case .security: .security(try SecurityDetail(json: json))
            }
    }

    private func json() throws -> JSONValue {
        switch self {
        case .message(let detail): try JSONValue(encoding: detail)
        case .state(let detail): try JSONValue(encoding: detail)
        case .presence(let detail): try JSONValue(encoding: detail)
        case .subscription(let detail): try JSONValue(encoding: detail)
        case .contact(let detail): try JSONValue(encoding: detail)
        case .device(let detail): try JSONValue(encoding: detail)
        case .account(let detail): try JSONValue(encoding: detail)
        case .undecryptable(let detail): try JSONValue(encoding: detail)
        case .error(let detail): try JSONValue(encoding: detail)
        case .gap(let detail): try JSONValue(encoding: detail)
        case .overflow(let detail): try JSONValue(encoding: detail)
        case .security(let detail): try JSONValue(encoding: detail)
        }
    }
}

/// One event of the log.
public struct Event: Equatable, Sendable {
    /// Its number, from 1, growing, never used again.
    public var number: Int64
    /// Bare JID of the account it concerns; nil when it concerns none.
    public var account: String?
    /// When it happened; for a message, when it was sent as far as known.
    public var at: Timestamp
    /// What happened.
    public var detail: EventDetail

    /// From its parts.
    public init(number: Int64, account: String?, at: Timestamp, detail: EventDetail) {
        self.number = number
        self.account = account
        self.at = at
        self.detail = detail
    }

    /// Reads the flat object.
    ///
    /// - Throws: `DecodingError`, also for a type this version does not know.
    public init(json: JSONValue) throws {
        struct Head: Decodable {
            var number: Int64
            var type: EventType
            var account: String?
            var at: Timestamp
        }
        let head = try Head(json: json)
        self.init(
            number: head.number, account: head.account, at: head.at, detail: try EventDetail(head.type, json))
    }

    /// The whole notification as one line, line feed included.
    ///
    /// - Throws: `.internalError`; only for a number JSON cannot carry.
    public func line() throws(UserError) -> [UInt8] {
        if case .message(let message) = detail {
            return Self.line(number: number, message: message)
        }
        return Self.line(
            number: number, type: detail.type.rawValue, account: account, at: at,
            payload: try detail.payload().utf8)
    }

    /// The notification line of a stored event, without decoding its payload.
    ///
    /// - Parameters:
    ///   - number: its number.
    ///   - type: the type's name on the wire.
    ///   - account: bare JID of the account it concerns.
    ///   - at: when it happened.
    ///   - payload: what `EventDetail.payload()` wrote: a JSON object on one line.
    public static func line(
        number: Int64, type: String, account: String?, at: Timestamp, payload: some Collection<UInt8>
    ) -> [UInt8] {
        var writer = JSONWriter(reservingCapacity: 160 + payload.count)
        writer.raw(#"{"jsonrpc":"2.0","method":"event","params":{"number":"#)
        writer.integer(number)
        writer.raw(#","type":"#)
        writer.string(type)
        if let account {
            writer.raw(#","account":"#)
            writer.string(account)
        }
        writer.raw(#","at":"#)
        writer.timestamp(at)
        if payload.count > 2 { writer.raw(",") }
        writer.raw(payload.dropFirst())
        writer.raw("}\n")
        return writer.bytes
    }

    /// The event alone, an object, out of a line that one of the others here wrote.
    public static func object(of line: [UInt8]) -> String {
        let head = #"{"jsonrpc":"2.0","method":"event","params":"#
        return String(decoding: line.dropFirst(head.utf8.count).dropLast(2), as: UTF8.self)
    }

    /// The notification line of a message event, written by hand: this is the hot path.
    public static func line(number: Int64, message: Message) -> [UInt8] {
        var writer = JSONWriter(reservingCapacity: 400 + message.body.utf8.count)
        writer.raw(#"{"jsonrpc":"2.0","method":"event","params":{"number":"#)
        writer.integer(number)
        writer.raw(#","type":"message","account":"#)
        writer.string(message.account)
        writer.raw(#","chat":"#)
        writer.string(message.chat)
        writer.raw(#","from":"#)
        writer.string(message.from)
        writer.raw(message.direction == .in ? #","direction":"in","body":"# : #","direction":"out","body":"#)
        writer.string(message.body)
        writer.raw(#","encryption":"#)
        writer.encryption(message.encryption)
        writer.raw(#","id":"#)
        writer.string(message.id)
        writer.raw(#","at":"#)
        writer.timestamp(message.at)
        if let state = message.state {
            writer.raw(#","state":"#)
            writer.string(state.rawValue)
        }
        if let reason = message.reason {
            writer.raw(#","reason":"#)
            writer.string(reason)
        }
        if let damaged = message.damaged { writer.raw(damaged ? #","damaged":true"# : #","damaged":false"#) }
        if let warning = message.warning {
            writer.raw(#","warning":"#)
            writer.string(warning.rawValue)
        }
        if let reactsTo = message.reactsTo {
            writer.raw(#","reactsTo":"#)
            writer.string(reactsTo)
        }
        writer.raw("}}\n")
        return writer.bytes
    }

    /// The members every event has.
    public static let commonFields: [Field] = [
        Field("number", .count, "its number, growing, never used again but by overflow"),
        Field("type", .word(EventType.self), "what happened"),
        .optional("account", .jid, "bare JID of our account; absent when it concerns none"),
        Field("at", .timestamp, "when it happened; for a message, when it was sent"),
    ]

    /// Each type with what it means and its own members.
    public static let types: [(type: EventType, summary: String, detail: any Documented.Type)] = [
        (.message, "a message came, or went out on another device of ours", Message.self),
        (.state, "a message we sent has come further, or failed", StateDetail.self),
        (.presence, "a contact's presence changed", PresenceDetail.self),
        (.subscription, "somebody asks for, gives or takes back a subscription", SubscriptionDetail.self),
        (.contact, "the roster changed", ContactDetail.self),
        (
            .device, "an OMEMO device appeared, vanished, changed its key, or was decided about",
            DeviceDetail.self
        ),
        (.account, "the connection of an account changed", AccountDetail.self),
        (.undecryptable, "a message came that cannot be read", UndecryptableDetail.self),
        (.error, "something else went wrong", UserError.self),
        (.gap, "something that was sent to us could not be taken in", GapDetail.self),
        (
            .overflow,
            "events were dropped to save room before this consumer acknowledged them; comes whatever types are asked for",
            OverflowDetail.self
        ),
        (.security, "something about the encryption of a chat needs a look", SecurityDetail.self),
    ]
}

extension JSONWriter {
    /// Appends a quoted RFC 3339 time.
    public mutating func timestamp(_ value: Timestamp) {
        bytes.append(0x22)
        bytes.append(contentsOf: value.utf8(fraction: true))
        bytes.append(0x22)
    }

    mutating func encryption(_ value: Encryption?) {
        guard let value else { return raw("null") }
        raw(#"{"protocol":"#)
        string(value.protocol)
        if let device = value.device {
            raw(#","device":"#)
            integer(Int64(device))
        }
        if let fingerprint = value.fingerprint {
            raw(#","fingerprint":"#)
            string(fingerprint)
        }
        if let trust = value.trust {
            raw(#","trust":"#)
            string(trust.rawValue)
        }
        raw("}")
    }
}
