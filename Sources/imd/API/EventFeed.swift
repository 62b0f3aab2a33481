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

    private let subscribers = Mutex<[ObjectIdentifier: Subscriber]>([:])

    /// Called by the store after each commit that appended events.
    func committed() {
        subscribers.withLock { for subscriber in $0.values { subscriber.continuation.yield() } }
    }

    /// - Throws: `.conflict` where somebody else is reading as that consumer.
    func subscribe(consumer: String?, after number: Int64) throws(UserError) -> Subscriber {
        let subscriber = Subscriber(consumer: consumer, after: number)
        let isFree = subscribers.withLock { subscribers in
            guard consumer == nil || !subscribers.values.contains(where: { $0.consumer == consumer }) else {
                return false
            }
            subscribers[ObjectIdentifier(subscriber)] = subscriber
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
        subscribers.withLock { $0[ObjectIdentifier(subscriber)] = nil }
        subscriber.continuation.finish()
    }

    /// Ends the consumer's subscription.
    func remove(consumer: String) {
        subscribers.withLock { subscribers in
            for subscriber in subscribers.values where subscriber.consumer == consumer {
                subscriber.continuation.finish()
            }
        }
    }

    func acknowledged(_ number: Int64, by consumer: String) {
        subscribers.withLock { subscribers in
            for subscriber in subscribers.values where subscriber.consumer == consumer {
                subscriber.acknowledge(number)
            }
        }
    }

    func isConnected(_ consumer: String) -> Bool {
        subscribers.withLock { $0.values.contains { $0.consumer == consumer } }
    }
}
