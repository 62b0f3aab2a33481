// The whole way from the connection to a bound resource, and what may go wrong on it.

import IMCrypto
import Testing

@testable import XMPP

@Suite struct StreamNegotiationTests {
    @Test func `STARTTLS comes before any credential`() throws {
        var stream = try Scene.stream()
        expectTranscript(&stream, Scene.startTLS)
    }

    @Test func `a stream is encrypted, authenticated, bound and counted`() throws {
        var stream = try Scene.stream()
        expectTranscript(&stream, Scene.bound)
        #expect(stream.isBound)
    }

    @Test func `direct TLS leaves out STARTTLS only`() throws {
        var stream = try Scene.stream(.direct)
        #expect(stream.connected() == [])
        expectTranscript(&stream, Scene.directTLS + Scene.login + Scene.enabled)
        #expect(stream.isBound)
    }

    @Test(arguments: [1, 2, 3, 7, 64])
    func `how the bytes are cut does not matter`(_ chunkSize: Int) throws {
        var stream = try Scene.stream()
        expectTranscript(&stream, Scene.bound, chunkSize: chunkSize)
        #expect(stream.isBound)
    }

    @Test func `the server makes the resource if none is configured`() throws {
        var stream = try Scene.stream(resource: nil)
        expectTranscript(
            &stream,
            Scene.startTLS + Scene.login + """
                S: <stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>
                C: <iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>
                S: <iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>user@example.org/4db06f06</jid></bind></iq>
                C: (bound user@example.org/4db06f06 SCRAM-SHA-1 uncounted)
                A: send 2
                C: <message id='0'/><message id='1'/>
                A: ask
                S: <message id='5'/>
                C: (stanza <message id='5'/>)
                A: stored 1
                """)
    }

