// Connections to imd: one call, or one that outlasts a restart of imd.

import Glibc
import LocalAPI

/// Where most commands begin.
enum Daemon {
    static func connect() throws(UserError) -> Client { try Client(SocketPath.current()) }

    /// One call on a connection of its own. A call that may wait in the daemon gets time beyond its own limit, so
    /// that the daemon's answer wins.
    static func call<M: Method>(
        _ method: M.Type, _ params: M.Params, waiting seconds: Int? = nil
    ) throws(UserError) -> M.Result {
        try connect().call(method, params, timeout: Double(seconds ?? 30) + 30)
    }

    /// A connection to an imd that may still be starting.
    ///
    /// - Parameter pause: called before each further attempt.
    /// - Throws: what the last attempt threw, or what `pause` throws.
    static func connect(
        until deadline: ContinuousClock.Instant, pause: () throws -> Void = {}
    ) throws -> Client {
        while true {
            do throws(UserError) {
                return try connect()
            } catch {
                guard isTemporary(error), ContinuousClock.now < deadline else { throw error }
            }
            try pause()
            usleep(20_000)
        }
    }

    /// Whether a daemon that is restarted explains the error.
    static func isTemporary(_ error: UserError) -> Bool {
        error.code == .daemonNotRunning || error.code == .busy
    }
}
