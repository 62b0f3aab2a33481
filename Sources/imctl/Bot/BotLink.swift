// A bot's way to imd: events on one connection, requests on another, both taken up again when imd was restarted.

import Glibc
import LocalAPI

/// What a bot asks imd to do. All of it may be asked twice.
enum BotRequest {
    case send(number: Int64, index: Int, MessageSend.Params)
    case fail(number: Int64, attempts: Int, reason: String)
    case remove(number: Int64)
    case acknowledge(Int64)
}

/// What happened on the way.
enum BotNews {
    case event(JSONValue)
    case caughtUp(Int64)
    case answered(BotRequest, Result<JSONValue, UserError>)
    /// The connection is there, the first time or again; with the addresses of all our accounts.
    case connected(EventSubscribe.Result?, own: Set<String>)
}

/// Keeps requests until they are answered. Waits for nothing but a new connection's first answers.
///
/// imd answers a connection in order and only as fast as it is read; two of them, and few requests at a time, keep
/// either side from waiting for the other.
struct BotLink {
    private static let concurrency = 8
    /// How long imd may take for the first answers on a connection, in seconds.
    private static let greeting = 20.0

    let consumer: String
    private let subscription: EventSubscribe.Params?
    private var events: Client?
    private var calls: Client?
    private var queue: [BotRequest] = []
    private var underWay: [BotRequest] = []
    private var pausedUntil: ContinuousClock.Instant?
    private var giveUpAt: ContinuousClock.Instant?
    private var hasWarned = false

    /// - Parameter subscription: nil when no events are wanted.
    init(_ consumer: String, _ subscription: EventSubscribe.Params?) {
        self.consumer = consumer
        self.subscription = subscription
    }

    /// Nothing is asked that is not answered.
    var isIdle: Bool { queue.isEmpty && underWay.isEmpty }

    mutating func ask(_ request: BotRequest) { queue.append(request) }

    /// Forgets what was asked.
    mutating func forget() { (queue, underWay) = ([], []) }

    /// What to wait for.
    var interests: [pollfd] {
        [events, calls].map { pollfd(fd: $0?.descriptor ?? -1, events: Int16(POLLIN), revents: 0) }
    }

    /// When to look again although nothing happens.
    var wake: ContinuousClock.Instant? { pausedUntil }

    /// - Throws: what a restart of imd does not explain, or its staying away for too long.
    mutating func step(at now: ContinuousClock.Instant) throws -> [BotNews] {
        if let pausedUntil {
            guard pausedUntil <= now else { return calls == nil ? [] : try read(at: now) }
            self.pausedUntil = nil
        }
        let news = calls == nil ? try connect(at: now) : []
        return calls == nil ? news : news + (try read(at: now))
    }

    /// Sends what was asked for since.
    mutating func flush(at now: ContinuousClock.Instant) throws {
        guard pausedUntil == nil else { return }
        do throws(UserError) {
            try begin()
        } catch {
            try lost(error, at: now)
        }
    }

    // MARK: Connecting

    private mutating func connect(at now: ContinuousClock.Instant) throws -> [BotNews] {
        do throws(UserError) {
            let calls = try Daemon.connect()
            let own = try Self.addresses(calls)
            var place: EventSubscribe.Result?
            if let subscription {
                let events = try Daemon.connect()
                place = try events.call(EventSubscribe.self, subscription, timeout: Self.greeting)
                self.events = events
            }
            self.calls = calls
            giveUpAt = nil
            queue = underWay + queue
            underWay = []
            return [.connected(place, own: own)]
        } catch {
            events = nil
            guard let giveUpAt, Daemon.isTemporary(error) || error.code == .conflict else { throw error }
            guard now < giveUpAt else {
                throw UserError(
                    .daemonNotRunning, "imd went away and did not come back in time",
                    hint: "run the same command again when it is there: it goes on where this one ended")
            }
            pausedUntil = now + .milliseconds(50)
            return []
        }
    }

    private static func addresses(_ client: Client) throws(UserError) -> Set<String> {
        Set(try client.call(AccountList.self, Empty(), timeout: greeting).accounts.map(\.jid))
    }

    /// Begins anew: what is not yet taken comes again, and the accounts are looked up.
    mutating func reconnect(at now: ContinuousClock.Instant) {
        (events, calls) = (nil, nil)
        giveUpAt = now + .seconds(EventReader.patience)
    }

    private mutating func lost(_ error: UserError, at now: ContinuousClock.Instant) throws {
        guard error.code == .daemonNotRunning else { throw error }
        Output.diagnose("warning", "\(error.message); waiting for imd to come back")
        reconnect(at: now)
        pausedUntil = now + .milliseconds(20)
    }

    // MARK: Reading and asking

    private mutating func read(at now: ContinuousClock.Instant) throws -> [BotNews] {
        var news: [BotNews] = []
        do throws(UserError) {
            try answers(at: now, &news)
            while let notification = try events?.nextNotification(timeout: 0) {
                switch notification {
                case .event(let json): news.append(.event(json))
                case .caughtUp(let number): news.append(.caughtUp(number))
                }
            }
        } catch {
            try lost(error, at: now)
        }
        return news
    }

    private mutating func begin() throws(UserError) {
        while let calls, underWay.count < Self.concurrency, let request = queue.first {
            switch request {
            case .send(_, _, let params): try calls.begin(MessageSend.self, params)
            case .fail(let number, let attempts, let reason):
                try calls.begin(
                    FailureAdd.self,
                    .init(consumer: consumer, number: number, attempts: Int64(attempts), reason: reason))
            case .remove(let number):
                try calls.begin(FailureRemove.self, .init(consumer: consumer, number: number))
            case .acknowledge(let number):
                try calls.begin(EventAck.self, .init(consumer: consumer, number: number))
            }
            underWay.append(queue.removeFirst())
        }
    }

    private mutating func answers(
        at now: ContinuousClock.Instant, _ news: inout [BotNews]
    ) throws(UserError) {
        while let answer = try calls?.nextAnswer(timeout: 0), !underWay.isEmpty {
            let request = underWay.removeFirst()
            guard case .failure(let error) = answer, Self.isPassing(error) else {
                if case .success = answer { hasWarned = false }
                news.append(.answered(request, answer))
                continue
            }
            if !hasWarned { Output.diagnose("warning", "\(error.message); trying again") }
            hasWarned = true
            queue.insert(request, at: 0)
            pausedUntil = now + .seconds(2)
        }
    }

    /// What will work later.
    private static func isPassing(_ error: UserError) -> Bool {
        switch error.code {
        case .storage, .diskFull, .busy, .timeout, .notConnected: true
        default: false
        }
    }
}
