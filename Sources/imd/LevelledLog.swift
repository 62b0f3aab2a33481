// The level of the log, which changes while imd runs.
import Logging
import Synchronization

/// Writes to standard error what is as grave as all loggers' common level, and as its own where it has one.
struct LevelledLog: LogHandler {
    private static let common = Atomic<Int>(Self.rank(.info))

    private var inner: StreamLogHandler
    private var own: Logger.Level?

    init(label: String) {
        inner = StreamLogHandler.standardError(label: label)
        inner.logLevel = .trace
    }

    /// The level of all loggers from now on.
    static func set(_ level: Logger.Level) { common.store(rank(level), ordering: .relaxed) }

    var logLevel: Logger.Level {
        get { max(Logger.Level.allCases[Self.common.load(ordering: .relaxed)], own ?? .trace) }
        set { own = newValue }
    }

    var metadata: Logger.Metadata {
        get { inner.metadata }
        set { inner.metadata = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { inner[metadataKey: key] }
        set { inner[metadataKey: key] = newValue }
    }

    func log(event: LogEvent) { inner.log(event: event) }

    private static func rank(_ level: Logger.Level) -> Int {
        Logger.Level.allCases.firstIndex(of: level) ?? 0
    }
}
