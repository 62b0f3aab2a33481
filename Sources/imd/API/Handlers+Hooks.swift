// What the methods about hooks do.
import LocalAPI
import Store
import XMPP

extension Handlers {
    func registerHooks(_ dispatcher: inout Dispatcher) {
        dispatcher.on(HookList.self) { _ in HookList.Result(hooks: try await hookList()) }
        dispatcher.on(HookTest.self) { params in try await test(params) }
        dispatcher.on(HookReplay.self) { params in
            HookReplay.Result(count: Int64(try await replay(params)))
        }
    }

    private func hookList() async throws -> [HookList.Hook] {
        await hooks.reload()
        let files = await hooks.files
        var list: [HookList.Hook] = []
        let states = try await store.read { tx in
            try tx.consumers().filter { $0.name.hasPrefix(HookFile.consumerPrefix) }.map { consumer in
                let kept = try tx.countDeadLetters(of: consumer.name)
                return (consumer, kept)
            }
        }
        for file in files {
            let state = states.first { $0.0.name == file.consumer }
            var hook = HookList.Hook(name: file.name, state: .refused, reason: file.refusal)
            hook.count(state)
            if file.refusal == nil { hook.describe(file.settings) }
            hook.running = Int64(await hooks.running(file.name))
            list.append(hook)
        }
        for state in states where !files.contains(where: { $0.consumer == state.0.name }) {
            let name = String(state.0.name.dropFirst(HookFile.consumerPrefix.count))
            var hook = HookList.Hook(
                name: name, state: .missing,
                reason: "its file is gone; imctl consumer remove forgets its place")
            hook.count(state)
            list.append(hook)
        }
        return list
    }

    private func test(_ params: HookTest.Params) async throws -> HookTest.Result {
        var text = String(decoding: HookTest.sample.serialized(), as: UTF8.self)
        if let event = params.event { text = String(decoding: event.serialized(), as: UTF8.self) }
        if let number = params.number {
            text = try await store.read { tx in
                guard let record = try tx.events(after: number - 1, limit: 1).first, record.number == number
                else {
                    throw UserError(.noSuchEvent, "there is no event \(number)", hint: "see: imctl events")
                }
                let names = try tx.accountJIDs()
                return record.object(account: record.account.flatMap { names[$0] })
            }
        }
        let started = Clock.uptime()
        let result = try await hooks.test(params.name, text)
        var answer = HookTest.Result(
            milliseconds: max(0, Clock.uptime() - started),
            output: String(decoding: result.output, as: UTF8.self),
            errors: String(decoding: result.errors, as: UTF8.self), failure: result.failure)
        if case .exited(let status) = result.ending { answer.status = Int64(status) }
        return answer
    }

    private func replay(_ params: HookReplay.Params) async throws -> Int {
        await hooks.reload()
        let consumer = HookFile.consumerPrefix + params.name
        return try await hooks.keep(consumer) { try await revive(params, consumer) }
    }

    private func revive(_ params: HookReplay.Params, _ consumer: String) async throws -> Int {
        let now = Clock.now()
        return try await store.write { tx in
            guard let record = try tx.consumer(consumer) else {
                throw UserError(.noSuchHook, "no hook \"\(params.name)\"", hint: "see: imctl hook list")
            }
            guard let number = params.number else { return try tx.reviveLetters(of: consumer, now: now) }
            var letter: DeadLetter
            if let kept = try tx.deadLetter(of: consumer, number: number) {
                letter = kept
            } else {
                let (account, text) = try tx.eventObject(number, for: record)
                letter = DeadLetter(
                    consumer: consumer, number: number, account: account, attempts: 0,
                    reason: "to be run again", at: now, event: text)
            }
            (letter.attempts, letter.retryAt) = (0, now)
            try tx.put(letter)
            return 1
        }
    }
}

extension HookList.Hook {
    fileprivate mutating func count(_ state: (ConsumerRecord, (waiting: Int, failed: Int))?) {
        guard let (consumer, kept) = state else { return }
        acknowledged = consumer.acknowledged
        pending = consumer.pending
        waiting = Int64(kept.waiting)
        failed = Int64(kept.failed)
    }

    fileprivate mutating func describe(_ settings: HookSettings) {
        state = settings.enabled ? .active : .disabled
        types = settings.types.map(\.rawValue)
        account = settings.account?.description
        chat = settings.chat?.description
        parallel = settings.parallel
        timeout = settings.timeout
        attempts = settings.attempts
    }
}
