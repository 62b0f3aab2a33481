// Events as an asynchronous sequence, and what each of them can be asked.

/// What ``AsyncClient/events(consumer:since:types:account:chat:window:acknowledging:patience:)`` gives.
public struct EventStream: AsyncSequence, Sendable {
    /// When an event counts as done, so that it does not come again.
    public enum Acknowledging: Sendable {
        /// When the next one is asked for. What the loop was busy with when the program ended comes again.
        case whenNextIsAskedFor
        /// When ``ReceivedEvent/acknowledge()`` is called.
        case byHand
    }

    /// One event.
    public typealias Element = ReceivedEvent
    /// A `UserError`, or a `CancellationError`.
    public typealias Failure = any Error

    let place: SocketPath
    let params: EventSubscribe.Params
    let acknowledging: Acknowledging
    let patience: Duration?

    /// Begins anew, with a connection of its own.
    public func makeAsyncIterator() -> Iterator { Iterator(reading: EventReading(self)) }

    /// Reads one subscription; its connection ends with it.
    public struct Iterator: AsyncIteratorProtocol {
        private let lease: Lease

        fileprivate init(reading: EventReading) { lease = Lease(reading) }

        /// The next event. Never nil: a stream ends by an error, or when nobody asks any more.
        ///
        /// - Throws: `CancellationError` when the task is cancelled; `.daemonNotRunning` when imd was away for longer
        ///   than the stream's patience; `.conflict` when the consumer is connected already; what else imd answers to
        ///   `event.subscribe` and `event.ack`.
        public mutating func next() async throws -> ReceivedEvent? { try await lease.reading.next() }

        /// - Throws: as ``next()``.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws -> ReceivedEvent? { try await lease.reading.next() }
    }

    /// Ends the subscription when the last copy of the iterator goes.
    private final class Lease: Sendable {
        let reading: EventReading
        init(_ reading: EventReading) { self.reading = reading }
        deinit { Task { [reading] in await reading.end() } }
    }
}

/// An event out of a stream.
public struct ReceivedEvent: Sendable {
    /// Its number, growing, never used again.
    public let number: Int64
    /// Name of its type, also of one that this version does not know.
    public let type: String
    /// The event; nil where its type, or something in it, is newer than this version. See ``json``.
    public let event: Event?
    /// All its members as imd sent them.
    public let json: JSONValue
    let reading: EventReading

    /// What happened; nil where ``event`` is.
    public var detail: EventDetail? { event?.detail }

    /// Nil where there is no number.
    init?(_ json: JSONValue, _ reading: EventReading) {
        guard let number = json["number"]?.integer else { return nil }
        self.number = number
        type = json["type"]?.string ?? ""
        event = try? Event(json: json)
        self.json = json
        self.reading = reading
    }

    /// Tells imd that this event is done, and all before it: they do not come again for the stream's consumer.
    ///
    /// Returns when imd has stored that. Does nothing in a stream without a consumer.
    ///
    /// - Throws: what imd answers, such as `.diskFull`; `.daemonNotRunning` when it was away for longer than the
    ///   stream's patience; `CancellationError`.
    public func acknowledge() async throws { try await reading.acknowledge(number) }
}
