// Counting and acknowledging stanzas (XEP-0198), as arithmetic and on the wire.

import Testing

@testable import XMPP

@Suite struct StreamManagementTests {
    typealias Acknowledgement = StreamManagement.Acknowledgement

    @Test func `late sends survive a stale ack`() throws {
        var sm = StreamManagement()
        #expect(sm.sent(5) == true)
        #expect(try sm.received(ack: 3) == Acknowledgement(count: 3, asksAgain: true))
        #expect(sm.sent(1) == false)
        #expect(sm.sent(1) == false)
        #expect(try sm.received(ack: 5) == Acknowledgement(count: 2, asksAgain: true))
        #expect(sm.inFlightCount == 2)
        #expect(try sm.received(ack: 7) == Acknowledgement(count: 2, asksAgain: false))
    }

    @Test func `one request is under way at a time`() throws {
        var sm = StreamManagement()
        #expect(sm.sent(1) == true)
        #expect(sm.sent(3) == false)
        #expect(sm.requestAck() == false)
        #expect(try sm.received(ack: 4) == Acknowledgement(count: 4, asksAgain: false))
        #expect(sm.requestAck() == true)
        #expect(sm.requestAck() == false)
    }

    @Test func `an answer that changes nothing does not spin`() throws {
        var sm = StreamManagement()
        _ = sm.sent(2)
        #expect(try sm.received(ack: 0) == Acknowledgement(count: 0, asksAgain: false))
        #expect(sm.sent(1) == true)
        _ = sm.sent(1)
        #expect(try sm.received(ack: 0) == Acknowledgement(count: 0, asksAgain: true))
    }

    @Test func `h wraps at 2^32 without losing a stanza`() throws {
        var sm = StreamManagement(sent: .max - 1, handled: .max - 1)
        _ = sm.sent(5)
        #expect(sm.sentCount == 3)
        #expect(try sm.received(ack: .max).count == 1)
        #expect(try sm.received(ack: 0).count == 1)
        #expect(try sm.received(ack: 3).count == 3)
        #expect(sm.inFlightCount == 0)
        for _ in 0..<4 { sm.received() }
        #expect(sm.receivedRequest() == nil)
        #expect(sm.stored(3) == nil)
        #expect(sm.stored(1) == 2)
    }

    @Test(arguments: [9, 100, 4, UInt32.max, 0x8000_0005])
    func `an h outside of what is in flight is refused and changes nothing`(_ h: UInt32) throws {
        var sm = StreamManagement()
        _ = sm.sent(8)
        _ = try sm.received(ack: 5)
        let before = sm
        #expect(throws: StreamManagement.HandledCountTooHigh(h: h, sent: 8)) { try sm.received(ack: h) }
        #expect(sm == before)
    }

    @Test func `a report for more stanzas than arrived promises no more than those`() {
        var sm = StreamManagement()
        sm.received()
        sm.received()
        #expect(sm.receivedRequest() == nil)
        #expect(sm.stored(-1) == nil)
        #expect(sm.stored(3) == 2)
        #expect(sm.stored(.max) == nil)
        #expect(sm.handledCount == 2)
        sm.received()
        #expect(sm.receivedRequest() == nil)
        #expect(sm.stored(1) == 3)
    }

    @Test func `a request is answered when everything before it is stored`() {
        var sm = StreamManagement()
        for _ in 0..<3 { sm.received() }
        #expect(sm.receivedRequest() == nil)
        sm.received()
        #expect(sm.stored(2) == nil)
        #expect(sm.stored(1) == 3)
        #expect(sm.stored(1) == nil)
        #expect(sm.receivedRequest() == 4)
    }

    @Test func `requests that wait are answered one after the other`() {
        var sm = StreamManagement()
        sm.received()
        #expect(sm.receivedRequest() == nil)
        #expect(sm.receivedRequest() == nil)
        sm.received()
        #expect(sm.receivedRequest() == nil)
        #expect(sm.stored(1) == 1)
        #expect(sm.stored(1) == 2)
    }

    @Test func `one answer satisfies every request that is covered`() {
        var sm = StreamManagement()
        sm.received()
        #expect(sm.receivedRequest() == nil)
        sm.received()
        #expect(sm.receivedRequest() == nil)
        sm.received()
        #expect(sm.stored(3) == 3)
        #expect(sm.stored(0) == nil)
    }

    @Test func `the last ack says what is stored, if the server does not know`() {
        var sm = StreamManagement()
        #expect(sm.closing() == nil)
        sm.received()
        sm.received()
        #expect(sm.receivedRequest() == nil)
        _ = sm.stored(1)
        #expect(sm.closing() == 1)
        #expect(sm.closing() == nil)
    }

