// A bot at work: hands messages to its command, sends the replies, and only then acknowledges.

import ArgumentParser
import LocalAPI

/// Ties together what decides (`BotSchedule`), what runs (`BotWorker`) and what talks to imd (`BotLink`).
struct BotLoop {
    /// What a message waits for after its command is done.
    private struct Replies {
        let texts: [BotReply]
        var sent = 0
    }

    private struct Given {
        let message: Message
        let task: BotTask
    }

    private let name: String
    private let filter: BotFilter
    private let isReplay: Bool
    private let limits: (parallel: Int, attempts: Int)
    private var worker: any BotWorker
    private var link: BotLink
    private var schedule: BotSchedule
    private var given: [Int64: Given] = [:]
    private var replies: [Int64: Replies] = [:]
    private var own: Set<String> = []
    private var askedFor: Set<String> = []
    private var acknowledged: Int64 = 0
    private var isAcknowledging = false
    /// What failed again in a replay.
    private var failed = 0

    /// - Parameter subscription: nil for a replay, which is given its events.
    init(
        _ name: String, _ worker: any BotWorker, _ filter: BotFilter, parallel: Int, attempts: Int,
        _ subscription: EventSubscribe.Params?
    ) {
        self.name = name
        self.worker = worker
        self.filter = filter
        limits = (parallel, attempts)
        isReplay = subscription == nil
        link = BotLink(name, subscription)
        schedule = BotSchedule(limit: parallel, attempts: attempts)
    }

    /// Handles messages until a signal comes.
    ///
    /// - Throws: `ExitCode` for the signal; `UserError` when it cannot go on.
    mutating func run() throws {
        try work { _ in false }
    }

    /// Handles events that failed before.
    ///
    /// - Returns: how many failed again.
    mutating func replay(_ events: [JSONValue]) throws -> Int {
        for event in events { take(event) }
        try work { $0.schedule.isEmpty && $0.link.isIdle }
        return failed
    }

    private mutating func work(until isDone: (BotLoop) -> Bool) throws {
        var signals = try BotSignals()
        defer { worker.end() }
        while true {
            let now = ContinuousClock.now
            try react(to: link.step(at: now))
            for (number, outcome) in worker.step(at: now) { try settle(number, outcome, at: now) }
            while let job = schedule.next(at: now), let one = given[job.number] {
                worker.take(one.task, at: now)
            }
            acknowledge()
            try link.flush(at: now)
            if isDone(self) { return }
            signals.wait(
                for: link.interests + worker.interests,
                until: [link.wake, worker.wake, schedule.wake].compactMap { $0 }.min())
            if signals.ending != 0 { throw ExitCode(128 + signals.ending) }
        }
    }

    // MARK: What imd tells

    private mutating func react(to news: [BotNews]) throws {
        for one in news {
            switch one {
            case .event(let json):
                if isOfNewAccount(json) { return link.reconnect(at: .now) }
                take(json)
            case .caughtUp(let number): _ = schedule.received(number, lane: nil)
            case .answered(let request, let result): try answered(request, result)
            case .connected(let place, let own):
                self.own = own
                connected(place)
            }
        }
    }

    /// It was added since we asked for all of them; asked for once, as it may be gone again.
    private mutating func isOfNewAccount(_ json: JSONValue) -> Bool {
        guard let account = json["account"]?.string, !isReplay, !own.contains(account) else { return false }
        return askedFor.insert(account).inserted
    }

    private mutating func connected(_ place: EventSubscribe.Result?) {
        isAcknowledging = false
        guard let place else { return }
        // An older log, restored, or a place set back by somebody: the numbers we remember say nothing any more.
        if place.after < acknowledged || place.last < schedule.passed {
            worker.end()
            link.forget()
            (given, replies) = ([:], [:])
            schedule = BotSchedule(after: place.after, limit: limits.parallel, attempts: limits.attempts)
        }
        acknowledged = place.after
        _ = schedule.received(place.after, lane: nil)
    }

    private mutating func take(_ json: JSONValue) {
        guard let number = json["number"]?.integer, number > schedule.passed else { return }
        guard let event = try? Event(json: json) else {
            return refuse(json, number, "it is of a kind that this imctl does not know")
        }
        switch event.detail {
        case .message(let message):
            guard isReplay || filter.wants(message, own: own) else { break }
            guard filter.trusts(message) else { return ignore(json, message, number) }
            guard message.damaged != true else { return refuse(json, number, "what is stored is damaged") }
            guard schedule.received(number, lane: "\(message.account)/\(message.chat)") else { return }
            given[number] = Given(
                message: message,
                task: BotTask(
                    number: number, line: json.serialized(),
                    environment: BotEnvironment.of(message, number: number)))
            return
        case .overflow(let detail):
            Output.diagnose(
                "warning",
                "events \(detail.after + 1) to \(detail.through) were dropped before they were handled")
        default: break
        }
        _ = schedule.received(number, lane: nil)
    }

