// Reconnect delays keep to their table.

import Testing

@testable import XMPP

@Suite struct BackoffTests {
    @Test func `limits double from two seconds to five minutes`() {
        var backoff = Backoff()
        var random = SystemRandomNumberGenerator()
        for seconds in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300] {
            #expect(backoff.limit == .seconds(seconds))
            let delay = backoff.next(using: &random)
            #expect(delay >= .zero && delay <= .seconds(seconds))
        }
        backoff.reset()
        #expect(backoff == Backoff())
    }

    @Test func `delays spread over the whole range`() {
        var random = Seeded(1)
        var sum = Duration.zero
        var shortest = Backoff.maxLimit
        var longest = Duration.zero
        for _ in 0..<10_000 {
            var backoff = Backoff()
            let delay = backoff.next(using: &random)
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
        for _ in 0..<1_000 { #expect(backoff.next(using: &random) <= Backoff.maxLimit) }
    }
}
