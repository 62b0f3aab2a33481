// From a method's name to the code that answers it.
import LocalAPI
import Logging
import Store
import XMPP

/// Decodes, runs and encodes; every method of the API has exactly one entry.
struct Dispatcher: Sendable {
    private typealias Handler = @Sendable (JSONValue, Call) async throws -> JSONValue

    private var handlers: [String: Handler] = [:]
    private let log: Logger

    init(log: Logger) { self.log = log }

    var methods: Set<String> { Set(handlers.keys) }

    mutating func on<M: Method>(
        _: M.Type, _ body: @escaping @Sendable (M.Params, Call) async throws -> M.Result
    ) {
        precondition(handlers[M.name] == nil, "two handlers for \(M.name)")
        handlers[M.name] = { params, call in
            try M.encode(try await body(try M.decode(params), call))
        }
    }

    mutating func on<M: Method>(
        _ method: M.Type, _ body: @escaping @Sendable (M.Params) async throws -> M.Result
    ) {
        on(method) { params, _ in try await body(params) }
    }

    /// - Returns: the answer as a line; nil for a notification, which gets none.
    func answer(_ line: LineBuffer.Line, _ call: Call) async -> [UInt8]? {
        guard case .line(let bytes) = line else { return Response.tooLong }
        do throws(Refusal) {
            switch try RequestLine(bytes) {
            case .single(let request): return await answer(request, call)
            case .batch(let requests): return await answer(requests, call)
            }
        } catch {
            return error.line
        }
    }

    func answer(_ request: Request, _ call: Call) async -> [UInt8]? {
        do {
            let result = try await run(request, call)
            return request.id.map { Response.success($0, result) }
        } catch {
            var shown = userError(error, in: request.method)
            if let access = call.session.limits?.access { shown = access.narrow(shown) }
            return request.id.map { Response.failure($0, shown) }
        }
    }

    /// The one way to a method, also for those that one line asks for together: what the client may do is looked at
    /// here.
    private func run(_ request: Request, _ call: Call) async throws -> JSONValue {
        guard let limits = call.session.limits else { return try await handle(request, call) }
        var request = request
        request.params = try limits.permit(request)
        return limits.access.narrow(try await handle(request, call), of: request.method)
    }

    private func handle(_ request: Request, _ call: Call) async throws -> JSONValue {
        guard let handler = handlers[request.method] else {
            throw UserError(
                .unknownMethod, "no method \"\(String(request.method.unicodeScalars.prefix(64)))\"",
                hint: "see: rpc.discover")
        }
        return try await handler(request.params, call)
    }

    private func userError(_ error: any Error, in method: String) -> UserError {
        switch error {
        case let error as UserError: return error
        case let error as ConnectionError: return error.userError
        case let error as StoreError: return error.userError
        case let error as StanzaError: return error.userError
        default:
            log.error("a request failed", metadata: ["method": "\(method)", "error": "\(type(of: error))"])
            return UserError(
                .internalError, "\(method) failed", hint: "see imd's log; this is a defect of imd")
        }
    }
}
