// A broken stream goes on, or a new one begins in its place (XEP-0198 §5).

import IMCrypto
import Testing

@testable import XMPP

@Suite struct ResumptionTests {
    /// Five stanzas received, three of eight sent ones acknowledged.
    private func resumption(
        handled: UInt32 = 5, acknowledged: UInt32 = 3, sent: UInt32? = 8
    ) throws -> Resumption {
        Resumption(
            id: "some-long-sm-id", jid: try JID("user@example.org/orchard"), location: "[2001:db8::1]:9222",
            maxSeconds: 600, handled: handled, acknowledged: acknowledged, sent: sent)
    }

    private static func offer(resuming h: UInt32 = 5) -> String {
        Scene.startTLS + Scene.login + """
            S: <stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/></stream:features>
            C: <resume xmlns='urn:xmpp:sm:3' h='\(h)' previd='some-long-sm-id'/>

            """
    }

    private static let resumed = """
        C: (resumed user@example.org/orchard SCRAM-SHA-1 counted)

        """

    private static func tooHigh(_ h: UInt32, sent: UInt32) -> String {
        """
        C: <error xmlns='http://etherx.jabber.org/streams'><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><handled-count-too-high xmlns='urn:xmpp:sm:3' h='\(h)' send-count='\(sent)'/></error></stream:stream>
        C: (close: the server acknowledged \(h) stanzas, but only \(sent) were sent)

        """
    }

    private static let bind = """
        C: <iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>orchard</resource></bind></iq>

        """

    private func play(
        _ transcript: String, _ resumption: Resumption, chunkSize: Int? = nil
    ) throws -> ClientStream {
        var stream = try Scene.stream(resumption: resumption)
        expectTranscript(&stream, transcript, chunkSize: chunkSize)
        return stream
    }

    // MARK: Resumed

    @Test(arguments: [(3, ""), (5, "C: (acknowledged 2)\n"), (8, "C: (acknowledged 5)\n")])
    func `the server's h acknowledges none, some or all of what was sent`(
        _ h: Int, acknowledged: String
    ) throws {
        let stream = try play(
            Self.offer() + "S: <resumed xmlns='urn:xmpp:sm:3' h='\(h)' previd='some-long-sm-id'/>\n"
                + acknowledged + Self.resumed, resumption())
        #expect(stream.isBound && stream.sentCount == UInt32(h) && stream.receivedCount == 5)
        #expect(!stream.isAwaitingAck)
    }

    static let goingOn =
        offer() + "S: <resumed xmlns='urn:xmpp:sm:3' h='6' previd='some-long-sm-id'/><message/>\n"
        + "C: (acknowledged 3)\n" + resumed + """
            C: (stanza <message/>)
            A: send 2
            C: <message id='0'/><message id='1'/><r xmlns='urn:xmpp:sm:3'/>
            S: <r xmlns='urn:xmpp:sm:3'/>
            A: stored 1
            C: <a xmlns='urn:xmpp:sm:3' h='6'/>
            S: <a xmlns='urn:xmpp:sm:3' h='8'/>
            C: (acknowledged 2)

            """

    @Test func `both sides count on from where they were`() throws {
        let stream = try play(Self.goingOn, resumption())
        #expect(stream.sentCount == 8 && stream.receivedCount == 6)
    }

    @Test func `what the owner sends again is counted from the server's h`() throws {
        let stream = try play(
            Self.goingOn + "A: send 1\nC: <message id='0'/><r xmlns='urn:xmpp:sm:3'/>\n"
                + "S: <a xmlns='urn:xmpp:sm:3' h='10'/>\n" + Self.tooHigh(10, sent: 9), resumption())
        #expect(stream.sentCount == nil)
    }

    @Test func `h wraps at 2^32`() throws {
        let stream = try play(
            Self.offer(resuming: .max) + """
                S: <resumed xmlns='urn:xmpp:sm:3' h='1' previd='some-long-sm-id'/><presence/>
                C: (acknowledged 3)

                """ + Self.resumed + """
                    C: (stanza <presence/>)
                    S: <r xmlns='urn:xmpp:sm:3'/>
                    A: stored 1
                    C: <a xmlns='urn:xmpp:sm:3' h='0'/>
                    """, resumption(handled: .max, acknowledged: .max - 1, sent: 2))
        #expect(stream.sentCount == 1 && stream.receivedCount == 0)
    }

