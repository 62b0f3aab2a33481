// What a method must declare, the list of all methods, and the way from bytes to types and back.

/// One method of the API. The declaration is the only source of the dispatcher entry, the schema and the manual.
public protocol Method: Sendable {
    /// What the caller sends.
    associatedtype Params: Documented
    /// What the caller gets.
    associatedtype Result: Documented
    /// `noun.verb`, for ever.
    static var name: String { get }
    /// One sentence without a full stop.
    static var summary: String { get }
    /// The errors this method can answer with, beside `alwaysPossible`.
    static var errors: [ErrorCode] { get }
    /// One call as the manual shows it; every method has one.
    static var example: Example<Self>? { get }
    /// Checks what the field types cannot say.
    /// - Throws: the error to answer with; the method is not run.
    static func validate(_ params: Params) throws(UserError)
}

extension Method {
    /// None yet.
    public static var example: Example<Self>? { nil }

    /// Nothing more to check.
    public static func validate(_ params: Params) throws(UserError) {}

    /// Parameters from a request: checked against the declared fields, decoded, validated.
    ///
    /// - Throws: `.invalidParams` naming the parameter, or what `validate` throws.
    public static func decode(_ params: JSONValue) throws(UserError) -> Params {
        try Params.check(params, in: name)
        let decoded: Params
        do {
            decoded = try Params(json: params)
        } catch {
            throw UserError(.invalidParams, "the parameters of \(name) cannot be read")
        }
        try validate(decoded)
        return decoded
    }

    /// An answer as JSON.
    ///
    /// - Throws: `.internalError`; only for a number JSON cannot carry.
    public static func encode(_ result: Result) throws(UserError) -> JSONValue {
        do {
            return try JSONValue(encoding: result)
        } catch {
            throw UserError(.internalError, "the answer of \(name) cannot be written")
        }
    }
}

/// Errors any method can answer with.
public let alwaysPossible: [ErrorCode] = [.badJSON, .badRequest, .tooLarge, .invalidParams, .internalError]

/// Every method, in the order of the manual.
public let allMethods: [any Method.Type] = [
    DaemonStatus.self, DaemonCheck.self,
    AccountAdd.self, AccountList.self, AccountRemove.self, AccountConnect.self, AccountDisconnect.self,
    AccountExport.self, AccountInspect.self, AccountImport.self,
    MessageSend.self, MessageList.self, MessageGet.self, MessageDisplayed.self,
    ChatList.self,
    OutboxList.self, OutboxCancel.self, OutboxRetry.self,
    ContactList.self, ContactAdd.self, ContactRemove.self, ContactApprove.self,
    PresenceSet.self,
    DeviceList.self, DeviceTrust.self, DeviceVerify.self, DeviceURI.self, DeviceReset.self, DeviceRemove.self,
    TrustExport.self, TrustImport.self,
    EncryptionGet.self, EncryptionSet.self,
    EventSubscribe.self, EventAck.self,
    ConsumerList.self, ConsumerRemove.self, ConsumerRewind.self,
    FailureList.self, FailureAdd.self, FailureRemove.self,
    HookList.self, HookTest.self, HookReplay.self,
    RPCDiscover.self,
]

/// Semantic version of imd, imctl and the API, in one place.
public let version = "0.1.0"

/// The longest line a request may have, in bytes without its line feed.
public let maxLineLength = 1_048_576

/// The longest text of one message, in bytes of UTF-8.
public let maxBodyLength = 65_536
