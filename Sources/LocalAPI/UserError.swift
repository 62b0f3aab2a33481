// The errors a user can see: permanent codes, exit statuses, message and hint.

/// What went wrong, as scripts see it: the raw value is the JSON `data.code`, stable for ever.
public enum ErrorCode: String, Codable, CaseIterable, Sendable {
    /// Not a JID, or not the kind of JID that is needed.
    case badAddress = "bad-address"
    /// The line is not JSON as RFC 8259 and the limits of this API want it.
    case badJSON = "bad-json"
    /// JSON, but not a request.
    case badRequest = "bad-request"
    /// A parameter is missing, unknown, of the wrong type or out of range.
    case invalidParams = "invalid-params"
    /// No method of that name.
    case unknownMethod = "unknown-method"
    /// The command line makes no sense.
    case usage = "usage"
    /// No account with that JID.
    case unknownAccount = "unknown-account"
    /// There is no account at all.
    case noAccount = "no-account"
    /// More than one account, and none was named.
    case ambiguousAccount = "ambiguous-account"
    /// The text is empty, not UTF-8, or holds characters XML cannot carry.
    case badText = "bad-text"
    /// A line, text or list is over its limit.
    case tooLarge = "too-large"
    /// No message with that id.
    case noSuchMessage = "no-such-message"
    /// No contact with that JID.
    case noSuchContact = "no-such-contact"
    /// No consumer of that name.
    case noSuchConsumer = "no-such-consumer"
    /// No event with that number, or none that is kept for that consumer.
    case noSuchEvent = "no-such-event"
    /// No hook of that name.
    case noSuchHook = "no-such-hook"
    /// No device with that id or key.
    case noSuchDevice = "no-such-device"
    /// A file that was named cannot be read.
    case unreadableFile = "unreadable-file"
    /// The server says the recipient does not exist.
    case recipientUnknown = "recipient-unknown"
    /// The name of the server cannot be resolved.
    case hostUnknown = "host-unknown"
    /// No socket, or nobody listening on it.
    case daemonNotRunning = "daemon-not-running"
    /// The account is not online.
    case notConnected = "not-connected"
    /// The server was found but cannot be reached.
    case serverUnreachable = "server-unreachable"
    /// The server or the contact's side cannot do what was asked.
    case notSupported = "not-supported"
    /// A hook failed at an event and is not tried again.
    case hookFailed = "hook-failed"
    /// A defect of imd.
    case internalError = "internal"
    /// It exists already, or was used for something else.
    case conflict = "conflict"
    /// The database or a file of imd's cannot be read or written.
    case storage = "storage"
    /// No space left for the database.
    case diskFull = "disk-full"
    /// Reading standard input or writing standard output failed.
    case inputOutput = "input-output"
    /// Not done within the time allowed.
    case timeout = "timeout"
    /// Too much at once; later it will work.
    case busy = "busy"
    /// The server's certificate was not accepted.
    case certificate = "certificate"
    /// The server offers no encryption that is good enough.
    case tlsRequired = "tls-required"
    /// The server broke the protocol.
    case serverProtocol = "server-protocol"
    /// The server refused the name or password.
    case notAuthorized = "not-authorized"
    /// The password command failed or gave nothing.
    case passwordUnavailable = "password-unavailable"
    /// None of the recipient's devices may read the message.
    case noTrustedDevice = "no-trusted-device"
    /// The chat is encrypted, and no person has allowed plaintext in it.
    case encryptionRequired = "encryption-required"
    /// The contact asked for messages in clear, and no person has answered.
    case optedOut = "opted-out"
    /// No device of that person has this key.
    case fingerprintMismatch = "fingerprint-mismatch"
    /// The passphrase does not open the file.
    case badPassphrase = "bad-passphrase"
    /// The server or the contact refused, or the socket does not allow it.
    case denied = "denied"
    /// The folder of the socket belongs to somebody else or is open to others.
    case unsafeDirectory = "unsafe-directory"
    /// The environment or the configuration file is wrong.
    case configuration = "configuration"

    /// Exit status of `imctl`, from sysexits(3). Never 1, so a script can tell it from a failure of the shell.
    public var exitCode: Int32 {
        switch self {
        case .badAddress, .badJSON, .badRequest, .invalidParams, .unknownMethod, .usage, .unknownAccount,
            .noAccount, .ambiguousAccount:
            64  // EX_USAGE
        case .badText, .tooLarge: 65  // EX_DATAERR
        case .noSuchMessage, .noSuchContact, .noSuchConsumer, .noSuchEvent, .noSuchHook, .noSuchDevice,
            .unreadableFile:
            66  // EX_NOINPUT
        case .recipientUnknown: 67  // EX_NOUSER
        case .hostUnknown: 68  // EX_NOHOST
        case .daemonNotRunning, .notConnected, .serverUnreachable, .notSupported: 69  // EX_UNAVAILABLE
        case .internalError, .hookFailed: 70  // EX_SOFTWARE
        case .conflict: 73  // EX_CANTCREAT
        case .storage, .diskFull, .inputOutput: 74  // EX_IOERR
        case .timeout, .busy: 75  // EX_TEMPFAIL
        case .certificate, .tlsRequired, .serverProtocol: 76  // EX_PROTOCOL
        case .notAuthorized, .passwordUnavailable, .noTrustedDevice, .encryptionRequired, .optedOut,
            .fingerprintMismatch, .badPassphrase, .denied, .unsafeDirectory:
            77  // EX_NOPERM
        case .configuration: 78  // EX_CONFIG
        }
    }

