// How long to wait before the next attempt to connect.

/// Reconnect delays: exponential with full jitter, so that the clients of a restarted server come back spread
/// out and not in waves.
///
/// Each delay is drawn evenly from zero up to a limit that doubles to five minutes:
///
/// | attempt | limit | on average | waited so far, on average |
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
public struct Backoff: Equatable, Sendable {
    /// The limit of the first delay.
    public static let firstLimit = Duration.seconds(2)
    /// No delay is longer.
    public static let maxLimit = Duration.seconds(300)

    /// Delays handed out since the last success.
    public private(set) var attempts = 0

    /// Starts as after a success.
    public init() {}

    /// The longest that the next delay can be.
    public var limit: Duration {
        attempts >= 8 ? Self.maxLimit : min(Self.firstLimit * (1 << attempts), Self.maxLimit)
    }

    /// The delay before the next attempt, in whole milliseconds.
    public mutating func next(using random: inout some RandomNumberGenerator) -> Duration {
        let limit = limit.components
        let milliseconds = limit.seconds * 1_000 + limit.attoseconds / 1_000_000_000_000_000
        attempts += 1
        return .milliseconds(Int64.random(in: 0...milliseconds, using: &random))
    }

    /// Call when a stream was bound, not when a connection was made: a server that accepts connections and
    /// refuses logins deserves the delays too.
    public mutating func reset() { attempts = 0 }
}
