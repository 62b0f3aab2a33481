// What the methods about events that consumers failed at do.
import LocalAPI
import Store
import XMPP

extension Handlers {
    func registerFailures(_ dispatcher: inout Dispatcher) {
        dispatcher.on(FailureList.self) { params in try await failures(params) }
        dispatcher.on(FailureAdd.self) { params in
            try await hooks.keep(params.consumer) { try await add(params) }
            return Empty()
        }
        dispatcher.on(FailureRemove.self) { params in
            try await hooks.keep(params.consumer) { try await remove(params) }
            return Empty()
        }
    }

    func failures(_ params: FailureList.Params) async throws -> FailureList.Result {
        let letters = try await store.read { tx in
            if let name = params.consumer, try tx.consumer(name) == nil { throw unknown(name) }
            return try tx.deadLetters(of: params.consumer, limit: params.limit ?? 100)
        }
        return FailureList.Result(failures: letters.map(FailureList.Failure.init))
    }

    func add(_ params: FailureAdd.Params) async throws {
        let now = Clock.now()
        try await store.write { tx in
            guard let consumer = try tx.consumer(params.consumer) else { throw unknown(params.consumer) }
            var letter = DeadLetter(
                consumer: consumer.name, number: params.number, account: nil, attempts: params.attempts,
                reason: params.reason, at: now, event: "")
            if try tx.deadLetter(of: consumer.name, number: params.number) == nil {
                (letter.account, letter.event) = try tx.eventObject(params.number, for: consumer)
            }
            try tx.put(letter)
        }
    }

    func remove(_ params: FailureRemove.Params) async throws {
        try await store.write { tx in
            guard try tx.removeDeadLetter(of: params.consumer, number: params.number) else {
                throw UserError(
                    .noSuchEvent,
                    "nothing is kept of event \(params.number) for the consumer \"\(params.consumer)\"",
                    hint: "see: imctl call failure.list")
            }
        }
    }
}

extension Transaction {
    /// An event as its subscribers get it, and its account's row.
    ///
    /// - Throws: `.noSuchEvent`. For what was dropped a consumer was told of the loss instead, under the number of the
    ///   last event that is gone.
    func eventObject(
        _ number: Int64, for consumer: ConsumerRecord
    ) throws -> (account: Int64?, text: String) {
        if let event = try events(after: number - 1, limit: 1).first, event.number == number {
            let names = try accountJIDs()
            let account = event.account.flatMap { names[$0] }
            return (event.account, event.object(account: account))
        }
        guard try number == droppedThrough(), number > 0 else {
            throw UserError(.noSuchEvent, "there is no event \(number)", hint: "see: imctl events")
        }
        let detail = OverflowDetail(after: min(consumer.acknowledged, number - 1), through: number)
        let event = Event(
            number: number, account: nil, at: Timestamp(milliseconds: Clock.now()), detail: .overflow(detail))
        return (nil, Event.object(of: try event.line()))
    }
}

extension EventRecord {
    /// The event without what makes it a notification.
    func object(account: JID?) -> String { Event.object(of: line(account: account)) }
}

extension FailureList.Failure {
    init(_ letter: DeadLetter) {
        self.init(
            consumer: letter.consumer, number: letter.number, attempts: letter.attempts,
            reason: letter.reason, at: Timestamp(milliseconds: letter.at),
            retryAt: letter.retryAt.map(Timestamp.init(milliseconds:)),
            event: (try? JSONValue(strict: Array(letter.event.utf8))) ?? .null)
    }
}
