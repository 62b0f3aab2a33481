// One limited socket while imd runs: what it allows, and how much of it is left.
import LocalAPI
import Synchronization

final class LimitedSocket: Sendable {
    let access: Access
    private let state: Mutex<State>

    private struct State {
        var allowance: Allowance
        var isRevoked = false
    }

    /// So many clients at once leave room for those of the other sockets.
    static let clients = 32

    init(_ access: Access) {
        self.access = access
        state = Mutex(State(allowance: Allowance(perMinute: access.perMinute, at: .now)))
    }

    /// What a client sent before its limits changed and is not begun yet is not allowed either.
    func revoke() { state.withLock { $0.isRevoked = true } }

    /// - Returns: the parameters to run the method with.
    /// - Throws: `.denied`, or `.busy` for more messages than it may send.
    func permit(_ request: Request) throws(UserError) -> JSONValue {
        guard !state.withLock(\.isRevoked) else {
            throw UserError(
                .denied, "what this socket allows has changed",
                hint: "connect again; what it allows is in config.toml, [access.\(access.name)]")
        }
        let params = try access.permit(request.method, request.params)
        guard request.method == MessageSend.name else { return params }
        guard state.withLock({ $0.allowance.take(at: .now) }) else {
            throw UserError(
                .busy, "this socket allows \(access.perMinute) messages a minute",
                hint: "send fewer, or raise per-minute in config.toml, [access.\(access.name)]")
        }
        return params
    }
}

/// How many messages may still go: as many as in a minute at once, then one as each one's share of the minute has
/// passed.
struct Allowance: Sendable {
    private let perMinute: Double
    private var left: Double
    private var last: ContinuousClock.Instant

    init(perMinute: Int, at now: ContinuousClock.Instant) {
        self.perMinute = Double(perMinute)
        left = self.perMinute
        last = now
    }

    mutating func take(at now: ContinuousClock.Instant) -> Bool {
        left = min(perMinute, left + max(0, (now - last) / .seconds(60)) * perMinute)
        last = max(last, now)
        guard left >= 1 else { return false }
        left -= 1
        return true
    }
}