    @Test(arguments: [9, 2, 0, UInt32.max])
    func `an h beyond what was sent, or before what was acknowledged, ends the stream`(_ h: UInt32) throws {
        let stream = try play(
            Self.offer() + "S: <resumed xmlns='urn:xmpp:sm:3' h='\(h)' previd='some-long-sm-id'/>\n"
                + Self.tooHigh(h, sent: 8), resumption())
        #expect(!stream.isBound)
    }

    @Test func `after a restart an h up to 2^31 further on is believed`() throws {
        let highest: UInt32 = 3 + 1 << 31
        _ = try play(
            Self.offer() + "S: <resumed xmlns='urn:xmpp:sm:3' h='\(highest)' previd='some-long-sm-id'/>\n"
                + "C: (acknowledged 2147483648)\n" + Self.resumed, resumption(sent: nil))
        for h in [highest + 1, 2] {
            _ = try play(
                Self.offer() + "S: <resumed xmlns='urn:xmpp:sm:3' h='\(h)' previd='some-long-sm-id'/>\n"
                    + Self.tooHigh(h, sent: 3), resumption(sent: nil))
        }
    }

    @Test(arguments: [
        "h='3'", "h='3' previd='another'", "h='3' previd=''", "previd='some-long-sm-id'",
        "h='-1' previd='some-long-sm-id'", "h='4294967296' previd='some-long-sm-id'",
    ])
    func `another stream than the former is not resumed`(_ attributes: String) throws {
        _ = try play(
            Self.offer() + """
                S: <resumed xmlns='urn:xmpp:sm:3' \(attributes)/>
                C: <error xmlns='http://etherx.jabber.org/streams'><bad-format xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error></stream:stream>
                C: (close: the server broke the protocol: another stream was resumed)
                """, resumption())
    }

    @Test(arguments: ["message", "a xmlns='urn:xmpp:sm:3' h='4'", "enabled xmlns='urn:xmpp:sm:3'"])
    func `nothing comes before the answer`(_ tag: String) throws {
        _ = try play(
            Self.offer() + """
                S: <\(tag)/>
                C: <error xmlns='http://etherx.jabber.org/streams'><unsupported-stanza-type xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error></stream:stream>
                C: (close: the server broke the protocol: \(tag.prefix { $0 != " " }) before the stream is resumed)
                """, resumption())
    }

    @Test func `the bound stream has what the next resumption needs`() throws {
        var stream = try Scene.stream(resumption: resumption())
        expectTranscript(&stream, Self.offer())
        let actions = stream.received(
            .element(
                Element(
                    "resumed", in: Namespace.streamManagement, ["h": "3", "previd": "some-long-sm-id"])))
        guard actions.count == 1, case .bound(let bound) = actions[0] else {
            Issue.record("\(actions)")
            return
        }
        #expect(bound.resumed && bound.streamManagement)
        #expect(bound.jid.description == "user@example.org/orchard")
        #expect(bound.resumptionID == "some-long-sm-id" && bound.location == "[2001:db8::1]:9222")
        #expect(bound.maxSeconds == 600)
    }

    // MARK: Failed

    private static let anew = """
        S: <iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>user@example.org/orchard</jid></bind></iq>
        C: <enable xmlns='urn:xmpp:sm:3' resume='true'/>
        S: <enabled xmlns='urn:xmpp:sm:3' id='new' resume='true'/>
        C: (bound user@example.org/orchard SCRAM-SHA-1 counted)
        A: send 1
        C: <message id='0'/><r xmlns='urn:xmpp:sm:3'/>
        S: <a xmlns='urn:xmpp:sm:3' h='1'/>
        C: (acknowledged 1)

        """

    private static func failed(_ h: String, acknowledged: Int) -> String {
        offer() + """
            S: <failed xmlns='urn:xmpp:sm:3' \(h)><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>
            C: (not resumed, acknowledged \(acknowledged))

            """ + bind + anew
    }

    @Test(arguments: [
        ("", 0), ("h='3'", 0), ("h='7'", 4), ("h='8'", 5), ("h='9'", 0), ("h='2'", 0), ("h=''", 0),
        ("h='x'", 0), ("h='4294967295'", 0),
    ])
    func `a session that is gone is replaced on the same connection`(_ h: String, acknowledged: Int) throws {
        let stream = try play(Self.failed(h, acknowledged: acknowledged), resumption())
        #expect(stream.sentCount == 1 && stream.receivedCount == 0)
    }

    @Test func `what can be true of the h of a failure after a restart is believed`() throws {
        _ = try play(Self.failed("h='1000'", acknowledged: 997), resumption(sent: nil))
        _ = try play(Self.failed("h='2'", acknowledged: 0), resumption(sent: nil))
    }

