// The order in which a bot handles messages, whatever the order in which they are done.

import Testing

@testable import imctl

private typealias Instant = ContinuousClock.Instant

struct BotScheduleTests {
    private let start = ContinuousClock.now

    /// Everything that may begin now.
    private func begin(_ schedule: inout BotSchedule, at now: ContinuousClock.Instant) -> [Int64] {
        var numbers: [Int64] = []
        while let job = schedule.next(at: now) { numbers.append(job.number) }
        return numbers
    }

    private func schedule(_ lanes: [String?], limit: Int, attempts: Int = 3) -> BotSchedule {
        var schedule = BotSchedule(limit: limit, attempts: attempts)
        for (index, lane) in lanes.enumerated() { _ = schedule.received(Int64(index + 1), lane: lane) }
        return schedule
    }

    @Test func `one of each chat runs at a time, the oldest first, up to the limit`() {
        var schedule = schedule(["a", "a", "b", "c", "b"], limit: 2)
        #expect(begin(&schedule, at: start) == [1, 3])
        schedule.settled(1)
        #expect(begin(&schedule, at: start) == [2])
        schedule.settled(3)
        #expect(begin(&schedule, at: start) == [4])
        schedule.settled(2)
        #expect(begin(&schedule, at: start) == [5])
    }

    @Test func `only the unbroken beginning is acknowledged`() {
        var schedule = schedule(["a", nil, "b", "c", nil], limit: 3)
        #expect(schedule.acknowledgeable == 0)
        #expect(begin(&schedule, at: start) == [1, 3, 4])
        schedule.settled(4)
        #expect(schedule.acknowledgeable == 0)
        schedule.settled(1)
        #expect(schedule.acknowledgeable == 2)
        schedule.settled(3)
        #expect(schedule.acknowledgeable == 5)
        #expect(schedule.isEmpty)
    }

    @Test func `what is given again after a reconnection is not taken again`() {
        var schedule = schedule(["a", "b"], limit: 1)
        #expect(begin(&schedule, at: start) == [1])
        let known = [schedule.received(1, lane: "a"), schedule.received(2, lane: "b")]
        #expect(known == [false, false])
        let new = schedule.received(3, lane: "c")
        #expect(new)
        schedule.settled(1)
        let done = schedule.received(1, lane: "a")
        #expect(!done)
        #expect(begin(&schedule, at: start) == [2])
    }

    @Test func `what is tried again waits, holds up its chat and no other`() throws {
        var schedule = schedule(["a", "a", "b"], limit: 1)
        #expect(begin(&schedule, at: start) == [1])
        #expect(schedule.again(1, at: start) == .seconds(1))
        #expect(begin(&schedule, at: start) == [3])
        schedule.settled(3)
        #expect(begin(&schedule, at: start) == [])
        #expect(schedule.wake == start + .seconds(1))
        #expect(schedule.acknowledgeable == 0)
        #expect(begin(&schedule, at: start + .seconds(1)) == [1])
        #expect(schedule.attempts(of: 1) == 2)
        #expect(schedule.wake == nil)
    }

    @Test func `it is tried as often as asked for, with pauses that grow to a limit`() {
        #expect(
            (1...12).map { BotSchedule.pause(after: $0) }
                == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300].map { .seconds($0) })
        var schedule = schedule(["a", "a"], limit: 1, attempts: 2)
        #expect(begin(&schedule, at: start) == [1])
        #expect(schedule.again(1, at: start) != nil)
        #expect(begin(&schedule, at: start + .seconds(1)) == [1])
        #expect(schedule.again(1, at: start + .seconds(1)) == nil)
        // It has its place until it is kept elsewhere.
        #expect(begin(&schedule, at: start + .seconds(99)) == [])
        schedule.settled(1)
        #expect(begin(&schedule, at: start + .seconds(99)) == [2])
    }

    @Test func `what the command never saw was no attempt`() {
        var schedule = schedule(["a", "b"], limit: 2, attempts: 1)
        #expect(begin(&schedule, at: start) == [1, 2])
        schedule.untouched(2)
        #expect(begin(&schedule, at: start) == [2])
        #expect(schedule.attempts(of: 2) == 1)
    }

    @Test(arguments: 0..<200)
    func `in any order of completions each is handled once, in the order of its chat`(_ seed: Int) {
        var random = Seeded(UInt64(seed) &* 0x9e37_79b9_7f4a_7c15 | 1)
        let limit = Int.random(in: 1...4, using: &random)
        let lanes = (0..<40).map { _ in ["a", "b", "c", "d", nil].randomElement(using: &random) ?? nil }
        var schedule = BotSchedule(limit: limit, attempts: 1000)
        var (now, given, running): (ContinuousClock.Instant, Int, [Int64]) = (start, 0, [])
        var (begun, settled): ([Int64], Set<Int64>) = ([], [])
        while settled.count < lanes.compactMap({ $0 }).count || given < lanes.count {
            if given < lanes.count, Bool.random(using: &random) {
                _ = schedule.received(Int64(given + 1), lane: lanes[given])
                given += 1
            }
            let new = begin(&schedule, at: now)
            begun += new.filter { !begun.contains($0) }
            running += new
            #expect(running.count <= limit)
            #expect(Set(running.map { lanes[Int($0) - 1] }).count == running.count)
            #expect(
                schedule.acknowledgeable < lanes.indices.map { Int64($0 + 1) }.first { number in
                    lanes[Int(number) - 1] != nil && !settled.contains(number)
                } ?? .max)
            if let index = running.indices.randomElement(using: &random) {
                let number = running.remove(at: index)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: #expect(schedule.again(number, at: now) != nil)
                case 1: schedule.untouched(number)
                default:
                    schedule.settled(number)
                    #expect(settled.insert(number).inserted)
                }
            } else {
                now = max(now, schedule.wake ?? now)
            }
        }
        for lane in ["a", "b", "c", "d"] {
            let order = begun.filter { lanes[Int($0) - 1] == lane }
            #expect(order == order.sorted())
        }
        #expect(schedule.isEmpty)
        #expect(schedule.acknowledgeable == Int64(lanes.count))
    }
}

/// SplitMix64: repeatable.
private struct Seeded: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
