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
    private var watch: (inode: UInt64, watch: FolderWatch)?
    private var alarm: (at: Int64, task: Task<Void, Never>)?
    private var isStopping = false

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
        let inode = folder.inode
        guard inode != watch?.inode else { return }
        watch?.watch.close()
        watch = nil
        guard let inode, !isStopping else { return }
        watch = FolderWatch(folder.path) { [weak self] in Task { await self?.reload() } }.map { (inode, $0) }
    }

    /// The place, or what is kept, of a consumer was changed by others.
    func changed(consumer: String) async {
        guard let file = files.first(where: { $0.consumer == consumer && $0.refusal == nil }) else { return }
        schedule.remove(file.name)
        await begin(file)
        turn()
    }

    private func begin(_ file: HookFile) async {
        guard !schedule.isKnown(file.name) else { return schedule.set(file.name, file.settings) }
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
        } catch {
            log.warning(
                "a hook cannot begin", metadata: ["hook": "\(file.name)", "error": "\(error)"])
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
            if found.lost > 0 {
                log.warning(
                    "events were dropped before a hook got them",
                    metadata: ["hook": "\(look.hook)", "through": "\(found.lost)"])
            }
            let (start, record) = schedule.found(found.found, by: look)
            for event in start { Task { await self.run(event, look.hook) } }
            if let record { _ = try? await store.write { try $0.write(record, now: now) } }
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
        let waiting = await keep(record)
        schedule.recorded(hook, event.number, waiting)
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

    /// Tries until it is on disk: otherwise the hook would have the event again, and it has no place for another.
    private func keep(_ record: HookSchedule.Record) async -> HookSchedule.Waiting {
        while true {
            do {
                let now = Clock.now()
                return try await store.write { try $0.write(record, now: now) }
            } catch StoreError.closed {
                return HookSchedule.Waiting()
            } catch {
                log.warning(
                    "what a hook did cannot be written down",
                    metadata: ["hook": "\(record.hook)", "error": "\(error)"])
                try? await Task.sleep(for: .seconds(1))
                if isStopping { return HookSchedule.Waiting() }
            }
        }
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
        defer { schedule.endTest() }
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
