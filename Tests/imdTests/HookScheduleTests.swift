// What runs next, and what is written down when it has ended.
import LocalAPI
import Testing

@testable import imd

/// Lets the test macros call what changes the schedule.
private final class Scene {
    private var schedule = HookSchedule()

    var hooks: [String] { schedule.hooks }
    var runningCount: Int { schedule.runningCount }

    func set(
        _ hook: String, _ settings: HookSettings, at place: Int64, _ waiting: HookSchedule.Waiting? = nil
    ) {
        schedule.set(hook, settings, at: place, waiting)
    }

    func remove(_ hook: String) { schedule.remove(hook) }

    func next(now: Int64, newest: Int64) -> HookSchedule.Look? { schedule.next(now: now, newest: newest) }

    func found(
        _ found: HookSchedule.Found, by look: HookSchedule.Look
    ) -> (start: [HookSchedule.Event], record: HookSchedule.Record?) {
        schedule.found(found, by: look)
    }

    func ended(_ hook: String, _ number: Int64, _ reason: String?, now: Int64) -> HookSchedule.Record? {
        schedule.ended(hook, number, reason, now: now)
    }

    func recorded(_ hook: String, _ number: Int64, _ waiting: HookSchedule.Waiting) {
        schedule.recorded(hook, number, waiting)
    }

    func waits(_ hook: String, _ waiting: HookSchedule.Waiting) { schedule.waits(hook, waiting) }

    func alarm(now: Int64) -> Int64? { schedule.alarm(now: now) }

    func isKnown(_ hook: String) -> Bool { schedule.isKnown(hook) }

    func beginMove(_ hook: String) { schedule.beginMove(hook) }

    func endMove(_ hook: String) { schedule.endMove(hook) }

    func lose(_ hook: String) { schedule.lose(hook) }

    func beginTest() -> Bool { schedule.beginTest() }
}

struct HookScheduleTests {
    private let schedule = Scene()

    private func event(_ number: Int64, attempts: Int64 = 0, isKept: Bool = false) -> HookSchedule.Event {
        HookSchedule.Event(number: number, text: "{}", attempts: attempts, isKept: isKept)
    }

    private func settings(parallel: Int = 1, attempts: Int = 5) -> HookSettings {
        HookSettings(parallel: parallel, attempts: attempts)
    }

    /// Looks once and starts what is found.
    @discardableResult
    private func start(
        _ numbers: Int64..., through: Int64? = nil, newest: Int64 = 100, waiting: Int = 0
    ) throws -> [Int64] {
        let look = try #require(schedule.next(now: 0, newest: newest))
        let found = HookSchedule.Found(
            events: numbers.map { event($0) }, through: through ?? numbers.last,
            waiting: .init(count: waiting, next: nil))
        return schedule.found(found, by: look).start.map(\.number)
    }

    @Test func `a hook gets one event after the other, and its place moves on with each`() throws {
        schedule.set("a", settings(), at: 4)
        let look = try #require(schedule.next(now: 0, newest: 9))
        #expect(look.after == 4 && look.limit == 1 && look.running == [])
        #expect(schedule.next(now: 0, newest: 9) == nil)
        let found = HookSchedule.Found(events: [event(7)], through: 7, waiting: .init())
        #expect(schedule.found(found, by: look).start == [event(7)])
        #expect(schedule.next(now: 0, newest: 9) == nil)
        let record = schedule.ended("a", 7, nil, now: 0)
        #expect(record == HookSchedule.Record(hook: "a", acknowledge: 7))
        schedule.recorded("a", 7, .init())
        #expect(schedule.next(now: 0, newest: 9)?.after == 7)
    }

    @Test func `nothing is looked at where nothing is new`() {
        schedule.set("a", settings(), at: 9)
        #expect(schedule.next(now: 0, newest: 9) == nil)
        #expect(schedule.alarm(now: 0) == nil)
    }

    @Test func `who overtakes leaves a letter of what is still running`() throws {
        schedule.set("a", settings(parallel: 3), at: 0)
        try start(1, 2, 3)
        let record = try #require(schedule.ended("a", 3, nil, now: 50))
        #expect(record.acknowledge == 3 && record.running == [1, 2])
        #expect(record.put.map(\.event.number) == [1, 2])
        #expect(record.put.allSatisfy { $0.retryAt == 50 && $0.event.attempts == 0 })
        schedule.recorded("a", 3, .init())
        let second = try #require(schedule.ended("a", 1, nil, now: 60))
        #expect(second.remove == 1 && second.put.isEmpty && second.acknowledge == nil)
    }

