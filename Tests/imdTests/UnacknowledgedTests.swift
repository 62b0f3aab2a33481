// What the server has not taken responsibility for, and what each of its answers covers.
import Testing

@testable import imd

struct UnacknowledgedTests {
    @Test func `an answer covers the oldest stanzas and names their rows`() {
        var stanzas = Unacknowledged()
        stanzas.append(contentsOf: [1, nil, 2, 3])
        #expect(stanzas.acknowledge(3) == [1, 2])
        #expect(stanzas.count == 1)
        #expect(stanzas.acknowledged == 3)
        #expect(stanzas.sent == 4)
    }

    @Test func `an answer for more than was sent covers what was sent`() {
        var stanzas = Unacknowledged()
        stanzas.append(contentsOf: [1])
        #expect(stanzas.acknowledge(5) == [1])
        #expect(stanzas.acknowledge(1).isEmpty)
    }

    /// Without stream management three pings may be answered late; none may cover what was sent after it.
    @Test func `overlapping answers count from the beginning of the stream`() {
        var stanzas = Unacknowledged()
        var positions: [Int] = []
        for row in Int64(1)...3 {
            stanzas.append(contentsOf: [row, nil])
            positions.append(stanzas.sent)
        }
        stanzas.append(contentsOf: [4])
        let rows = positions.flatMap { stanzas.acknowledge($0 - stanzas.acknowledged) }
        #expect(rows == [1, 2, 3])
        #expect(stanzas.count == 1)
    }
}
