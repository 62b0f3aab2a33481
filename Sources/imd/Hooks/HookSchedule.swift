// What to run next for which hook, and what to write down when a run has ended: decisions alone.

/// The hooks' places and runs.
///
/// A hook's place moves on as soon as a run ends, over everything that was looked at: events before it that are still
/// being run are then kept as letters that are due at once, so that a restart repeats only what was running.
struct HookSchedule {
    /// Runs at one time, over all hooks.
    static let maxRunning = 8
    /// Events of one hook that wait to be tried again, before nothing new is begun.
    static let maxWaiting = 1000
    /// Events that were not for a hook, before its place is written down without a run.
    static let maxSkipped: Int64 = 1000

    /// An event to run.
    struct Event: Equatable, Sendable {
        var number: Int64
        var account: Int64?
        var isError = false
        /// The object, as the hook gets it.
        var text: String
        /// How often it was tried.
        var attempts: Int64 = 0
        /// There is a letter of it.
        var isKept = false
    }

    /// What to look for in the store.
    struct Look: Equatable, Sendable {
        var hook: String
        var settings: HookSettings
        /// Letters that are due come first, then events with higher numbers; nil for no new events.
        var after: Int64?
        var running: [Int64]
        var limit: Int
        fileprivate(set) var generation: Int
        fileprivate(set) var recordings: Int
    }

    /// What was found.
    struct Found: Sendable {
        /// No more than were asked for.
        var events: [Event]
        /// Everything up to here was looked at; nil where no new events were asked for.
        var through: Int64?
        var waiting: Waiting
    }

    /// What of a hook waits to be tried again, besides what is being tried.
    struct Waiting: Equatable, Sendable {
        var count = 0
        /// When the first is due, Unix milliseconds.
        var next: Int64?
    }

    /// What to write down, in one transaction.
    struct Record: Equatable, Sendable {
        var hook: String
        var acknowledge: Int64?
        var remove: Int64?
        var put: [Letter] = []
        /// The run failed for good; true for the first such event since a run went well.
        var dead: Bool?
        var running: [Int64] = []
    }

    struct Letter: Equatable, Sendable {
        var event: Event
        var reason: String
        var retryAt: Int64?
    }

    private struct Line {
        var settings: HookSettings
        /// Everything up to here was looked at.
        var position: Int64
        /// So far is written down.
        var acknowledged: Int64
        var waiting: Waiting
        var runs: [Int64: Event] = [:]
        /// Places that a look under way may fill.
        var reserved = 0
        var isFailing = false
        var isGone = false
        var generation = 0
        /// How often `waiting` was taken from the store while something may have been looked for.
        var recordings = 0
    }

    private var lines: [String: Line] = [:]
    /// Who was served last is served last again.
    private var order: [String] = []
    /// Runs that belong to no event.
    private var tests = 0
    /// Hooks whose place is being changed by others, and by how many.
    private var moves: [String: Int] = [:]

    var runningCount: Int { tests + lines.values.reduce(0) { $0 + $1.runs.count + $1.reserved } }

    func running(_ hook: String) -> Int { lines[hook]?.runs.count ?? 0 }

    func numbers(_ hook: String) -> [Int64] { lines[hook]?.runs.keys.sorted() ?? [] }

    func isKnown(_ hook: String) -> Bool { lines[hook].map { !$0.isGone } ?? false }

    // MARK: Hooks come and go

    /// A hook begins, has other settings, or another place: only with one the place is taken over.
    mutating func set(
        _ hook: String, _ settings: HookSettings, at place: Int64? = nil, _ waiting: Waiting? = nil
    ) {
        var line =
            lines[hook]
            ?? Line(settings: settings, position: 0, acknowledged: 0, waiting: Waiting())
        if lines[hook] == nil { order.append(hook) }
        line.settings = settings
        line.isGone = false
        line.generation += 1
        if let place { (line.position, line.acknowledged) = (place, place) }
        if let waiting { line.waiting = waiting }
        lines[hook] = line
    }

    /// A hook gets nothing new. What it runs goes on to its end.
    mutating func remove(_ hook: String) {
        lines[hook]?.isGone = true
        lines[hook]?.generation += 1
        forget(hook)
    }

    /// Others are about to change a hook's place: it gets nothing new and acknowledges nothing until `endMove`.
    mutating func beginMove(_ hook: String) {
        moves[hook, default: 0] += 1
        lines[hook]?.generation += 1
    }

    mutating func endMove(_ hook: String) {
        guard let count = moves[hook] else { return }
        moves[hook] = count > 1 ? count - 1 : nil
    }

    /// A hook's place was changed and could not be read: it is not run, and acknowledges nothing, until it is `set`.
    mutating func lose(_ hook: String) {
        lines[hook]?.position = 0
        remove(hook)
    }

    private mutating func forget(_ hook: String) {
        guard let line = lines[hook], line.isGone, line.runs.isEmpty, line.reserved == 0 else { return }
        lines[hook] = nil
        order.removeAll { $0 == hook }
    }

    var hooks: [String] { lines.filter { !$0.value.isGone }.keys.sorted() }