    @Test func `an event that is done and not yet written down is not kept by another`() throws {
        schedule.set("a", settings(parallel: 2), at: 0)
        try start(1, 2)
        _ = schedule.ended("a", 1, nil, now: 0)
        let record = try #require(schedule.ended("a", 2, nil, now: 0))
        #expect(!record.put.contains { $0.event.number == 1 })
    }

    @Test func `what fails is tried again later and later, and is dead in the end`() throws {
        schedule.set("a", settings(attempts: 3), at: 0)
        try start(1)
        let first = try #require(schedule.ended("a", 1, "exit status 1", now: 1000))
        #expect(first.acknowledge == 1 && first.dead == nil)
        #expect(first.put.map(\.retryAt) == [6000] && first.put.first?.event.attempts == 1)
        schedule.recorded("a", 1, .init(count: 1, next: 6000))
        #expect(schedule.alarm(now: 1000) == 6000)
        #expect(schedule.next(now: 5999, newest: 1) == nil)
        for (attempts, retryAt) in [(1, 16_000), (2, nil)] as [(Int64, Int64?)] {
            let look = try #require(schedule.next(now: 6000, newest: 1))
            #expect(look.after == nil)
            let found = HookSchedule.Found(
                events: [event(1, attempts: attempts, isKept: true)], through: nil, waiting: .init())
            _ = schedule.found(found, by: look)
            let record = try #require(schedule.ended("a", 1, "exit status 1", now: 6000))
            #expect(record.put.first?.retryAt == retryAt && record.acknowledge == nil)
            #expect(record.dead == (retryAt == nil ? true : nil))
            schedule.recorded("a", 1, .init(count: 1, next: 6000))
        }
    }

    @Test func `only the first of many dead letters is told, and none of an error`() throws {
        schedule.set("a", settings(attempts: 1), at: 0)
        var told: [Bool?] = []
        for (number, failure) in [(1, "x"), (2, "x"), (3, nil), (4, "x")] as [(Int64, String?)] {
            try start(number)
            told.append(schedule.ended("a", number, failure, now: 0)?.dead)
            schedule.recorded("a", number, .init())
        }
        #expect(told == [true, false, nil, true])
        schedule.set("b", settings(attempts: 1), at: 0)
        schedule.remove("a")
        let look = try #require(schedule.next(now: 0, newest: 9))
        var error = event(5)
        error.isError = true
        _ = schedule.found(.init(events: [error], through: 5, waiting: .init()), by: look)
        #expect(schedule.ended("b", 5, "x", now: 0)?.dead == false)
    }

    @Test func `all hooks together run no more than eight, each in its turn`() throws {
        for name in ["a", "b", "c"] { schedule.set(name, settings(parallel: 8), at: 0) }
        var served: [String] = []
        for number in 1...8 as ClosedRange<Int64> {
            let look = try #require(schedule.next(now: 0, newest: 99))
            served.append(look.hook)
            _ = schedule.found(
                .init(events: [event(number)], through: number, waiting: .init()), by: look)
        }
        #expect(schedule.next(now: 0, newest: 99) == nil && schedule.runningCount == 8)
        #expect(served == ["a", "b", "c", "a", "b", "c", "a", "b"])
        #expect(!schedule.beginTest())
    }

    @Test func `places that are being filled count`() throws {
        for name in ["a", "b"] { schedule.set(name, settings(parallel: 8), at: 0) }
        #expect(schedule.next(now: 0, newest: 9)?.limit == 8)
        #expect(schedule.next(now: 0, newest: 9) == nil)
    }

    @Test func `who has a thousand to try again begins nothing new`() throws {
        schedule.set("a", settings(), at: 0, .init(count: HookSchedule.maxWaiting, next: 500))
        #expect(schedule.next(now: 0, newest: 9) == nil)
        let look = try #require(schedule.next(now: 500, newest: 9))
        #expect(look.after == nil)
    }

    @Test func `what was not for a hook moves its place on now and then`() throws {
        schedule.set("a", settings(), at: 0)
        let look = try #require(schedule.next(now: 0, newest: 5000))
        let (start, record) = schedule.found(.init(events: [], through: 5000, waiting: .init()), by: look)
        #expect(start.isEmpty && record?.acknowledge == 5000)
        #expect(schedule.next(now: 0, newest: 5000) == nil)
    }

    @Test func `a place that was set back counts, also while something was looked for`() throws {
        schedule.set("a", settings(), at: 50)
        let look = try #require(schedule.next(now: 0, newest: 60))
        schedule.remove("a")
        schedule.set("a", settings(), at: 10)
        let found = HookSchedule.Found(events: [event(51)], through: 51, waiting: .init())
        #expect(schedule.found(found, by: look).start.isEmpty)
        #expect(schedule.next(now: 0, newest: 60)?.after == 10)
    }

