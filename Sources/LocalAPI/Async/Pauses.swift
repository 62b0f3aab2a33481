// How long to wait between attempts to reach an imd that is away.

/// Doubles from 50 ms to 2 s, each a random part shorter, so that many clients do not come back in one instant.
struct Pauses: Sendable {
    private var limit = Duration.milliseconds(50)

    mutating func next(using random: inout some RandomNumberGenerator) -> Duration {
        defer { limit = min(limit * 2, .seconds(2)) }
        return limit * Double.random(in: 0.5...1, using: &random)
    }
}

extension UserError {
    /// Whether an imd that is being restarted explains it.
    var isTemporary: Bool { code == .daemonNotRunning || code == .busy }
}
