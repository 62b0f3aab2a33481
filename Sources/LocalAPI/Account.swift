// How an account is doing, as several methods and events tell it.

/// Where the connection of an account stands.
public enum AccountState: String, Codable, CaseIterable, Sendable {
    /// Not connected, and not trying: the user wants it so.
    case offline
    /// Trying, or waiting to try again.
    case connecting
    /// Logged in.
    case online
    /// Not connected, and not trying again by itself: something must be mended first.
    case failed
}

/// One account and its connection.
public struct AccountStatus: Documented, Equatable {
    /// Bare JID.
    public var jid: String
    /// Where the connection stands.
    public var state: AccountState
    /// Since when.
    public var since: Timestamp
    /// The resource the server gave.
    public var resource: String?
    /// `host:port`.
    public var server: String?
    /// TLS version.
    public var tls: String?
    /// SASL mechanism.
    public var mechanism: String?
    /// Channel binding type.
    public var channelBinding: String?
    /// The OMEMO device id of this imd.
    public var device: UInt32
    /// The fingerprint of this imd's identity key.
    public var fingerprint: String
    /// Why it is not online.
    public var reason: UserError?
    /// The archive of the server is being read.
    public var catchingUp: Bool?
    /// The login took up the stream of the one before (XEP-0198 §5).
    public var resumed: Bool?
    /// How many messages are not yet with the server; nil from an imd that does not tell.
    public var queued: Int64?

    /// A status from its parts.
    public init(
        jid: String, state: AccountState, since: Timestamp, resource: String? = nil, server: String? = nil,
        tls: String? = nil, mechanism: String? = nil, channelBinding: String? = nil, device: UInt32,
        fingerprint: String, reason: UserError? = nil, catchingUp: Bool? = nil, resumed: Bool? = nil,
        queued: Int64? = nil
    ) {
        self.jid = jid
        self.state = state
        self.since = since
        self.resource = resource
        self.server = server
        self.tls = tls
        self.mechanism = mechanism
        self.channelBinding = channelBinding
        self.device = device
        self.fingerprint = fingerprint
        self.reason = reason
        self.catchingUp = catchingUp
        self.resumed = resumed
        self.queued = queued
    }

    /// The members on the wire.
    public static let fields: [Field] = [
        Field("jid", .jid, "bare JID of the account"),
        Field(
            "state", .word(AccountState.self),
            "whether it is online; failed means it will not retry by itself"),
        Field("since", .timestamp, "when it came into this state"),
        .optional("resource", .string, "the resource the server gave, while online"),
        .optional("server", .string, "host:port of the server, while connected"),
        .optional("tls", .string, "TLS version, while connected"),
        .optional("mechanism", .string, "SASL mechanism of the login, while online"),
        .optional("channelBinding", .string, "type of channel binding of the login, where there was one"),
        Field("device", .device, "OMEMO device id of this imd"),
        Field("fingerprint", .string, "fingerprint of this imd's identity key, 64 hexadecimal digits"),
        .optional("reason", .object(UserError.self), "why it is not online, when it should be"),
        .optional(
            "catchingUp", .boolean, "what came while it was away is being read from the archive of the server"
        ),
        .optional("resumed", .boolean, "this connection took up the one before, so nothing was missed"),
        .optional("queued", .count, "how many messages are not yet with the server"),
    ]
}

extension UserError: Documented {
    /// The members on the wire.
    public static let fields: [Field] = [
        Field("code", .word(ErrorCode.self), "a permanent word"),
        Field("message", .string, "one line for people"),
        .optional("hint", .string, "one thing to do about it"),
    ]
}

/// The parameters of methods that concern one account.
public struct AccountParams: Documented, Equatable {
    /// Bare JID.
    public var account: String

    /// Parameters from their parts.
    public init(account: String) { self.account = account }

    /// The members on the wire.
    public static let fields: [Field] = [Field("account", .jid, "bare JID of the account")]
}