    @Test func `a hook that is gone ends what it runs, and nothing more`() throws {
        schedule.set("a", settings(parallel: 2), at: 0)
        try start(1, 2)
        schedule.remove("a")
        #expect(schedule.hooks == [] && schedule.runningCount == 2)
        #expect(schedule.next(now: 0, newest: 9) == nil)
        for number: Int64 in [1, 2] {
            #expect(schedule.ended("a", number, nil, now: 0) != nil)
            schedule.recorded("a", number, .init())
        }
        #expect(schedule.runningCount == 0)
    }

    @Test func `a disabled hook gets nothing`() {
        schedule.set("a", HookSettings(enabled: false), at: 0)
        #expect(schedule.next(now: 0, newest: 9) == nil)
    }

    @Test func `what is due in a far future is due now, the clock was set back`() {
        schedule.set("a", settings(), at: 9, .init(count: 1, next: HookSchedule.horizon + 1001))
        #expect(schedule.next(now: 1000, newest: 9) != nil)
    }

    @Test func `what ends while a place is set back does not acknowledge the place before`() throws {
        schedule.set("a", settings(parallel: 2), at: 0)
        try start(1, 2)
        schedule.beginMove("a")
        let record = try #require(schedule.ended("a", 1, nil, now: 0))
        #expect(record.acknowledge == nil && record.put.isEmpty)
        schedule.recorded("a", 1, .init(count: 1, next: 5))
        #expect(schedule.next(now: 9, newest: 9) == nil && schedule.alarm(now: 9) == nil)
        schedule.set("a", settings(parallel: 2), at: 1)
        schedule.endMove("a")
        let second = try #require(schedule.ended("a", 2, "x", now: 0))
        #expect(second.acknowledge == 1 && second.put.map(\.event.number) == [2])
        schedule.recorded("a", 2, .init())
        #expect(schedule.next(now: 0, newest: 9)?.after == 1)
    }

    @Test func `two that change a place wait for each other`() throws {
        schedule.set("a", settings(), at: 0)
        schedule.beginMove("a")
        schedule.beginMove("a")
        schedule.endMove("a")
        #expect(schedule.next(now: 0, newest: 9) == nil)
        schedule.endMove("a")
        #expect(schedule.next(now: 0, newest: 9) != nil)
    }

    @Test func `a hook whose place is not known acknowledges nothing`() throws {
        schedule.set("a", settings(), at: 0)
        try start(7)
        schedule.lose("a")
        #expect(!schedule.isKnown("a"))
        #expect(schedule.ended("a", 7, nil, now: 0)?.acknowledge == 0)
    }

    @Test func `a retry that is written down while something is looked for keeps its alarm`() throws {
        schedule.set("a", settings(parallel: 2), at: 0)
        try start(1)
        let look = try #require(schedule.next(now: 0, newest: 9))
        _ = try #require(schedule.ended("a", 1, "exit status 1", now: 0))
        schedule.recorded("a", 1, .init(count: 1, next: 5000))
        _ = schedule.found(.init(events: [], through: 9, waiting: .init()), by: look)
        #expect(schedule.alarm(now: 0) == 5000)
        let later = try #require(schedule.next(now: 5000, newest: 9))
        _ = schedule.found(.init(events: [], through: nil, waiting: .init()), by: later)
        #expect(schedule.alarm(now: 5000) == nil)
    }

    @Test func `what was looked for before a place is set back is not run, and moves no place on`() throws {
        for events in [[], [event(1)]] {
            let schedule = Scene()
            schedule.set("a", settings(), at: 0)
            let look = try #require(schedule.next(now: 0, newest: 5000))
            schedule.beginMove("a")
            let (start, record) = schedule.found(
                .init(events: events, through: 5000, waiting: .init()), by: look)
            #expect(start.isEmpty && record == nil && schedule.runningCount == 0)
        }
    }

    @Test func `what runs beyond a place that was set back comes again, and is not tried again besides`()
        throws
    {
        schedule.set("a", settings(parallel: 2), at: 0)
        try start(1, 2)
        schedule.beginMove("a")
        schedule.set("a", settings(parallel: 2), at: 1)
        schedule.endMove("a")
        let record = try #require(schedule.ended("a", 1, nil, now: 0))
        #expect(record.acknowledge == 1 && record.put.isEmpty)
    }

    @Test func `a replay that is asked for while something is looked for is not forgotten`() throws {
        schedule.set("a", settings(), at: 0)
        let look = try #require(schedule.next(now: 0, newest: 9))
        schedule.waits("a", .init(count: 1, next: 5))
        _ = schedule.found(.init(events: [], through: 9, waiting: .init()), by: look)
        #expect(schedule.next(now: 5, newest: 9) != nil)
    }
}
