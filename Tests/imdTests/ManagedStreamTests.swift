// The counters that outlive a connection (XEP-0198 §4, §5).
import Store
import Testing

@testable import XMPP
@testable import imd

struct ManagedStreamTests {
    @Test func `an acknowledgement of what carries no row needs no disk`() {
        var stream = ManagedStream()
        stream.send(2)
        let answer1 = stream.acknowledge(1)
        #expect(!answer1)
        stream.sendDurable(3)
        #expect(stream.inFlight == 4)
        let answer2 = stream.acknowledge(2)
        #expect(answer2)
        #expect(stream.acknowledged == 3)
        stream.send(1)
        let answer3 = stream.acknowledge(2)
        #expect(answer3)
        let answer4 = stream.acknowledge(1)
        #expect(!answer4)
        #expect(stream.inFlight == 0)
    }

    @Test func `an acknowledgement beyond what was sent covers what was sent`() {
        var stream = ManagedStream()
        stream.sendDurable(1)
        let answer5 = stream.acknowledge(5)
        #expect(answer5)
        #expect(stream.acknowledged == 1)
        let answer6 = stream.acknowledge(1)
        #expect(!answer6)
    }

    @Test func `a resumed stream counts on from what the server has`() throws {
        var stream = ManagedStream(try bound())
        stream.sendDurable(5)
        stream.stored(handled: 7)
        let resumption = try #require(stream.resumption(lostFor: nil))
        #expect(resumption.handled == 7)
        #expect(resumption.acknowledged == 0)
        #expect(resumption.sent == 5)
        let answer7 = stream.acknowledge(3)
        #expect(answer7)
        stream.resumed()
        #expect(stream.inFlight == 0)
        stream.sendDurable(2)
        #expect(stream.sent == 5)
    }

    @Test func `after a restart any count of the server's is believed`() throws {
        let record = ResumptionRecord(
            id: "x", jid: try JID("me@example.org/a"), location: nil, maxSeconds: 300, handled: 9,
            acknowledged: 4_294_967_295, caughtUp: true)
        var stream = ManagedStream(record)
        let resumption = try #require(stream.resumption(lostFor: nil))
        #expect(resumption.sent == nil)
        #expect(resumption.acknowledged == .max)
        let answer8 = stream.acknowledge(12)
        #expect(answer8)
        #expect(stream.acknowledged == 4_294_967_307)
        stream.resumed()
        stream.send(1)
        #expect(stream.resumption(lostFor: nil)?.sent == 12)
    }

    @Test func `a stream that the server has given up is not asked for`() throws {
        let stream = ManagedStream(try bound())
        #expect(stream.resumption(lostFor: .seconds(299)) != nil)
        #expect(stream.resumption(lostFor: .seconds(301)) == nil)
        #expect(ManagedStream().resumption(lostFor: nil) == nil)
    }

    @Test func `the store learns of a stream once it is set up, and once`() throws {
        var stream = ManagedStream(try bound())
        #expect(stream.record(handled: 3, caughtUp: false) == nil)
        stream.isSetUp = true
        #expect(stream.record(handled: 3, caughtUp: false)?.handled == 3)
        stream.saved()
        #expect(stream.record(handled: 4, caughtUp: false) == nil)
    }

    private func bound() throws -> BoundStream {
        let features = try StreamFeatures(Element("features", in: Namespace.streams))
        return BoundStream(
            jid: try JID("me@example.org/a"), features: features, streamManagement: true,
            mechanism: "SCRAM-SHA-1",
            channelBinding: nil, resumed: false, resumptionID: "x", location: nil, maxSeconds: 300)
    }
}
