// Requests, answers and notifications as lines (JSON-RPC 2.0).

/// What a request is known by; its answer carries the same.
public enum RequestID: Equatable, Sendable {
    /// A string.
    case string(String)
    /// A whole number.
    case integer(Int64)
    /// Explicit null, or unknown because the request could not be read.
    case null

    /// As JSON.
    public var json: JSONValue {
        switch self {
        case .string(let text): .string(text)
        case .integer(let number): .integer(number)
        case .null: .null
        }
    }
}

/// A request that could not be understood, and the id to answer with.
public struct Refusal: Error, Equatable, Sendable {
    /// The id, as far as it could be read.
    public var id: RequestID
    /// What to answer.
    public var error: UserError

    /// The line to answer with, line feed included.
    public var line: [UInt8] { Response.failure(id, error) }

    static func json(of line: [UInt8]) throws(Refusal) -> JSONValue {
        do {
            return try JSONValue(strict: line)
        } catch {
            let reason = "not valid JSON: \(error.reason) (byte \(error.offset))"
            throw Refusal(id: .null, error: UserError(.badJSON, reason))
        }
    }
}

/// One call.
public struct Request: Equatable, Sendable {
    /// nil for a JSON-RPC notification: it is carried out and never answered.
    public var id: RequestID?
    /// The method's name.
    public var method: String
    /// An object; empty when left out.
    public var params: JSONValue

    /// From its parts.
    public init(id: RequestID?, method: String, params: JSONValue = [:]) {
        self.id = id
        self.method = method
        self.params = params
    }

    /// Reads one line that holds one request.
    ///
    /// - Throws: a refusal with `.badJSON` or `.badRequest`, to be answered; the connection lives.
    public init(line: [UInt8]) throws(Refusal) { try self.init(json: try Refusal.json(of: line)) }

    /// Reads one request of a line.
    ///
    /// - Throws: a refusal with `.badRequest` or `.invalidParams`, to be answered.
    public init(json: JSONValue) throws(Refusal) {
        guard case .object(let members) = json else {
            throw Refusal(
                id: .null, error: UserError(.badRequest, "a request is an object, not \(json.kind)"))
        }
        let id = try Self.id(json["id"])
        self.id = id
        func refuse(_ message: String) -> Refusal {
            Refusal(id: id ?? .null, error: UserError(.badRequest, message))
        }
        guard json["jsonrpc"] == .string("2.0") else { throw refuse("\"jsonrpc\" must be \"2.0\"") }
        guard case .string(let method)? = json["method"] else { throw refuse("\"method\" must be a string") }
        for member in members where !["jsonrpc", "id", "method", "params"].contains(member.key) {
            throw refuse("unknown member \(quoted(member.key)) in the request")
        }
        self.method = method
        params = json["params"] ?? [:]
        guard case .object = params else {
            throw Refusal(
                id: id ?? .null,
                error: UserError(.invalidParams, "\"params\" must be an object, not \(params.kind)"))
        }
    }

    private static func id(_ json: JSONValue?) throws(Refusal) -> RequestID? {
        switch json {
        case nil: return nil
        case .null: return .null
        case .string(let text): return .string(text)
        case .integer(let number): return .integer(number)
        default:
            throw Refusal(
                id: .null, error: UserError(.badRequest, "\"id\" must be a string, a whole number or null"))
        }
    }

    /// The line to send, line feed included.
    public var line: [UInt8] {
        var writer = JSONWriter()
        writer.raw(#"{"jsonrpc":"2.0","#)
        if let id {
            writer.raw(#""id":"#)
            writer.value(id.json)
            writer.raw(",")
        }
        writer.raw(#""method":"#)
        writer.string(method)
        writer.raw(#","params":"#)
        writer.value(params)
        writer.raw("}\n")
        return writer.bytes
    }
}

/// How answers are written.
public enum Response {
    /// The line for a result, line feed included.
    public static func success(_ id: RequestID, _ result: JSONValue) -> [UInt8] {
        var writer = JSONWriter()
        writer.raw(#"{"jsonrpc":"2.0","id":"#)
        writer.value(id.json)
        writer.raw(#","result":"#)
        writer.value(result)
        writer.raw("}\n")
        return writer.bytes
    }

    /// The line for an error, line feed included.
    public static func failure(_ id: RequestID, _ error: UserError) -> [UInt8] {
        var data: [JSONValue.Member] = [.init("code", .string(error.code.rawValue))]
        if let hint = error.hint { data.append(.init("hint", .string(hint))) }
        let body: JSONValue = [
            "code": .integer(error.code.rpcCode), "message": .string(error.message), "data": .object(data),
        ]
        var writer = JSONWriter()
        writer.raw(#"{"jsonrpc":"2.0","id":"#)
        writer.value(id.json)
        writer.raw(#","error":"#)
        writer.value(body)
        writer.raw("}\n")
        return writer.bytes
    }

    /// The answer to a line over the limit, line feed included.
    public static let tooLong = failure(
        .null,
        UserError(
            .tooLarge, "the line is longer than \(maxLineLength) bytes",
            hint: "it was skipped; the connection goes on"))

    /// The notification that all events which existed at subscription time were sent, line feed included.
    public static func caughtUp(number: Int64) -> [UInt8] {
        var writer = JSONWriter()
        writer.raw(#"{"jsonrpc":"2.0","method":"event.caughtUp","params":{"number":"#)
        writer.integer(number)
        writer.raw("}}\n")
        return writer.bytes
    }
}

/// What a client reads.
public enum Incoming: Equatable, Sendable {
    /// An answer.
    case response(RequestID, Result<JSONValue, UserError>)
    /// A notification.
    case notification(method: String, params: JSONValue)

    /// Reads one line from the daemon.
    ///
    /// - Throws: `.internalError` if it is neither.
    public init(line: [UInt8]) throws(UserError) {
        let unreadable = UserError(.internalError, "imd answered with something that cannot be read")
        guard let json = try? JSONValue(strict: line, maxDepth: 64) else { throw unreadable }
        if let method = json["method"]?.string {
            self = .notification(method: method, params: json["params"] ?? [:])
            return
        }
        let id: RequestID
        switch json["id"] {
        case .string(let text): id = .string(text)
        case .integer(let number): id = .integer(number)
        case .null: id = .null
        default: throw unreadable
        }
        if let result = json["result"] {
            self = .response(id, .success(result))
        } else if let error = json["error"], let message = error["message"]?.string {
            let data = error["data"]
            let code = data?["code"]?.string.flatMap(ErrorCode.init(rawValue:)) ?? .internalError
            self = .response(id, .failure(UserError(code, message, hint: data?["hint"]?.string)))
        } else {
            throw unreadable
        }
    }
}