    @Test func `a server without stream management gets a new stream`() throws {
        let stream = try play(
            Scene.startTLS + Scene.login + """
                S: <stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>
                C: (not resumed, acknowledged 0)

                """ + Self.bind + Scene.bindResult
                + "C: (bound user@example.org/orchard SCRAM-SHA-1 uncounted)\n", resumption())
        #expect(stream.receivedCount == nil && stream.sentCount == nil && !stream.isAwaitingAck)
    }

    @Test func `another account's stream is not asked for`() throws {
        var other = try resumption()
        other.jid = try JID("other@example.org/orchard")
        _ = try play(
            Scene.startTLS + Scene.login + """
                S: <stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/></stream:features>
                C: (not resumed, acknowledged 0)

                """ + Self.bind + Self.anew, other)
    }

    @Test func `a stream is resumed once`() throws {
        _ = try play(
            Self.goingOn + """
                S: <resumed xmlns='urn:xmpp:sm:3' h='8' previd='some-long-sm-id'/>
                C: <error xmlns='http://etherx.jabber.org/streams'><unsupported-stanza-type xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error></stream:stream>
                C: (close: the server broke the protocol: resumed at this point)
                """, resumption())
        _ = try play(
            Self.failed("", acknowledged: 0) + """
                S: <failed xmlns='urn:xmpp:sm:3'/>
                C: <error xmlns='http://etherx.jabber.org/streams'><unsupported-stanza-type xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error></stream:stream>
                C: (close: the server broke the protocol: failed at this point)
                """, resumption())
    }

    @Test func `a failure to enable after a failure to resume leaves an uncounted stream`() throws {
        _ = try play(
            Self.offer() + """
                S: <failed xmlns='urn:xmpp:sm:3'><feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>
                C: (not resumed, acknowledged 0)

                """ + Self.bind + Scene.bindResult + """
                    C: <enable xmlns='urn:xmpp:sm:3' resume='true'/>
                    S: <failed xmlns='urn:xmpp:sm:3'/>
                    C: (bound user@example.org/orchard SCRAM-SHA-1 uncounted)
                    """, resumption())
    }

    @Test(arguments: [1, 2, 3, 5, 7, 11, 64, 1_000])
    func `any split of the server's bytes gives the same actions`(_ size: Int) throws {
        _ = try play(Self.goingOn, resumption(), chunkSize: size)
        _ = try play(Self.failed("h='7'", acknowledged: 4), resumption(), chunkSize: size)
        _ = try play(
            Self.offer() + "S: <resumed xmlns='urn:xmpp:sm:3' h='9' previd='some-long-sm-id'/>\n"
                + Self.tooHigh(9, sent: 8), resumption(), chunkSize: size)
    }

    /// The server of one session and a client whose connection breaks at any point.
    @Test(arguments: 0..<50)
    func `no order of sends, acks and breaks loses or repeats a stanza`(_ seed: Int) throws {
        var random = Seeded(seed)
        var arrived: [Int] = []
        var acknowledged = 0
        var queue: [Int] = []  // sent and not acknowledged
        var next = 0
        let start = UInt32.max - UInt32.random(in: 0..<100, using: &random)
        for round in 0..<40 {
            let h = start &+ UInt32(arrived.count)
            var resumption = try resumption(acknowledged: start &+ UInt32(acknowledged))
            resumption.sent = round % 2 == 0 ? nil : resumption.acknowledged &+ UInt32(queue.count)
            let count = try resumption.newlyAcknowledged(by: h)
            acknowledged += count
            queue.removeFirst(count)
            #expect(acknowledged == arrived.count)
            queue += next..<(next + Int.random(in: 0...9, using: &random))
            next = acknowledged + queue.count
            arrived += queue.prefix(Int.random(in: 0...queue.count, using: &random))
        }
        #expect(arrived == Array(0..<arrived.count))
    }
}

@Suite struct EnablingTests {
    private func bound(_ attributes: KeyValuePairs<String, String?>) throws -> BoundStream {
        var stream = try Scene.stream()
        expectTranscript(&stream, Scene.startTLS + Scene.login + Scene.enable)
        let actions = stream.received(
            .element(Element("enabled", in: Namespace.streamManagement, attributes)))
        guard actions.count == 1, case .bound(let bound) = actions[0] else {
            throw CodecError.unexpected("\(actions)")
        }
        #expect(bound.streamManagement && !bound.resumed)
        return bound
    }

