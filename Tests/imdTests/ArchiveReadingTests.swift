// What comes live while the archive is being read keeps its place.
import Testing
import XMPP

@testable import imd

struct ArchiveReadingTests {
    private func message(_ id: String) -> Element { Element("message", in: Namespace.client, ["id": id]) }

    @Test func `live messages wait until the archive is read`() {
        var reading = ArchiveReading()
        #expect(reading.isDue)
        reading.asks("q")
        #expect(reading.queryID == "q")
        let isHeld = reading.holds(message("1"), id: "1")
        #expect(isHeld)
        _ = reading.holds(message("2"), id: "2")
        reading.gave("1")
        let late = reading.takeHeld()
        #expect(late?.map(\.id) == ["2"])
        _ = reading.holds(message("4"), id: "4")
        let isEarly = reading.finish()
        #expect(!isEarly, "one more came while the last ones were stored")
        _ = reading.takeHeld()
        let isFinished = reading.finish()
        #expect(isFinished)
        #expect(reading.isDone)
        #expect(reading.queryID == nil)
        let isHeldAfter = reading.holds(message("3"), id: "3")
        #expect(!isHeldAfter)
    }

    @Test func `more than fits in memory is fetched instead`() {
        var reading = ArchiveReading()
        for number in 0...ArchiveReading.limit { _ = reading.holds(message("\(number)"), id: "\(number)") }
        let first = reading.takeHeld()
        #expect(first == nil)
        #expect(!reading.isDone)
        let second = reading.takeHeld()
        #expect(second?.isEmpty == true)
    }

    @Test func `a reading that broke off begins again and trusts no earlier query`() {
        var reading = ArchiveReading()
        reading.asks("q")
        _ = reading.holds(message("1"), id: "1")
        reading.restart()
        #expect(reading.isDue)
        #expect(reading.queryID == nil)
        let held = reading.takeHeld()
        #expect(held?.isEmpty == true)
    }
}
