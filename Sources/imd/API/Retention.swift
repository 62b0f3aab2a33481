// Drops events that have been kept long enough: at start, and whenever many new ones have come.
import Logging
import ServiceLifecycle
import Store
import Synchronization

struct Retention: Service {
    let store: Store
    let feed: EventFeed
    let current: CurrentConfig
    let log: Logger

    /// New events between two rounds.
    private static let interval: Int64 = 1000
    /// Events dropped in one transaction; others have their turn in between.
    private static let batch = 1000

    /// Returns when the daemon shuts down.
    func run() async throws {
        try await cancelWhenGracefulShutdown {
            let last = try await store.read { try $0.lastEventNumber() }
            let subscriber = try feed.subscribe(consumer: nil, after: last)
            defer { feed.unsubscribe(subscriber) }
            await prune()
            var done = last
            for await _ in subscriber.wakeUps where feed.newest - done >= Self.interval {
                done = feed.newest
                await prune()
            }
        }
    }

    /// What a full disk or the like prevents now is done the next time.
    func prune() async {
        let config = current.value
        let before = Clock.now() - Int64(config.eventDays) * 86_400_000
        do {
            var dropped = 0
            while !Task.isCancelled {
                let limit = config.eventLimit
                let round = try await store.write { tx in
                    try tx.prune(before: before, limit: limit, batch: Self.batch)
                }
                dropped += round.dropped
                guard round.more else { break }
            }
            if dropped > 0 { log.info("old events were dropped", metadata: ["count": "\(dropped)"]) }
        } catch {
            log.warning("old events could not be dropped", metadata: ["error": "\(error)"])
        }
    }
}
