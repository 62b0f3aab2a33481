// One subscription over as many connections as it takes.

/// Reads on demand: nothing happens here but while somebody waits for an event or an acknowledgement.
///
/// Acknowledgements go over the subscription's connection, so only to an imd that has said where the consumer stands.
actor EventReading {
    private let stream: EventStream
    private var progress = EventProgress()
    private var link: Link?
    private var connecting: Task<Link, any Error>?
    private var wasConnected = false
    private var isOver = false
    private var acknowledging: Task<Void, Never>?
    /// Why automatic acknowledgement has ended.
    private var failure: (any Error)?

    init(_ stream: EventStream) { self.stream = stream }

    deinit { link?.close() }

    func next() async throws -> ReceivedEvent {
        if stream.acknowledging == .whenNextIsAskedFor { progress.finishedAll() }
        while true {
            try Task.checkCancellation()
            acknowledgeDue()
            if let failure { throw failure }
            let link = try await connected()
            do {
                switch try await link.nextNotification() {
                case .event(let json):
                    guard let event = ReceivedEvent(json, self), progress.received(event.number) else {
                        continue
                    }
                    return event
                case .caughtUp(let number): progress.caughtUp(number)
                }
            } catch let error as UserError {
                try lose(link, after: error)
            }
        }
    }

    /// Nobody asks for events any more; those that are still held can be acknowledged.
    func end() {
        isOver = true
        connecting?.cancel()
        if acknowledging == nil { close() }
    }

    private func close() {
        link?.close()
        link = nil
    }

    // MARK: Acknowledging

    func acknowledge(_ number: Int64) async throws {
        guard let consumer = stream.params.consumer else { return }
        progress.finished(number)
        defer { if isOver, acknowledging == nil { close() } }
        while progress.acknowledged < number {
            try Task.checkCancellation()
            let link = try await connected()
            // A log that was restored meanwhile knows nothing of this event.
            guard progress.done >= number else { return }
            do {
                try await confirm(number, consumer, link)
            } catch let error as UserError {
                try lose(link, after: error)
            }
        }
    }

    private func confirm(_ number: Int64, _ consumer: String, _ link: Link) async throws {
        let params = try JSONValue(encoding: EventAck.Params(consumer: consumer, number: number))
        _ = try await link.call(EventAck.name, params, timeout: .seconds(60))
        progress.confirmed(number)
    }

    /// Has what is done acknowledged without waiting for it, one call at a time: what is done meanwhile goes with the
    /// next one.
    private func acknowledgeDue() {
        guard stream.params.consumer != nil, progress.due != nil, acknowledging == nil, failure == nil else {
            return
        }
        acknowledging = Task {
            await acknowledgeAllDue()
            acknowledging = nil
            if isOver { close() }
        }
    }

    private func acknowledgeAllDue() async {
        while let number = progress.due {
            do {
                try await acknowledge(number)
            } catch let error as UserError where error.code == .diskFull || error.code == .storage {
                // imd goes on by itself once the disk works.
                try? await Task.sleep(for: .seconds(2))
                if isOver { return }
            } catch {
                failure = error
                // Whoever waits for an event, or for another connection, learns of it.
                connecting?.cancel()
                close()
                return
            }
        }
    }

    // MARK: Connections

    /// - Throws: `error` if a new connection is no remedy.
    private func lose(_ lost: Link, after error: UserError) throws {
        guard error.isTemporary else { throw error }
        if link === lost { close() }
    }

    /// A connection with the subscription on it; whoever asks meanwhile waits for the same one.
    private func connected() async throws -> Link {
        while true {
            try Task.checkCancellation()
            if let failure { throw failure }
            if let link { return link }
            let attempt = connecting ?? Task { try await connect() }
            connecting = attempt
            do {
                return try await withTaskCancellationHandler {
                    try await attempt.value
                } onCancel: {
                    attempt.cancel()
                }
            } catch is CancellationError {
                // By this task, or by another that waited for the same.
                if connecting == attempt { connecting = nil }
            }
        }
    }

    private func connect() async throws -> Link {
        defer { connecting = nil }
        let deadline = stream.patience.map { ContinuousClock.now + $0 }
        var pauses = Pauses()
        var random = SystemRandomNumberGenerator()
        while true {
            try Task.checkCancellation()
            do {
                let new = try await open()
                link = new
                wasConnected = true
                return new
            } catch let error as UserError {
                guard error.isTemporary, wasConnected else { throw error }
                let pause = pauses.next(using: &random)
                if let deadline, .now + pause > deadline { throw error }
                try await Task.sleep(for: pause)
            }
        }
    }

    private func open() async throws -> Link {
        let new = try Link(stream.place, window: max(1, stream.params.window ?? 100))
        guard !isOver else { return new }
        do {
            var params = stream.params
            if params.consumer == nil, wasConnected { params.since = progress.position }
            let result = try await new.call(
                EventSubscribe.name, try JSONValue(encoding: params), timeout: .seconds(60))
            let place = try EventSubscribe.Result(json: result)
            progress.subscribed(after: place.after, last: place.last)
            return new
        } catch {
            new.close()
            throw error
        }
    }
}