    // MARK: Runs

    /// The next place to look at, in turn for each hook; its runs are reserved until `found` or `missed`.
    /// - Parameter newest: an event of that number exists.
    mutating func next(now: Int64, newest: Int64) -> Look? {
        let free = Self.maxRunning - runningCount
        guard free > 0 else { return nil }
        for hook in order {
            guard var line = lines[hook], !line.isGone, line.settings.enabled, line.reserved == 0,
                moves[hook] == nil
            else { continue }
            let room = min(free, line.settings.parallel - line.runs.count)
            let isNew = line.position < newest && line.waiting.count < Self.maxWaiting
            guard room > 0, isNew || isDue(line, now) else { continue }
            line.reserved = room
            lines[hook] = line
            order.removeAll { $0 == hook }
            order.append(hook)
            return Look(
                hook: hook, settings: line.settings, after: isNew ? line.position : nil,
                running: line.runs.keys.sorted(), limit: room, generation: line.generation,
                recordings: line.recordings)
        }
        return nil
    }

    private func isDue(_ line: Line, _ now: Int64) -> Bool {
        guard let next = line.waiting.next else { return false }
        return next <= now || next > now + Self.horizon
    }

    /// What is due later than this many milliseconds from now was written before the clock was set back.
    static let horizon = Int64(HookSettings.maxRetry) * 2000

    /// - Returns: what to run, and what to write down although nothing ended.
    mutating func found(_ found: Found, by look: Look) -> (start: [Event], record: Record?) {
        guard var line = lines[look.hook] else { return ([], nil) }
        line.reserved = 0
        guard line.generation == look.generation else {
            lines[look.hook] = line
            forget(look.hook)
            return ([], nil)
        }
        // Who was set back may come to what it is still running.
        let start = found.events.filter { line.runs[$0.number] == nil }
        for event in start { line.runs[event.number] = event }
        line.position = max(line.position, found.through ?? 0)
        if line.recordings == look.recordings {
            line.waiting = found.waiting
        } else {
            // What was recorded meanwhile may be newer: too early a look does no harm.
            line.waiting.count = max(line.waiting.count, found.waiting.count)
            line.waiting.next = [line.waiting.next, found.waiting.next].compactMap { $0 }.min()
        }
        var record: Record?
        if line.position - line.acknowledged >= Self.maxSkipped, line.runs.isEmpty {
            line.acknowledged = line.position
            record = Record(hook: look.hook, acknowledge: line.position)
        }
        lines[look.hook] = line
        return (start, record)
    }

    /// The store could not be read.
    mutating func missed(_ look: Look) {
        lines[look.hook]?.reserved = 0
        forget(look.hook)
    }

    /// A run has ended. Its place is free after `recorded`.
    /// - Parameter reason: why it failed; nil if it went well.
    mutating func ended(_ hook: String, _ number: Int64, _ reason: String?, now: Int64) -> Record? {
        guard var line = lines[hook], var event = line.runs[number] else { return nil }
        var record = Record(hook: hook)
        if let reason {
            event.attempts += 1
            let isDead = event.attempts >= line.settings.attempts
            let wait = line.settings.wait(after: event.attempts)
            record.put.append(Letter(event: event, reason: reason, retryAt: isDead ? nil : now + wait))
            if isDead {
                record.dead = !line.isFailing && !event.isError
                line.isFailing = true
            }
        } else {
            if event.isKept { record.remove = number }
            line.isFailing = false
        }
        if !event.isKept, moves[hook] == nil {
            record.acknowledge = line.position
            line.acknowledged = line.position
            for (other, run) in line.runs.sorted(by: { $0.key < $1.key })
            where other != number && !run.isKept && other <= line.position {
                record.put.append(Letter(event: run, reason: "was not finished", retryAt: now))
                line.runs[other]?.isKept = true
            }
        }
        // Should another run end before this is written down, that must not bring it back.
        line.runs[number]?.isKept = true
        record.running = line.runs.keys.filter { $0 != number }.sorted()
        lines[hook] = line
        return record
    }

    /// What `ended` wanted is on disk.
    mutating func recorded(_ hook: String, _ number: Int64, _ waiting: Waiting) {
        lines[hook]?.runs[number] = nil
        waits(hook, waiting)
        forget(hook)
    }

    /// What waits was changed.
    mutating func waits(_ hook: String, _ waiting: Waiting) {
        lines[hook]?.waiting = waiting
        lines[hook]?.recordings += 1
    }

    /// When to look again although nothing happened, Unix milliseconds.
    func alarm(now: Int64) -> Int64? {
        guard runningCount < Self.maxRunning else { return nil }
        return lines.filter { hook, line in
            !line.isGone && line.settings.enabled && moves[hook] == nil
                && line.runs.count + line.reserved < line.settings.parallel
        }.compactMap(\.value.waiting.next).min()
    }

    // MARK: Tests

    /// - Returns: false where there is no room for one more run.
    mutating func beginTest() -> Bool {
        guard runningCount < Self.maxRunning else { return false }
        tests += 1
        return true
    }

    mutating func endTest() { tests -= 1 }
}
