// Runs the hooks: reads events at their places, starts them, writes down what came of it.
import Foundation
import LocalAPI
import Logging
import ServiceLifecycle
import Store
import XMPP

/// Obeys a `HookSchedule`. Nothing runs while there is nothing for a hook.
actor Hooks: Service {
    let store: Store
    let feed: EventFeed
    let log: Logger
    private let folder: HookFolder
    private let home: String
    private let environment: [String]
    private var overrides: [String: HookOverrides]
    private(set) var files: [HookFile] = []
    private var schedule = HookSchedule()
    private var processes: [ObjectIdentifier: HookProcess] = [:]
    private var watch: (identity: [Int64], watch: FolderWatch)?
    private var alarm: (at: Int64, task: Task<Void, Never>)?
    private var isStopping = false
    /// Who waits for `enter`, for each name that somebody has entered.
    private var queues: [String: [CheckedContinuation<Void, Never>]] = [:]
    /// Another `reload` because a hook could not begin.
    private var retry: Task<Void, Never>?
    /// Hooks that lost events, since they last lost none.
    private var behind: Set<String> = []

    /// - Parameters:
    ///   - folder: of the hooks; need not exist.
    ///   - environment: of the daemon.
    init(
        store: Store, feed: EventFeed, folder: String, overrides: [String: HookOverrides],
        environment: [String: String], log: Logger
    ) {
        self.store = store
        self.feed = feed
        self.folder = HookFolder(path: folder)
        self.overrides = overrides
        self.environment = HookEnvironment.base(environment)
        home = environment["HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil } ?? "/"
        self.log = log
    }

    /// Returns when the daemon shuts down and no hook runs any more.
    func run() async throws {
        let last = try await store.read { try $0.lastEventNumber() }
        let subscriber = try feed.subscribe(consumer: nil, after: last)
        feed.reached(last)
        await reload()
        await cancelWhenGracefulShutdown {
            for await _ in subscriber.wakeUps { await self.turn() }
        }
        feed.unsubscribe(subscriber)
        await stop()
    }

    // MARK: The folder

    /// Takes another configuration.
    func configure(_ overrides: [String: HookOverrides]) async {
        self.overrides = overrides
        await reload()
    }

    /// Looks at the folder again. New hooks begin with the next event.
    func reload() async {
        // A file cannot have this name.
        await enter("")
        defer { leave("") }
        follow()
        let found = folder.scan(overrides)
        let changed = found.filter { file in !files.contains(file) }
        files = found
        for file in changed {
            if let refusal = file.refusal {
                log.warning("a hook is not run", metadata: ["hook": "\(file.name)", "reason": "\(refusal)"])
            } else if !schedule.isKnown(file.name) {
                log.info("a hook is run", metadata: ["hook": "\(file.name)"])
            }
        }
        let good = found.filter { $0.refusal == nil }
        for name in schedule.hooks where !good.contains(where: { $0.name == name }) { schedule.remove(name) }
        for file in good { await begin(file) }
        turn()
    }

    /// A folder that was made anew is another one; one that is not there is noticed at the next `reload`.
    private func follow() {
        let identity = folder.identity
        guard identity != watch?.identity else { return }
        watch?.watch.close()
        watch = nil
        guard let identity, !isStopping else { return }
        watch = FolderWatch(folder.path) { [weak self] in Task { await self?.reload() } }.map {
            (identity, $0)
        }
    }

    private func begin(_ file: HookFile) async {
        guard !schedule.isKnown(file.name) else { return schedule.set(file.name, file.settings) }
        await enter(file.name)
        defer { leave(file.name) }
        guard !schedule.isKnown(file.name) else { return schedule.set(file.name, file.settings) }
        await place(file)
    }

    /// Reads the place of a hook, which must have been entered.
    /// - Returns: false where that is tried again later.
    @discardableResult
    private func place(_ file: HookFile) async -> Bool {
        let running = schedule.numbers(file.name)
        let now = Clock.now()
        do {
            let (place, waiting) = try await store.write { tx in
                if try tx.consumer(file.consumer) == nil {
                    try tx.createConsumer(file.consumer, at: try tx.lastEventNumber(), now: now)
                }
                return (
                    try tx.consumer(file.consumer)?.acknowledged ?? 0,
                    try tx.waiting(file.consumer, besides: running)
                )
            }
            schedule.set(file.name, file.settings, at: place, waiting)
            return true
        } catch {
            log.warning(
                "a hook cannot begin", metadata: ["hook": "\(file.name)", "error": "\(error)"])
            beginLater()
            return false
        }
    }

    private func beginLater() {
        guard retry == nil, !isStopping else { return }
        retry = Task {
            guard (try? await Task.sleep(for: .seconds(5))) != nil else { return }
            self.retry = nil
            await self.reload()
        }
    }

    // MARK: Events

    /// Starts whatever can be started.
    private func turn() {
        guard !isStopping else { return }
        while let look = schedule.next(now: Clock.now(), newest: feed.newest) {
            Task { await self.follow(look) }
        }
        setAlarm()
    }

    private func follow(_ look: HookSchedule.Look) async {
        do {
            let now = Clock.now()
            let found = try await store.read { try $0.find(look, now: now) }
            let (start, record) = schedule.found(found.found, by: look)
            for event in start { Task { await self.run(event, look.hook) } }
            if let record {
                await enter(look.hook)
                _ = try? await store.write { try $0.write(record, now: now) }
                leave(look.hook)
            }
            if look.after != nil { await tell(look.hook, lost: found.lost) }
        } catch {
            log.warning(
                "the events for a hook cannot be read",
                metadata: ["hook": "\(look.hook)", "error": "\(error)"])
            try? await Task.sleep(for: .seconds(5))
            schedule.missed(look)
        }
        turn()
    }

    private func run(_ event: HookSchedule.Event, _ hook: String) async {
        guard !isStopping else { return }
        let reason: String?
        if let file = file(hook) {
            let refusal = HookFolder.refusal(file)
            reason = refusal == nil ? await execute(file, event.text).failure : refusal
        } else {
            reason = "it is not there any more"
        }
        // What was ended with the daemon is begun again after it.
        if isStopping, reason != nil { return }
        guard let record = schedule.ended(hook, event.number, reason, now: Clock.now()) else { return }
        tell(record, event)
        await enter(hook)
        let waiting = await keep(record, of: event.number)
        schedule.recorded(hook, event.number, waiting)
        leave(hook)
        turn()
    }

    private func file(_ hook: String) -> HookFile? { files.first { $0.name == hook } }

    /// Runs the file once, for the object of an event.
    private func execute(_ file: HookFile, _ event: String) async -> HookResult {
        let ids = (try? JSONValue(strict: Array(event.utf8))).map(HookEnvironment.ids) ?? []
        let process = HookProcess(
            path: file.path, input: Array(event.utf8) + [0x0a], environment: environment + ids, folder: home,
            timeLimit: file.settings.timeout)
        processes[ObjectIdentifier(process)] = process
        defer { processes[ObjectIdentifier(process)] = nil }
        return await process.run()
    }

    /// What is printed by a hook is in the list of failures, never here.
    private func tell(_ record: HookSchedule.Record, _ event: HookSchedule.Event) {
        guard let letter = record.put.first(where: { $0.event.number == event.number }) else { return }
        let metadata: Logger.Metadata = [
            "hook": "\(record.hook)", "event": "\(event.number)", "attempts": "\(letter.event.attempts)",
        ]
        if letter.retryAt == nil {
            log.warning("a hook failed at an event and is not tried again", metadata: metadata)
        } else {
            log.info("a hook failed at an event", metadata: metadata)
        }
    }

    /// Told once, until the hook has caught up.
    private func tell(_ hook: String, lost through: Int64) async {
        guard through > 0 else {
            behind.remove(hook)
            return
        }
        log.warning(
            "events were dropped before a hook got them",
            metadata: ["hook": "\(hook)", "through": "\(through)"])
        guard behind.insert(hook).inserted else { return }
        let error = UserError(
            .hookFailed, "events up to \(through) were dropped before the hook \(hook) got them",
            hint: "have a higher event-limit, or a faster hook")
        let now = Clock.now()
        _ = try? await store.write { try $0.append(.error(error), account: nil, chat: nil, now: now) }
    }

    /// Tries until it is on disk: otherwise the hook would have the event again, and it has no place for another.
    private func keep(_ record: HookSchedule.Record, of number: Int64) async -> HookSchedule.Waiting {
        var record = record
        while true {
            // Other runs may have ended, and been written down, since this one did.
            record.running = schedule.numbers(record.hook).filter { $0 != number }
            do {
                let now = Clock.now()
                return try await store.write { [record] in try $0.write(record, now: now) }
            } catch StoreError.closed {
                return HookSchedule.Waiting()
            } catch StoreError.constraint(let what) {
                // It would be refused again.
                log.error(
                    "what a hook did is refused by the database",
                    metadata: ["hook": "\(record.hook)", "error": "\(what)"])
                return await waiting(record)
            } catch {
                log.warning(
                    "what a hook did cannot be written down",
                    metadata: ["hook": "\(record.hook)", "error": "\(error)"])
                try? await Task.sleep(for: .seconds(1))
                if isStopping { return HookSchedule.Waiting() }
            }
        }
    }

    private func waiting(_ record: HookSchedule.Record) async -> HookSchedule.Waiting {
        let consumer = HookFile.consumerPrefix + record.hook
        let found = try? await store.read { try $0.waiting(consumer, besides: record.running) }
        return found ?? HookSchedule.Waiting()
    }

    private func setAlarm() {
        let now = Clock.now()
        guard let at = schedule.alarm(now: now) else {
            alarm?.task.cancel()
            alarm = nil
            return
        }
        guard alarm?.at != at else { return }
        alarm?.task.cancel()
        let wait = min(max(at - now, 10), HookSchedule.horizon)
        alarm = (
            at,
            Task {
                guard (try? await Task.sleep(for: .milliseconds(wait))) != nil else { return }
                self.ring()
            }
        )
    }

    private func ring() {
        alarm = nil
        turn()
    }

    /// Ends what runs.
    private func stop() async {
        isStopping = true
        alarm?.task.cancel()
        retry?.cancel()
        watch?.watch.close()
        for (signal, rounds) in [(SIGTERM, 30), (SIGKILL, 30)] {
            for process in processes.values { process.signal(signal) }
            for _ in 0..<rounds where !processes.isEmpty { try? await Task.sleep(for: .milliseconds(10)) }
        }
    }
}

extension Hooks {
    /// One run beside the others, of which nothing is kept.
    /// - Throws: `.noSuchHook`, `.busy`, `.configuration` where the file must not be run.
    func test(_ name: String, _ event: String) async throws -> HookResult {
        await reload()
        let file = try known(name)
        if let refusal = file.refusal {
            throw UserError(
                .configuration, "the hook \(name) is not run: \(refusal)", hint: "see: imctl hook list")
        }
        guard schedule.beginTest() else {
            throw UserError(.busy, "\(HookSchedule.maxRunning) hooks are running", hint: "try again later")
        }
        defer {
            schedule.endTest()
            turn()
        }
        return await execute(file, event)
    }

    /// - Throws: `.noSuchHook`.
    func known(_ name: String) throws(UserError) -> HookFile {
        guard let file = file(name) else {
            throw UserError(.noSuchHook, "no hook \"\(name)\"", hint: "see: imctl hook list")
        }
        return file
    }

    func running(_ name: String) -> Int { schedule.running(name) }
}

// MARK: One after the other

extension Hooks {
    /// Waits until everybody who came before has left: what is written about a hook keeps its order.
    private func enter(_ name: String) async {
        guard queues[name] != nil else { return queues[name] = [] }
        await withCheckedContinuation { queues[name]?.append($0) }
    }

    private func leave(_ name: String) {
        guard let queue = queues[name], !queue.isEmpty else { return queues[name] = nil }
        queues[name]?.removeFirst().resume()
    }

    /// Changes the place of a consumer; where it is a hook's, nothing that it does meanwhile undoes that.
    func move<Value: Sendable>(
        _ consumer: String, _ write: @Sendable () async throws -> Value
    ) async throws -> Value {
        guard let name = Self.name(consumer) else { return try await write() }
        schedule.beginMove(name)
        await enter(name)
        defer {
            schedule.endMove(name)
            leave(name)
            turn()
        }
        let value = try await write()
        if let file = file(name), file.refusal == nil, await place(file) { return value }
        schedule.lose(name)
        return value
    }

    /// Changes what is kept of a consumer.
    func keep<Value: Sendable>(
        _ consumer: String, _ write: @Sendable () async throws -> Value
    ) async throws -> Value {
        guard let name = Self.name(consumer) else { return try await write() }
        await enter(name)
        defer { leave(name) }
        let value = try await write()
        let running = schedule.numbers(name)
        if let waiting = try? await store.read({ try $0.waiting(consumer, besides: running) }) {
            schedule.waits(name, waiting)
            turn()
        }
        return value
    }

    private static func name(_ consumer: String) -> String? {
        guard consumer.hasPrefix(HookFile.consumerPrefix) else { return nil }
        return String(consumer.dropFirst(HookFile.consumerPrefix.count))
    }
}
