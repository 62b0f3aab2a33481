// Reconnect delays keep to their tables.

import Testing

@testable import XMPP

@Suite struct BackoffTests {
    @Test func `limits after an answer double from two seconds to five minutes`() {
        var backoff = Backoff()
        var random = SystemRandomNumberGenerator()
        for seconds in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300] {
            #expect(backoff.limit(after: .other) == .seconds(seconds))
            let delay = backoff.next(after: .other, using: &random)
            #expect(delay >= .zero && delay <= .seconds(seconds))
        }
        backoff.reset()
        #expect(backoff == Backoff())
    }

    /// The largest delays, so that the sum is known: 2 + 4 + 119 × 5 = 601.
    @Test func `without any answer limits grow to five seconds, and to a minute after ten minutes`() {
        var backoff = Backoff()
        var largest = Largest()
        for seconds in [2, 4] + Array(repeating: 5, count: 119) + Array(repeating: 60, count: 50) {
            #expect(backoff.limit(after: .unreachable) == .seconds(seconds))
            #expect(backoff.next(after: .unreachable, using: &largest) == .seconds(seconds))
        }
        #expect(backoff.attempts == 171 && backoff.waited == .seconds(601 + 50 * 60))
        backoff.reset()
        #expect(backoff.limit(after: .unreachable) == .seconds(2))
    }

    @Test func `a server that was away for long is not left alone for long when it refuses once`() {
        var backoff = Backoff()
        var random = Seeded(3)
        for _ in 0..<1_000 { _ = backoff.next(after: .unreachable, using: &random) }
        #expect(backoff.limit(after: .other) == .seconds(2))
        for _ in 0..<1_000 { _ = backoff.next(after: .other, using: &random) }
        #expect(backoff.limit(after: .unreachable) == .seconds(60))
    }

    @Test func `ten minutes without an answer are about 240 attempts`() {
        var random = Seeded(4)
        var attempts = 0
        for _ in 0..<100 {
            var backoff = Backoff()
            while backoff.waited < .seconds(600) { _ = backoff.next(after: .unreachable, using: &random) }
            attempts += backoff.attempts
        }
        #expect((23_600...24_800).contains(attempts))
    }

    @Test(arguments: Backoff.Failure.allCases)
    func `delays spread over the whole range`(_ failure: Backoff.Failure) {
        var random = Seeded(1)
        var sum = Duration.zero
        var shortest = Backoff.maxLimit
        var longest = Duration.zero
        for _ in 0..<10_000 {
            var backoff = Backoff()
            let delay = backoff.next(after: failure, using: &random)
            sum += delay
            shortest = min(shortest, delay)
            longest = max(longest, delay)
        }
        #expect(sum / 10_000 > .milliseconds(950) && sum / 10_000 < .milliseconds(1_050))
        #expect(shortest < .milliseconds(20) && longest > .milliseconds(1_980))
    }

    @Test func `a thousand failures later the delay is still five minutes at most`() {
        var backoff = Backoff()
        var random = Seeded(2)
        for _ in 0..<1_000 { #expect(backoff.next(after: .other, using: &random) <= Backoff.maxLimit) }
    }
}

/// Draws the largest value of any range.
private struct Largest: RandomNumberGenerator {
    mutating func next() -> UInt64 { .max }
}