    /// The `code` of the JSON-RPC error object: its own codes where it has them, else -32000 minus the exit
    /// status.
    public var rpcCode: Int64 {
        switch self {
        case .badJSON: -32700
        case .badRequest: -32600
        case .unknownMethod: -32601
        case .invalidParams: -32602
        case .internalError: -32603
        default: -32000 - Int64(exitCode)
        }
    }

    /// What the code means, in one sentence without a full stop.
    public var sentence: String {
        switch self {
        case .badAddress: "not a JID, or not the kind of JID that is needed"
        case .badJSON: "the line is not valid JSON, is nested too deeply or repeats a key"
        case .badRequest: "the JSON is not a JSON-RPC 2.0 request"
        case .invalidParams: "a parameter is missing, unknown, of the wrong type or out of range"
        case .unknownMethod: "no method of that name"
        case .usage: "the command line makes no sense"
        case .unknownAccount: "no account with that JID"
        case .noAccount: "there is no account yet"
        case .ambiguousAccount: "there is more than one account and none was named"
        case .badText: "the text is empty, not UTF-8 or holds characters XML cannot carry"
        case .tooLarge: "a line, a batch or a text is over its limit"
        case .noSuchMessage: "no message with that id"
        case .noSuchContact: "no contact with that JID"
        case .noSuchConsumer: "no consumer of that name"
        case .noSuchEvent: "no event with that number, or none that is kept for that consumer"
        case .noSuchHook: "no hook of that name"
        case .noSuchDevice: "no device with that id or fingerprint"
        case .unreadableFile: "a file that was named cannot be read"
        case .recipientUnknown: "the server says the recipient does not exist"
        case .hostUnknown: "the name of the server cannot be resolved"
        case .daemonNotRunning: "nobody listens on the socket"
        case .notConnected: "the account is not online"
        case .serverUnreachable: "the server was found but cannot be reached"
        case .notSupported: "the server or the other side cannot do what was asked"
        case .hookFailed: "a hook failed at an event and is not tried again"
        case .internalError: "a defect of imd"
        case .conflict: "it exists already, or the id was used for something else"
        case .storage: "the database or another file of imd cannot be read or written"
        case .diskFull: "no space left for the database"
        case .inputOutput: "reading standard input or writing standard output failed"
        case .timeout: "not done within the time allowed"
        case .busy: "too much at once; later it will work"
        case .certificate: "the certificate of the server was not accepted"
        case .tlsRequired: "the server offers no encryption that is good enough"
        case .serverProtocol: "the server broke the protocol"
        case .notAuthorized: "the server refused the name or the password"
        case .passwordUnavailable: "the password command failed or gave nothing"
        case .noTrustedDevice: "no device of the recipient may read the message"
        case .encryptionRequired: "the chat is encrypted and nobody has allowed plaintext in it"
        case .optedOut: "the contact asked for messages without encryption and nobody has answered"
        case .fingerprintMismatch: "no device of that person has this fingerprint"
        case .badPassphrase: "the passphrase does not open the file"
        case .denied: "the server or the other side refused, or the socket does not allow it"
        case .unsafeDirectory: "the folder of the socket belongs to somebody else or is open to others"
        case .configuration: "the environment or the configuration file is wrong"
        }
    }

    /// Reads a code; one that a newer imd has added becomes `.internalError`.
    public init(from decoder: any Decoder) throws {
        let word = try decoder.singleValueContainer().decode(String.self)
        self = ErrorCode(rawValue: word) ?? .internalError
    }
}

/// The only error that crosses the socket. May name JIDs, never keys or message text.
public struct UserError: Error, Codable, Equatable, Sendable {
    /// The permanent code.
    public var code: ErrorCode
    /// One line, lower case, no full stop: "no trusted device for bob@example.org".
    public var message: String
    /// One thing to do about it, in the same form.
    public var hint: String?

    /// An error from its parts.
    public init(_ code: ErrorCode, _ message: String, hint: String? = nil) {
        self.code = code
        self.message = message
        self.hint = hint
    }
}
