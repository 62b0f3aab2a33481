// How streams end, at each point where they can.

import IMCrypto
import Testing

@testable import XMPP

/// A place in the negotiation: what led to it.
struct StreamStage: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var transcript: String

    static let all = [
        StreamStage(
            testDescription: "awaiting the features",
            transcript: "A: connected\nC: (header)\nS: (header)\n"),
        StreamStage(
            testDescription: "awaiting proceed",
            transcript: """
                A: connected
                C: (header)
                S: (header)
                S: <stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>
                C: <starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>

                """),
        StreamStage(testDescription: "encrypted", transcript: Scene.startTLS),
        StreamStage(testDescription: "login begun", transcript: Scene.startTLS + Scene.offer),
        StreamStage(testDescription: "proof sent", transcript: Scene.startTLS + Scene.proof),
        StreamStage(testDescription: "logged in", transcript: Scene.startTLS + Scene.login),
        StreamStage(testDescription: "binding", transcript: Scene.startTLS + Scene.login + Scene.bind),
        StreamStage(testDescription: "enabling", transcript: Scene.startTLS + Scene.login + Scene.enable),
        StreamStage(testDescription: "bound", transcript: Scene.bound),
    ]
}

@Suite struct StreamEndTests {
    @Test(arguments: StreamStage.all)
    func `the server's end tag is answered`(_ stage: StreamStage) throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            stage.transcript + """
                S: </stream:stream>
                C: </stream:stream>
                C: (close: the server closed the stream)
                A: disconnected
                A: close
                A: send 1
                """)
        #expect(!stream.isBound)
    }

    @Test(arguments: StreamStage.all)
    func `a stream error ends the stream`(_ stage: StreamStage) throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            stage.transcript + """
                S: <stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>see you</text></stream:error></stream:stream>
                C: </stream:stream>
                C: (close: the server ended the stream: system-shutdown (see you))
                """)
    }

    @Test(arguments: StreamStage.all)
    func `another host is named and not followed`(_ stage: StreamStage) throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            stage.transcript + """
                S: <stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>[2001:db8::1]:9222</see-other-host></stream:error>
                C: </stream:stream>
                C: (close: the server sends us to another host: [2001:db8::1]:9222)
                """)
    }

    @Test(arguments: StreamStage.all)
    func `an element that belongs nowhere ends the stream`(_ stage: StreamStage) throws {
        var stream = try Scene.stream()
        expectTranscript(&stream, stage.transcript)
        let junk = Element("junk", in: "urn:example:junk")
        let actions = stream.received(.element(junk))
        #expect(actions.count == 2)
        guard case .close(.protocolViolation)? = actions.last else {
            Issue.record("\(actions)")
            return
        }
        #expect(stream.received(.element(junk)) == [])
        #expect(stream.received(.closed) == [])
    }

    @Test(arguments: StreamStage.all)
    func `a second header ends the stream`(_ stage: StreamStage) throws {
        var stream = try Scene.stream()
        expectTranscript(&stream, stage.transcript)
        let actions = stream.received(.opened(attributes: [Element.Attribute("version", "1.0")]))
        guard case .close(.protocolViolation)? = actions.last else {
            Issue.record("\(actions)")
            return
        }
    }

    @Test(arguments: StreamStage.all)
    func `bad XML ends the stream`(_ stage: StreamStage) throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            stage.transcript + """
                S: <!-- hello -->
                C: <error xmlns='http://etherx.jabber.org/streams'><restricted-xml xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error></stream:stream>
                C: (close: the server sent XML that XMPP does not allow)
                """)
    }

    @Test(arguments: StreamStage.all)
    func `a broken connection ends the stream`(_ stage: StreamStage) throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            stage.transcript + """
                A: disconnected
                C: (close: the connection broke)
                A: disconnected
                """)
    }

    @Test(arguments: StreamStage.all)
    func `we can leave at any time`(_ stage: StreamStage) throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            stage.transcript + """
                A: close
                C: </stream:stream>
                A: close
                S: <message id='late'/>
                S: </stream:stream>
                C: (close: the stream was closed)
                """)
    }

    @Test(arguments: StreamStage.all)
    func `the owner of the socket can give up at any time`(_ stage: StreamStage) throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            stage.transcript
                + "A: abandon\nC: </stream:stream>\nC: (close: the server did not answer in time)")
    }

    @Test func `during the handshake nothing is written`() throws {
        let opening = """
            A: connected
            C: (header)
            S: (header)
            S: <stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>
            C: <starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>
            S: <proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>
            C: (TLS)

            """
        var closed = try Scene.stream()
        expectTranscript(&closed, opening + "A: close\nC: (close: the stream was closed)\nA: TLS")
        var abandoned = try Scene.stream()
        expectTranscript(
            &abandoned, opening + "A: abandon\nC: (close: the server did not answer in time)\nA: TLS")
    }

    @Test func `acknowledgements count after we closed, stanzas do not`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            Scene.bound + """
                A: send 3
                C: <message id='0'/><message id='1'/><message id='2'/><r xmlns='urn:xmpp:sm:3'/>
                S: <message id='8'/>
                C: (stanza <message id='8'/>)
                A: stored 1
                A: close
                C: <a xmlns='urn:xmpp:sm:3' h='1'/></stream:stream>
                S: <message id='9'/><a xmlns='urn:xmpp:sm:3' h='2'/>
                C: (acknowledged 2)
                S: </stream:stream>
                C: (close: the stream was closed)
                """)
    }

    @Test func `stanzas count after we closed an uncounted stream`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            Scene.startTLS + Scene.login + Scene.enable + """
                S: <failed xmlns='urn:xmpp:sm:3'/>
                C: (bound user@example.org/orchard SCRAM-SHA-1 uncounted)
                A: close
                C: </stream:stream>
                S: <message id='9'/>
                C: (stanza <message id='9'/>)
                A: disconnected
                C: (close: the stream was closed)
                """)
    }
}