    /// Says that a message came in clear, once; a failure remains one.
    private mutating func ignore(_ json: JSONValue, _ message: Message, _ number: Int64) {
        let reason = "it came without encryption; --plaintext takes such messages"
        guard !isReplay else { return refuse(json, number, reason) }
        Output.diagnose("warning", "message \(number) from \(message.from) is ignored: \(reason)")
        _ = schedule.received(number, lane: nil)
    }

    /// Keeps an event that no command can be given.
    private mutating func refuse(_ json: JSONValue, _ number: Int64, _ reason: String) {
        guard schedule.received(number, lane: "event \(number)"), schedule.take(number) else { return }
        keep(number, reason)
    }

    // MARK: What the command made of it

    private mutating func settle(
        _ number: Int64, _ outcome: BotOutcome, at now: ContinuousClock.Instant
    ) throws {
        switch outcome {
        case .untouched: schedule.untouched(number)
        case .replied(let texts):
            replies[number] = Replies(texts: texts)
            proceed(number)
        case .refused(let reason): keep(number, reason)
        case .again(let reason):
            guard let pause = schedule.again(number, at: now) else { return keep(number, reason) }
            warn(number, "\(reason); trying again in \(pause.components.seconds) s")
        }
    }

    private func warn(_ number: Int64, _ what: String) {
        let from = given[number].map { " from \($0.message.from)" } ?? ""
        Output.diagnose("warning", "message \(number)\(from): \(what)")
    }

    /// Sends the next reply: one after the other, so that they keep their order whatever happens.
    private mutating func proceed(_ number: Int64) {
        guard let waiting = replies[number], let message = given[number]?.message else { return }
        guard waiting.sent < waiting.texts.count else {
            replies[number] = nil
            if isReplay { return link.ask(.remove(number: number)) }
            return done(number)
        }
        let reply = waiting.texts[waiting.sent]
        // Each kind is counted for itself: without its reactions an answer has the ids that it had with them.
        let place = waiting.texts[..<waiting.sent].count { $0.isReaction == reply.isReaction }
        link.ask(
            .send(
                number: number, index: waiting.sent,
                MessageSend.Params(
                    to: reply.to ?? message.chat, body: reply.body, account: message.account,
                    id: BotReply.id(name, number, place, isReaction: reply.isReaction),
                    reactsTo: reply.isReaction ? message.id : nil)))
    }

    /// It goes to the failures, where a person finds it; those who wait behind it go on.
    private mutating func keep(_ number: Int64, _ reason: String) {
        replies[number] = nil
        warn(number, reason)
        if isReplay {
            failed += 1
            return done(number)
        }
        link.ask(.fail(number: number, attempts: schedule.attempts(of: number), reason: reason))
    }

    private mutating func done(_ number: Int64) {
        schedule.settled(number)
        given[number] = nil
    }

    private mutating func answered(_ request: BotRequest, _ result: Result<JSONValue, UserError>) throws {
        switch (request, result) {
        case (.acknowledge(let number), .success):
            isAcknowledging = false
            acknowledged = max(acknowledged, number)
        case (.send(let number, _, _), .success(let answer)):
            if answer["state"]?.string == DeliveryState.held.rawValue {
                warn(number, "the reply is held until you decide about a device; see \"imctl outbox list\"")
            }
            sent(number)
        // Sent before we were interrupted, with another text: never twice.
        case (.send(let number, _, _), .failure(let error)) where error.code == .conflict: sent(number)
        // Most contacts can be sent no reaction; what comes with it is for them all the same.
        case (.send(let number, _, let params), .failure(let error))
        where params.reactsTo != nil && Self.leavesOut(error):
            warn(number, "its reaction is left out: \(error.code.rawValue)")
            sent(number)
        case (.send(let number, _, _), .failure(let error)):
            keep(number, "the reply was refused: \(error.code.rawValue)")
        case (.fail(let number, _, _), .success), (.remove(let number), .success): done(number)
        // Dropped from the log meanwhile, or taken off the failures by somebody else.
        case (.fail(let number, _, _), .failure(let error)) where error.code == .noSuchEvent,
            (.remove(let number), .failure(let error)) where error.code == .noSuchEvent:
            done(number)
        case (_, .failure(let error)): throw error
        }
    }

    /// What a reaction can be refused for that says nothing of a text.
    private static func leavesOut(_ error: UserError) -> Bool {
        switch error.code {
        case .noTrustedDevice, .optedOut, .encryptionRequired, .noSuchMessage, .invalidParams: true
        default: false
        }
    }

    private mutating func sent(_ number: Int64) {
        replies[number]?.sent += 1
        proceed(number)
    }

    /// Only the unbroken beginning, and one request at a time.
    private mutating func acknowledge() {
        let number = schedule.acknowledgeable
        guard !isReplay, !isAcknowledging, number > acknowledged else { return }
        isAcknowledging = true
        link.ask(.acknowledge(number))
    }
}
