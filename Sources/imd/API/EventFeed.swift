// Wakes those who read the event log: after a commit, and when a consumer has acknowledged.
import LocalAPI
import Synchronization

/// Knows who subscribes, never what: events are read from the store by each subscriber at its own pace.
final class EventFeed: Sendable {
    /// A subscriber's place in the feed; forget it and the subscription ends.
    final class Subscriber: Sendable {
        let consumer: String?
        let wakeUps: AsyncStream<Void>
        fileprivate let continuation: AsyncStream<Void>.Continuation
        private let acknowledgedNumber: Atomic<Int64>

        fileprivate init(consumer: String?, after number: Int64) {
            self.consumer = consumer
            acknowledgedNumber = Atomic(number)
            (wakeUps, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        }

        /// The highest event number that the consumer is done with.
        var acknowledged: Int64 { acknowledgedNumber.load(ordering: .acquiring) }

        fileprivate func acknowledge(_ number: Int64) {
            acknowledgedNumber.max(number, ordering: .acquiringAndReleasing)
            continuation.yield()
        }
    }

    private struct Subscribers {
        var all: [ObjectIdentifier: Subscriber] = [:]
        /// Those of `all` that read for a consumer.
        var consumers: [String: Subscriber] = [:]
    }

    /// What those who stand at the same place read together.
    let pages = EventPages()
    private let subscribers = Mutex(Subscribers())
    private let newestNumber = Atomic<Int64>(0)

    /// The newest event, as far as the feed was told.
    var newest: Int64 { newestNumber.load(ordering: .acquiring) }

    /// Called by the store after each commit that appended events, with the highest number.
    func committed(_ number: Int64) {
        reached(number)
        subscribers.withLock { for subscriber in $0.all.values { subscriber.continuation.yield() } }
    }

    /// An event of that number exists.
    func reached(_ number: Int64) { newestNumber.max(number, ordering: .acquiringAndReleasing) }

    /// - Throws: `.conflict` where somebody else is reading as that consumer.
    func subscribe(consumer: String?, after number: Int64) throws(UserError) -> Subscriber {
        let subscriber = Subscriber(consumer: consumer, after: number)
        let isFree = subscribers.withLock { subscribers in
            if let consumer {
                guard subscribers.consumers[consumer] == nil else { return false }
                subscribers.consumers[consumer] = subscriber
            }
            subscribers.all[ObjectIdentifier(subscriber)] = subscriber
            return true
        }
        guard isFree else {
            throw UserError(
                .conflict, "the consumer \"\(consumer ?? "")\" is connected already",
                hint: "give each reader a name of its own")
        }
        return subscriber
    }

    func unsubscribe(_ subscriber: Subscriber) {
        subscribers.withLock { subscribers in
            subscribers.all[ObjectIdentifier(subscriber)] = nil
            if let consumer = subscriber.consumer, subscribers.consumers[consumer] === subscriber {
                subscribers.consumers[consumer] = nil
            }
        }
        subscriber.continuation.finish()
    }

    /// Ends the consumer's subscription.
    func remove(consumer: String) {
        subscribers.withLock { $0.consumers[consumer]?.continuation.finish() }
    }

    func acknowledged(_ number: Int64, by consumer: String) {
        subscribers.withLock { $0.consumers[consumer]?.acknowledge(number) }
    }

    func isConnected(_ consumer: String) -> Bool {
        subscribers.withLock { $0.consumers[consumer] != nil }
    }
}