    @Test func `an old server's session is established`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            Scene.startTLS + Scene.login + """
                S: <stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></stream:features>
                C: <iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>orchard</resource></bind></iq>
                S: <iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>user@example.org/orchard</jid></bind></iq>
                C: <iq type='set' id='session'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>
                S: <message id='1'/>
                S: <iq type='result' id='session'/>
                C: (bound user@example.org/orchard SCRAM-SHA-1 uncounted)
                C: (stanza <message id='1'/>)
                """)
    }

    @Test func `a stream lives on if stream management fails`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            Scene.startTLS + Scene.login + Scene.enable + """
                S: <failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>
                C: (bound user@example.org/orchard SCRAM-SHA-1 uncounted)
                """)
    }

    @Test func `stanzas before the answer to enable are kept and never counted`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            Scene.startTLS + Scene.login + Scene.enable + """
                S: <message id='1'/><message id='2'/>
                S: <enabled xmlns='urn:xmpp:sm:3'/>
                C: (bound user@example.org/orchard SCRAM-SHA-1 counted)
                C: (stanza <message id='1'/>)
                C: (stanza <message id='2'/>)
                S: <message id='3'/><r xmlns='urn:xmpp:sm:3'/>
                C: (stanza <message id='3'/>)
                A: stored 2
                A: stored 1
                C: <a xmlns='urn:xmpp:sm:3' h='1'/>
                """)
    }

    // MARK: TLS

    @Test func `without STARTTLS nothing is sent`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            """
            A: connected
            C: (header)
            S: (header)
            \(Scene.mechanisms("SCRAM-SHA-1"))
            C: </stream:stream>
            C: (close: the server does not offer encryption, or somebody on the way removed the offer)
            """)
    }

    @Test func `what comes in clear behind proceed ends the stream`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            """
            A: connected
            C: (header)
            S: (header)
            S: <stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>
            C: <starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>
            S: <proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>
            C: (TLS)
            C: (close: the server broke the protocol: data after <proceed/>)
            A: TLS
            """)
    }

    @Test func `half an element behind proceed does not survive into TLS`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            """
            A: connected
            C: (header)
            S: (header)
            S: <stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>
            C: <starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>
            S: <proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><stream:features><evil
            C: (TLS)
            A: TLS
            C: (header)
            S: (header)
            \(Scene.offer)
            """)
    }

    @Test func `a refused STARTTLS ends the stream`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            """
            A: connected
            C: (header)
            S: (header)
            S: <stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>
            C: <starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>
            S: <failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>
            C: </stream:stream>
            C: (close: the server offered encryption and then refused it)
            """)
    }

    @Test func `direct TLS accepts nothing before TLS`() throws {
        var stream = try Scene.stream(.direct)
        let features = Element("features", in: Namespace.streams)
        #expect(
            stream.received(.element(features))
                == [.close(.protocolViolation("features before the stream header"))])
    }

    // MARK: Binding

    @Test func `a conflict of resources is reported`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            Scene.startTLS + Scene.login + Scene.bind + """
                S: <iq type='error' id='bind'><error type='modify'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>
                C: </stream:stream>
                C: (close: the server bound no resource: conflict)
                """)
    }

    @Test(arguments: [
        "mallory@example.org/orchard", "user@evil.example/orchard", "user@example.org", "", "@",
    ])
    func `the server cannot bind another address`(_ address: String) throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            Scene.startTLS + Scene.login + Scene.bind + """
                S: <iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>\(address)</jid></bind></iq>
                C: <error xmlns='http://etherx.jabber.org/streams'><invalid-from xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error></stream:stream>
                C: (close: the server broke the protocol: the server bound no address of this account)
                """)
    }

    @Test func `a server without resource binding is no use`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            Scene.startTLS + Scene.login + """
                S: <stream:features/>
                C: <error xmlns='http://etherx.jabber.org/streams'><unsupported-feature xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error></stream:stream>
                C: (close: the server broke the protocol: no resource binding is offered)
                """)
    }

    // MARK: Early stanzas

    @Test func `stanzas from before the counting are handed over in order`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            Scene.startTLS + Scene.login + Scene.enable + """
                S: <message id='1'/><presence/>
                S: <enabled xmlns='urn:xmpp:sm:3'/>
                C: (bound user@example.org/orchard SCRAM-SHA-1 counted)
                C: (stanza <message id='1'/>)
                C: (stanza <presence/>)
                A: stored 2
                S: <r xmlns='urn:xmpp:sm:3'/>
                C: <a xmlns='urn:xmpp:sm:3' h='0'/>
                """)
    }

    @Test(arguments: [(101, 0), (19, 100_000), (2, 1_000_000)])
    func `early stanzas may not fill the memory`(_ count: Int, _ size: Int) throws {
        var stream = try Scene.stream()
        expectTranscript(&stream, Scene.startTLS + Scene.login + Scene.enable)
        let children = Array(repeating: Element("x", in: "urn:x"), count: size / 100)
        let body = Element("body", in: Namespace.client, text: String(repeating: "x", count: size))
        let stanza = Element("message", in: Namespace.client, [:], children + [body])
        for _ in 1..<count { #expect(stream.received(.element(stanza)) == []) }
        #expect(
            stream.received(.element(stanza)).last
                == .close(.protocolViolation("too many stanzas before the stream is ready")))
    }

    // MARK: Headers and limits

    @Test(arguments: ["", "version='0.9'", "version='2.0'", "version='x'", "version=''"])
    func `only version 1 will do`(_ version: String) throws {
        var stream = try Scene.stream()
        _ = stream.connected()
        let parser = XMLParser()
        let header =
            "<stream:stream \(version) xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
        let actions = try parser.feed(Bytes(header.utf8)).flatMap { stream.received($0) }
        guard case .close(.unsupportedVersion)? = actions.last else {
            Issue.record("accepted \(version)")
            return
        }
    }

    @Test func `a flood of features is refused`() throws {
        let flood = String(repeating: "<x xmlns='y'/>", count: StreamFeatures.maxCount + 1)
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            """
            A: connected
            C: (header)
            S: (header)
            S: <stream:features>\(flood)</stream:features>
            C: <error xmlns='http://etherx.jabber.org/streams'><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error></stream:stream>
            C: (close: the server broke the protocol: too many features)
            """)
    }

    @Test func `what is not XML is answered in kind`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            """
            A: connected
            C: (header)
            S: HTTP/1.1 400 Bad Request
            C: <error xmlns='http://etherx.jabber.org/streams'><not-well-formed xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error></stream:stream>
            C: (close: the server sent XML that XMPP does not allow)
            """)
    }
}
