// What the store holds, as the API shows it.
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

/// Which events a subscriber wants; nil wants all.
struct EventFilter: Hashable, Sendable {
    var types: [String]?
    var account: Int64?
    var chat: JID?
    /// Not what we sent on other devices.
    var incomingOnly = false

    func shows(_ event: EventRecord) -> Bool { !incomingOnly || event.message?.direction != .out }
}

extension Transaction {
    func events(after number: Int64, _ filter: EventFilter, limit: Int) throws -> [EventRecord] {
        try events(
            after: number, types: filter.types, account: filter.account, chat: filter.chat, limit: limit)
    }

    /// Appends an event that is not a message's.
    func append(_ detail: EventDetail, account: Int64?, chat: JID?, now: Int64) throws {
        try appendEvent(
            type: detail.type.rawValue, account: account, chat: chat, message: nil,
            detail: try detail.payload(),
            at: now)
    }

    /// A message by the id that the API gave it: the caller's own, or ours.
    func message(named name: String, account: Int64) throws -> StoredMessage {
        if let message = try message(account: account, clientID: name) { return message }
        if let message = try message(account: account, messageID: name) { return message }
        throw UserError(
            .noSuchMessage, "no message with the id \"\(name)\"", hint: "see: imctl history JID --json")
    }
}

extension StoredMessage {
    /// What the API calls it.
    var name: String { clientID ?? messageID }
}

extension EventRecord {
    /// The event as one line; message events leave out what changes later.
    func line(account: JID?) -> [UInt8] {
        if type == EventType.message.rawValue, let message, let account {
            var shown = message.shown(account: account)
            (shown.state, shown.reason) = (nil, nil)
            return Event.line(number: number, message: shown)
        }
        return Event.line(
            number: number, type: type, account: account?.description, at: Timestamp(milliseconds: at),
            payload: (detail ?? "{}").utf8)
    }
}

extension StoredMessage {
    /// The devices that cannot read it.
    var excludedDevices: [ExcludedDevice] {
        guard let excluded, let json = try? JSONValue(strict: Array(excluded.utf8)) else { return [] }
        return (try? [ExcludedDevice](json: json)) ?? []
    }

    func shown(account: JID) -> ShownMessage {
        ShownMessage(
            account: account.description, chat: chat.description, from: sender.bare.description,
            direction: direction == .in ? .in : .out, body: body, encryption: Encryption(of: self), id: name,
            at: Timestamp(milliseconds: sentAt), state: DeliveryState(state), reason: reason,
            damaged: isDamaged ? true : nil, warning: downgraded ? .plaintextInEncryptedChat : nil,
            reactsTo: reactsTo)
    }
}

extension Chat {
    init(_ chat: ChatSummary, account: JID) {
        self.init(
            account: account.description, chat: chat.chat.description, name: chat.name, unread: chat.unread,
            last: Timestamp(milliseconds: chat.lastAt))
    }
}

extension Encryption {
    /// Nil for plaintext.
    init?(of message: StoredMessage) {
        if let encryption = message.encryption {
            self.init(
                protocol: encryption.version.rawValue, device: encryption.device,
                fingerprint: encryption.fingerprint, trust: Trust(rawValue: encryption.trust.rawValue))
        } else if message.plaintext {
            return nil
        } else {
            let version: ProtocolVersion = message.reactsTo == nil ? .legacy : .omemo2
            self.init(protocol: version.rawValue)
        }
    }
}

extension DeliveryState {
    init(_ state: MessageState) { self = DeliveryState(rawValue: state.rawValue) ?? .failed }
}

extension AccountSettings {
    init(_ params: AccountAdd.Params) throws(UserError) {
        self.init(
            password: params.password.map { SecretBytes($0.utf8) }, passwordCommand: params.passwordCommand,
            tls: params.tls == .direct ? .direct : .startTLS, caFile: params.caFile,
            allowPlain: params.allowPlain ?? false)
        guard let server = params.server else { return }
        (host, port) = try Self.place(server)
    }

