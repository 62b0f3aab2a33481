// What the hooks read from the store, and what they write there.
import LocalAPI
import Store
import XMPP

extension Transaction {
    func waiting(_ consumer: String, besides running: [Int64]) throws -> HookSchedule.Waiting {
        let (count, next) = try waitingLetters(of: consumer, besides: running)
        return HookSchedule.Waiting(count: count, next: next)
    }

    /// What a hook gets next.
    /// - Returns: also the number of the last event that was dropped before the hook got it, 0 for none.
    func find(_ look: HookSchedule.Look, now: Int64) throws -> (found: HookSchedule.Found, lost: Int64) {
        let consumer = HookFile.consumerPrefix + look.hook
        var events = try dueLetters(
            of: consumer, now: now, horizon: HookSchedule.horizon, besides: look.running, limit: look.limit
        ).map(HookSchedule.Event.init)
        var through: Int64?
        var lost: Int64 = 0
        if let after = look.after, events.count < look.limit {
            lost = try droppedThrough() > after ? droppedThrough() : 0
            let (more, end) = try news(look, after: max(after, lost), limit: look.limit - events.count)
            events += more
            through = end
        }
        let running = look.running + events.map(\.number)
        let waiting = try waiting(consumer, besides: running)
        return (HookSchedule.Found(events: events, through: through, waiting: waiting), lost)
    }

    private func news(
        _ look: HookSchedule.Look, after: Int64, limit: Int
    ) throws -> (events: [HookSchedule.Event], through: Int64) {
        let settings = look.settings
        let names = try accountJIDs()
        let account = settings.account.flatMap { jid in names.first { $0.value == jid }?.key }
        // An account that is not there yet has no events.
        if settings.account != nil, account == nil { return ([], max(after, try lastEventNumber())) }
        let filter = EventFilter(types: settings.types.map(\.rawValue), account: account, chat: settings.chat)
        // Own messages of other devices are left out here.
        let page = limit + 3
        let records = try events(after: after, filter, limit: page)
        var through = records.count < page ? max(after, try lastEventNumber()) : after
        var events: [HookSchedule.Event] = []
        for record in records {
            let isOwn = record.type == EventType.message.rawValue && record.message?.direction != .in
            if !isOwn || settings.outgoing {
                // The next look begins here.
                if events.count == limit { return (events, max(record.number - 1, after)) }
                events.append(
                    HookSchedule.Event(
                        number: record.number, account: record.account,
                        isError: record.type == EventType.error.rawValue,
                        text: record.object(account: record.account.flatMap { names[$0] })))
            }
            through = max(through, record.number)
        }
        return (events, through)
    }

    /// Writes down what a run came to.
    /// - Returns: what waits now.
    func write(_ record: HookSchedule.Record, now: Int64) throws -> HookSchedule.Waiting {
        let consumer = HookFile.consumerPrefix + record.hook
        guard try self.consumer(consumer) != nil else { return HookSchedule.Waiting() }
        for letter in record.put {
            // Its account may be gone meanwhile, and what it said with it.
            if let account = letter.event.account, try self.account(id: account) == nil { continue }
            try put(
                DeadLetter(
                    consumer: consumer, number: letter.event.number, account: letter.event.account,
                    attempts: letter.event.attempts, reason: letter.reason, at: now, retryAt: letter.retryAt,
                    event: letter.event.text))
        }
        if let number = record.remove { try removeDeadLetter(of: consumer, number: number) }
        if let number = record.acknowledge { try acknowledge(consumer: consumer, number: number) }
        if record.dead == true, let number = record.put.first?.event.number {
            let error = UserError(
                .hookFailed, "the hook \(record.hook) failed at event \(number)",
                hint: "see: imctl hook failures \(record.hook)")
            let account = try record.put.first?.event.account.flatMap {
                try self.account(id: $0) == nil ? nil : $0
            }
            try append(.error(error), account: account, chat: nil, now: now)
        }
        return try waiting(consumer, besides: record.running)
    }
}

extension HookSchedule.Event {
    init(_ letter: DeadLetter) {
        self.init(
            number: letter.number, account: letter.account,
            isError: letter.event.contains(#""type":"error""#), text: letter.event, attempts: letter.attempts,
            isKept: true)
    }
}
