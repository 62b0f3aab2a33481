// How long to wait before the next attempt to connect.

/// Reconnect delays: with full jitter, so that the clients of a restarted server come back spread out and not
/// in waves.
///
/// Each delay is drawn evenly from zero up to a limit, which depends on how the attempt failed.
///
/// A server that answered and then failed or refused (``Failure/other``) has work enough already. The limit
/// doubles to five minutes; failures of the other kind do not count:
///
/// | failure | limit | on average | waited so far, on average |
/// |---|---|---|---|
/// | 1 | 2 s | 1 s | 1 s |
/// | 2 | 4 s | 2 s | 3 s |
/// | 3 | 8 s | 4 s | 7 s |
/// | 4 | 16 s | 8 s | 15 s |
/// | 5 | 32 s | 16 s | 31 s |
/// | 6 | 64 s | 32 s | 1 min 3 s |
/// | 7 | 128 s | 64 s | 2 min 7 s |
/// | 8 | 256 s | 128 s | 4 min 15 s |
/// | 9 and later | 300 s | 150 s | 2 min 30 s more each |
///
/// Where nobody answered (``Failure/unreachable``) nobody is burdened, and the connection is wanted as soon as
/// the port opens or the network is back:
///
/// | waited so far | limit | on average |
/// |---|---|---|
/// | nothing: failure 1 | 2 s | 1 s |
/// | failure 2 | 4 s | 2 s |
/// | failure 3 and later, less than 10 min | 5 s | 2.5 s: about 240 attempts |
/// | 10 min and more | 60 s | 30 s |
public struct Backoff: Equatable, Sendable {
    /// How an attempt failed.
    public enum Failure: Sendable, CaseIterable {
        /// Nobody answered the TCP connection, or there was no address to try.
        case unreachable
        /// Anything else.
        case other
    }

    /// The limit of the first delay.
    public static let firstLimit = Duration.seconds(2)
    /// No delay is longer.
    public static let maxLimit = Duration.seconds(300)

    /// Delays handed out since the last success.
    public var attempts: Int { unreachable + other }
    /// The sum of the delays handed out since the last success.
    public private(set) var waited = Duration.zero

    private var unreachable = 0
    private var other = 0

    /// Starts as after a success.
    public init() {}

    /// The longest that the next delay can be.
    public func limit(after failure: Failure) -> Duration {
        switch failure {
        case .unreachable:
            waited >= .seconds(600) ? .seconds(60) : Self.doubled(unreachable, max: .seconds(5))
        case .other: Self.doubled(other, max: Self.maxLimit)
        }
    }

    /// The delay before the next attempt, in whole milliseconds.
    public mutating func next(
        after failure: Failure, using random: inout some RandomNumberGenerator
    ) -> Duration {
        let limit = limit(after: failure).components
        let milliseconds = limit.seconds * 1_000 + limit.attoseconds / 1_000_000_000_000_000
        switch failure {
        case .unreachable: unreachable += 1
        case .other: other += 1
        }
        let delay = Duration.milliseconds(Int64.random(in: 0...milliseconds, using: &random))
        waited += delay
        return delay
    }

    /// Call when a stream was bound, not when a connection was made: a server that accepts connections and
    /// refuses logins deserves the delays too.
    public mutating func reset() { self = Backoff() }

    private static func doubled(_ times: Int, max: Duration) -> Duration {
        times >= 8 ? max : min(firstLimit * (1 << times), max)
    }
}