    /// `HOST:PORT`. An IPv6 address stands in brackets, so that the port can be told from it.
    static func place(_ server: String) throws(UserError) -> (host: String, port: Int) {
        guard let colon = server.lastIndex(of: ":"), let port = Int(server[server.index(after: colon)...]),
            (1...65535).contains(port), colon > server.startIndex
        else {
            throw UserError(.invalidParams, "'\(server)' is not a server", hint: "write it as HOST:PORT")
        }
        var host = server[..<colon].trimmingPrefix("[").description
        if host.hasSuffix("]") { host.removeLast() }
        return (host, port)
    }
}

extension Trust {
    init(_ level: TrustLevel) { self = Trust(rawValue: level.rawValue) ?? .undecided }
}

extension Subscription {
    init(_ subscription: RosterItem.Subscription) {
        self = Subscription(rawValue: subscription.rawValue) ?? Subscription.none
    }
}

extension ContactDetail {
    init(_ item: RosterItem, isNew: Bool) {
        self.init(
            jid: item.jid.description, subscription: Subscription(item.subscription),
            change: item.subscription == .remove ? .removed : isNew ? .added : .changed)
    }
}

extension MessageSend.Result {
    /// - Parameter now: the message as it stands after any waiting.
    init(_ accepted: Accepted, now message: StoredMessage, account: JID) {
        var devices: [AddressedDevice] = []
        var excluded = message.excludedDevices
        switch accepted.outcome {
        case .enqueued(let delivery)?: (devices, excluded) = (delivery.devices, delivery.excluded)
        case .held(let left)?: excluded = left
        default: break
        }
        self.init(
            id: message.name, account: account.description, chat: message.chat.description,
            state: DeliveryState(message.state), reason: message.reason, encryption: Encryption(of: message),
            devices: devices, excluded: excluded, duplicate: accepted.isDuplicate,
            at: Timestamp(milliseconds: message.sentAt))
    }
}

/// A device that a message is encrypted to.
typealias AddressedDevice = MessageSend.Recipient
extension MessageSend.Recipient {
    init(_ address: DeviceAddress, _ fingerprint: String?, _ trust: TrustLevel) {
        self.init(
            jid: address.jid.description, device: address.device, fingerprint: fingerprint ?? "",
            trust: Trust(trust))
    }
}

/// Why a device does not get a message.
enum ExclusionReason: String, Sendable {
    /// Nobody decided about its key, or the policy wants it verified.
    case untrusted
    case distrusted
    case noBundle = "no-bundle"
    case badBundle = "bad-bundle"
    case keyChanged = "key-changed"
    /// What is stored about it does not match its checksum.
    case damaged
    /// Its owner lists more than imd writes to.
    case tooMany = "too-many"
    /// Long silent, however much it was sent.
    case stale
    /// It has no version of OMEMO that carries this.
    case legacyOnly = "legacy-only"
}

extension ExcludedDevice {
    init(_ address: DeviceAddress, _ reason: ExclusionReason) {
        self.init(jid: address.jid.description, device: address.device, reason: reason.rawValue)
    }
}

extension StanzaError {
    /// What a server's refusal means to the user.
    var userError: UserError {
        let said = "the server answered \(condition.rawValue)"
        return switch condition {
        case .itemNotFound: UserError(.recipientUnknown, said)
        case .featureNotImplemented, .serviceUnavailable: UserError(.notSupported, said)
        case .remoteServerNotFound, .remoteServerTimeout: UserError(.serverUnreachable, said)
        case .resourceConstraint, .policyViolation: UserError(.busy, said, hint: "try again later")
        default: UserError(.denied, said)
        }
    }
}

extension DecryptionError {
    /// The word that events carry.
    var word: String {
        switch self {
        case .alreadyDecrypted: "repeated"
        case .noSession: "no-session"
        case .invalidMessage: "invalid"
        case .identityKeyChanged: "key-changed"
        case .tooFarAhead: "too-far-ahead"
        case .preKeyUnknown, .signedPreKeyUnknown: "pre-key-unknown"
        case .preKeyStoreFailed: "storage"
        }
    }
}