    @Test func `the server's terms are kept`() throws {
        let all = try bound([
            "id": "some-long-sm-id", "location": "[2001:41D0:1:A49b::1]:9222", "resume": "true", "max": "300",
        ])
        #expect(all.resumptionID == "some-long-sm-id" && all.maxSeconds == 300)
        #expect(all.location == "[2001:41D0:1:A49b::1]:9222")
        let least = try bound(["id": "x", "resume": "1"])
        #expect(least.resumptionID == "x" && least.location == nil && least.maxSeconds == nil)
    }

    @Test func `a stream without proper terms cannot be resumed`() throws {
        #expect(try bound(["id": "x"]).resumptionID == nil)
        #expect(try bound(["id": "x", "resume": "false", "location": "a", "max": "3"]).location == nil)
        #expect(try bound(["id": "x", "resume": "yes"]).resumptionID == nil)
        #expect(try bound(["id": "", "resume": "true"]).resumptionID == nil)
        #expect(try bound(["resume": "true"]).resumptionID == nil)
        let long = String(repeating: "x", count: 4_001)
        #expect(try bound(["id": long, "resume": "true"]).resumptionID == nil)
        #expect(try bound(["id": String(long.dropFirst()), "resume": "true"]).resumptionID?.count == 4_000)
        let odd = try bound(["id": "x", "resume": "true", "max": "-1", "location": long])
        #expect(odd.resumptionID == "x" && odd.maxSeconds == nil && odd.location == nil)
    }
}

@Suite struct DiscardedStanzaTests {
    private func play(_ transcript: String, chunkSize: Int? = nil) throws -> ClientStream {
        var limits = XMLParser.Limits.lenient
        limits.depth = 3
        var stream = try Scene.stream()
        expectTranscript(
            &stream, Scene.startTLS + Scene.login + transcript, chunkSize: chunkSize, limits: limits)
        return stream
    }

    private static let error = "limit(XMPP.XMLError.Limit.depth)"

    @Test(arguments: [nil, 1, 9])
    func `it counts like any other`(_ chunkSize: Int?) throws {
        let stream = try play(
            Scene.bind + Scene.bindResult + """
                C: <enable xmlns='urn:xmpp:sm:3' resume='true'/>
                S: <enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/><presence/><message id='7'><a><b><c/></b></a></message><presence/><r xmlns='urn:xmpp:sm:3'/>
                C: (bound user@example.org/orchard SCRAM-SHA-1 counted)
                C: (stanza <presence/>)
                C: (discarded <message id='7'/> \(Self.error))
                C: (stanza <presence/>)
                A: stored 2
                A: stored 1
                C: <a xmlns='urn:xmpp:sm:3' h='3'/>
                """, chunkSize: chunkSize)
        #expect(stream.receivedCount == 3)
    }

    @Test func `one that comes early waits like any other and does not count`() throws {
        let stream = try play(
            Scene.enable + """
                S: <message id='7'><a><b><c/></b></a></message><presence/>
                S: <enabled xmlns='urn:xmpp:sm:3'/>
                C: (bound user@example.org/orchard SCRAM-SHA-1 counted)
                C: (discarded <message id='7'/> \(Self.error))
                C: (stanza <presence/>)
                A: stored 2
                S: <r xmlns='urn:xmpp:sm:3'/>
                C: <a xmlns='urn:xmpp:sm:3' h='0'/>
                """)
        #expect(stream.receivedCount == 0)
    }

    @Test func `what is no stanza, or comes before one can, ends the stream`() throws {
        let end = """
            C: <error xmlns='http://etherx.jabber.org/streams'><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error></stream:stream>
            C: (close: the server sent XML that XMPP does not allow)

            """
        _ = try play("S: <stream:features><a><b><c/></b></a></stream:features>\n" + end)
        _ = try play(Scene.bind + "S: <iq id='bind'><a><b><c/></b></a></iq>\n" + end)
        _ = try play(Scene.enabled + "S: <a xmlns='urn:xmpp:sm:3' h='0'><a><b><c/></b></a></a>\n" + end)
    }

    @Test func `after our end tag it is dropped where it will come again`() throws {
        _ = try play(
            Scene.enabled + """
                A: close
                C: </stream:stream>
                S: <message><a><b><c/></b></a></message>
                """)
        _ = try play(
            Scene.enable + """
                S: <failed xmlns='urn:xmpp:sm:3'/>
                C: (bound user@example.org/orchard SCRAM-SHA-1 uncounted)
                A: close
                C: </stream:stream>
                S: <message><a><b><c/></b></a></message>
                C: (discarded <message/> \(Self.error))
                """)
    }
}