    /// A server that handles stanzas late and in bursts, a client that sends at random; both near the wrap.
    @Test(arguments: 0..<50)
    func `no order of sends and acks loses or repeats a stanza`(_ seed: Int) throws {
        var random = Seeded(seed)
        let start = UInt32.max - UInt32.random(in: 0..<300, using: &random)
        var sm = StreamManagement(sent: start, handled: start)
        var queue: [Int] = []
        var next = 0
        var acknowledged: [Int] = []
        var requestsUnderWay = 0
        var handled = start
        for _ in 0..<1_000 {
            if Bool.random(using: &random) {
                let count = Int.random(in: 1...4, using: &random)
                queue += next..<(next + count)
                next += count
                if sm.sent(count) { requestsUnderWay += 1 }
            } else if requestsUnderWay > 0 {
                handled &+= UInt32.random(in: 0...(sm.sentCount &- handled), using: &random)
                requestsUnderWay -= 1
                let answer = try sm.received(ack: handled)
                acknowledged += queue.prefix(answer.count)
                queue.removeFirst(answer.count)
                if answer.asksAgain { requestsUnderWay += 1 }
            }
            #expect(requestsUnderWay <= 1)
            #expect(queue.count == sm.inFlightCount)
        }
        #expect(acknowledged + queue == Array(0..<next))
    }

    @Test(arguments: 0..<50)
    func `h never promises what is not stored, and every request is answered in time`(_ seed: Int) {
        var random = Seeded(seed)
        let start = UInt32.max - UInt32.random(in: 0..<300, using: &random)
        var sm = StreamManagement(sent: start, handled: start)
        var received = 0
        var stored = 0
        var waiting: [Int] = []  // how many stanzas each unanswered request is behind
        for _ in 0..<1_000 {
            var answer: UInt32?
            switch Int.random(in: 0..<3, using: &random) {
            case 0:
                sm.received()
                received += 1
            case 1:
                waiting.append(received)
                answer = sm.receivedRequest()
            default:
                let count = Int.random(in: 0...(received - stored), using: &random)
                stored += count
                answer = sm.stored(count)
            }
            let isDue = waiting.contains { $0 <= stored }
            #expect(answer == (isDue ? start &+ UInt32(stored) : nil))
            waiting.removeAll { $0 <= stored }
        }
    }
}

@Suite struct StreamManagementTranscriptTests {
    @Test func `stanzas are sent in one write and acknowledged`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            Scene.bound + """
                A: send 2
                C: <message id='0'/><message id='1'/><r xmlns='urn:xmpp:sm:3'/>
                A: send 1
                C: <message id='0'/>
                A: ask
                S: <a xmlns='urn:xmpp:sm:3' h='2'/>
                C: (acknowledged 2)
                C: <r xmlns='urn:xmpp:sm:3'/>
                S: <a xmlns='urn:xmpp:sm:3' h='3'/>
                C: (acknowledged 1)
                A: ask
                C: <r xmlns='urn:xmpp:sm:3'/>
                S: <a xmlns='urn:xmpp:sm:3' h='3'/>
                """)
    }

    @Test func `an ack waits for the disk`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            Scene.bound + """
                S: <r xmlns='urn:xmpp:sm:3'/>
                C: <a xmlns='urn:xmpp:sm:3' h='0'/>
                S: <presence/><iq type='get' id='1'/><r xmlns='urn:xmpp:sm:3'/><message/>
                C: (stanza <presence/>)
                C: (stanza <iq type='get' id='1'/>)
                C: (stanza <message/>)
                A: stored 1
                A: stored 1
                C: <a xmlns='urn:xmpp:sm:3' h='2'/>
                A: stored 1
                """)
    }

    @Test func `too high an h ends the stream as XEP-0198 says`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            Scene.bound + """
                A: send 2
                C: <message id='0'/><message id='1'/><r xmlns='urn:xmpp:sm:3'/>
                S: <a xmlns='urn:xmpp:sm:3' h='3'/>
                C: <error xmlns='http://etherx.jabber.org/streams'><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><handled-count-too-high xmlns='urn:xmpp:sm:3' h='3' send-count='2'/></error></stream:stream>
                C: (close: the server acknowledged 3 stanzas, but only 2 were sent)
                """)
    }

    @Test(arguments: ["", "h=''", "h='-1'", "h='4294967296'", "h='x'"])
    func `an ack without a proper h ends the stream`(_ attribute: String) throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            Scene.bound + """
                S: <a xmlns='urn:xmpp:sm:3' \(attribute)/>
                C: <error xmlns='http://etherx.jabber.org/streams'><bad-format xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error></stream:stream>
                C: (close: the server broke the protocol: an ack without h)
                """)
    }

    @Test func `acks on a stream that does not count end it`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            Scene.startTLS + Scene.login + Scene.enable + """
                S: <failed xmlns='urn:xmpp:sm:3'/>
                C: (bound user@example.org/orchard SCRAM-SHA-1 uncounted)
                S: <r xmlns='urn:xmpp:sm:3'/>
                C: <error xmlns='http://etherx.jabber.org/streams'><unsupported-stanza-type xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error></stream:stream>
                C: (close: the server broke the protocol: r is not a stanza)
                """)
    }

    @Test func `a stanza of another namespace is none`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            Scene.bound + """
                S: <message xmlns='jabber:server'/>
                C: <error xmlns='http://etherx.jabber.org/streams'><unsupported-stanza-type xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error></stream:stream>
                C: (close: the server broke the protocol: message is not a stanza)
                """)
    }

    @Test func `nothing is sent before the stream is bound`() throws {
        var stream = try Scene.stream()
        #expect(stream.send([[0x20]]) == [])
        expectTranscript(&stream, Scene.startTLS + "A: send 3\nA: ask\nA: stored 0")
    }
}
