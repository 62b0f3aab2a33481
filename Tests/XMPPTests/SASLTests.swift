// Which mechanism and binding are chosen, and logins as they look on the wire.

import IMCrypto
import Testing

@testable import XMPP

@Suite struct SASLChoiceTests {
    private static let data = ChannelBindings(exporter: [1], serverEndPoint: [2])
    private static let all = [
        "SCRAM-SHA-1", "PLAIN", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-512", "X-OAUTH2",
    ]

    private static func choice(
        _ mechanisms: [String], bindings: [String]? = nil, available: ChannelBindings = data,
        _ adjust: (inout SASLPolicy) -> Void = { _ in }
    ) throws -> SASLChoice {
        var element = Element("features", in: Namespace.streams)
        var list = Element("mechanisms", in: Namespace.sasl)
        for name in mechanisms { list.append(Element("mechanism", in: Namespace.sasl, text: name)) }
        element.append(list)
        if let bindings {
            var types = Element("sasl-channel-binding", in: Namespace.channelBindings)
            for type in bindings {
                types.append(Element("channel-binding", in: Namespace.channelBindings, ["type": type]))
            }
            element.append(types)
        }
        var policy = SASLPolicy()
        adjust(&policy)
        return try SASLChoice.best(of: try StreamFeatures(element), available: available, policy: policy)
    }

    @Test func `binding counts for more than the better hash`() throws {
        #expect(
            try Self.choice(Self.all, bindings: ["tls-exporter"])
                == SASLChoice(
                    mechanism: .scram(.sha256, plus: true), binding: .bound(.tlsExporter, [1])))
    }

    @Test func `the best hash wins among equals`() throws {
        let names = ["SCRAM-SHA-1", "SCRAM-SHA-512", "SCRAM-SHA-256"]
        #expect(try Self.choice(names).mechanism == .scram(.sha512, plus: false))
    }

    @Test func `the exporter is preferred to the end point`() throws {
        let types = ["tls-server-end-point", "tls-unique", "tls-exporter"]
        #expect(try Self.choice(Self.all, bindings: types).binding == .bound(.tlsExporter, [1]))
        #expect(
            try Self.choice(Self.all, bindings: types, available: ChannelBindings(serverEndPoint: [2]))
                .binding
                == .bound(.tlsServerEndPoint, [2]))
    }

    @Test func `only announced types are used`() throws {
        #expect(
            try Self.choice(Self.all, bindings: ["tls-server-end-point"]).binding
                == .bound(.tlsServerEndPoint, [2]))
    }

    @Test func `only foreign types mean an attack`() {
        #expect(throws: StreamFailure.channelBindingUnavailable(announced: ["x", "tls-unique"])) {
            try Self.choice(Self.all, bindings: ["x", "tls-unique"])
        }
    }

    @Test func `without data for any announced type n is sent`() throws {
        let exporter = ChannelBindings(exporter: [1])
        let choice = try Self.choice(Self.all, bindings: ["tls-server-end-point"], available: exporter)
        #expect(choice == SASLChoice(mechanism: .scram(.sha512, plus: false), binding: .unsupported))
    }

    @Test func `n if we cannot bind`() throws {
        #expect(
            try Self.choice(Self.all, bindings: ["x"], available: .none)
                == SASLChoice(mechanism: .scram(.sha512, plus: false), binding: .unsupported))
    }

    @Test func `y if we could and the server offers none`() throws {
        #expect(try Self.choice(["SCRAM-SHA-1"]).binding == .notOffered)
        #expect(try Self.choice(["SCRAM-SHA-1"], bindings: ["tls-exporter"]).binding == .notOffered)
        #expect(try Self.choice(["SCRAM-SHA-1"], available: .none).binding == .unsupported)
    }

    @Test func `y is never sent to a server that offers any PLUS`() throws {
        #expect(try Self.choice(["SCRAM-SHA-1", "SCRAM-SHA3-512-PLUS"]).binding == .unsupported)
        #expect(try Self.choice(Self.all).binding == .unsupported)
    }

    @Test(arguments: [nil, [String]()])
    func `unannounced bindings are not tried`(_ types: [String]?) throws {
        #expect(try Self.choice(Self.all, bindings: types).mechanism == .scram(.sha512, plus: false))
    }

    @Test func `PLAIN only if allowed and alone`() throws {
        #expect(throws: StreamFailure.mechanismsTooWeak(["PLAIN"])) { try Self.choice(["PLAIN"]) }
        #expect(try Self.choice(["PLAIN", "EXTERNAL"]) { $0.allowPlain = true }.mechanism == .plain)
        let better = try Self.choice(["PLAIN", "SCRAM-SHA-1"]) { $0.allowPlain = true }
        #expect(better.mechanism == .scram(.sha1, plus: false))
        #expect(throws: StreamFailure.self) {
            try Self.choice(["PLAIN", "SCRAM-SHA-1-PLUS"], available: .none) { $0.allowPlain = true }
        }
        #expect(throws: StreamFailure.mechanismsTooWeak([])) { try Self.choice([]) }
    }

    @Test(arguments: [
        ("SCRAM-SHA-1-PLUS", ["SCRAM-SHA-512", "SCRAM-SHA-1"]), ("SCRAM-SHA-256", ["SCRAM-SHA-1"]),
        ("SCRAM-SHA-1", ["PLAIN"]), ("SCRAM-SHA-512-PLUS", ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-512"]),
        ("SCRAM-SHA-1", [String]()), ("SCRAM-SHA3-512", ["SCRAM-SHA-512-PLUS"]),
    ])
    func `less than once is a downgrade`(_ pinned: String, _ offered: [String]) {
        #expect(throws: StreamFailure.downgrade(pinned: pinned, offered: offered)) {
            try Self.choice(offered, bindings: ["tls-exporter"]) {
                $0.pinnedMechanism = pinned
                $0.allowPlain = true
            }
        }
    }

    @Test func `a removed list of bindings is a downgrade once PLUS was used`() {
        #expect(throws: StreamFailure.downgrade(pinned: "SCRAM-SHA-256-PLUS", offered: Self.all)) {
            try Self.choice(Self.all) { $0.pinnedMechanism = "SCRAM-SHA-256-PLUS" }
        }
    }

    @Test func `a weaker binding than once is a downgrade`() throws {
        #expect(throws: StreamFailure.downgrade(pinned: "tls-exporter", offered: ["tls-server-end-point"])) {
            try Self.choice(Self.all, bindings: ["tls-server-end-point"]) {
                $0.pinnedChannelBinding = "tls-exporter"
            }
        }
        let stronger = try Self.choice(Self.all, bindings: ["tls-exporter"]) {
            $0.pinnedChannelBinding = "tls-server-end-point"
        }
        #expect(stronger.binding.type == .tlsExporter)
    }

    @Test func `as much or more than once is fine`() throws {
        for pinned in ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-512", "SCRAM-SHA-256-PLUS"] {
            let choice = try Self.choice(Self.all, bindings: ["tls-exporter"]) { $0.pinnedMechanism = pinned }
            #expect(choice.mechanism == .scram(.sha256, plus: true))
        }
    }

    @Test func `every mechanism has its registered name`() {
        let names = [
            "PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512", "SCRAM-SHA-1-PLUS",
            "SCRAM-SHA-256-PLUS", "SCRAM-SHA-512-PLUS",
        ]
        for (strength, name) in names.enumerated() {
            #expect(SASLMechanism(name: name)?.name == name)
            #expect(SASLMechanism(name: name)?.strength == strength)
        }
        #expect(SASLMechanism(name: "scram-sha-1") == nil)
    }
}

@Suite struct SASLTranscriptTests {
    @Test func `the server's proof may come as a last challenge`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            Scene.startTLS + Scene.proof + """
                S: <challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{v=rmF9pqV8S7suAoZWja4dJRkFsKQ=}</challenge>
                C: <response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
                S: <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
                C: (header)
                """)
    }

    @Test func `PLUS is used where both sides can`() throws {
        var stream = try Scene.stream(nonce: "rOprNGfwEbeRWgbNEkqO")
        expectTranscript(
            &stream,
            Scene.startTLS
                + Scene.mechanisms(
                    "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", bindings: ["tls-server-end-point", "tls-exporter"])
                    + """
                    C: <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256-PLUS'>{p=tls-exporter,,n=user,r=rOprNGfwEbeRWgbNEkqO}</auth>
                    S: <challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096}</challenge>
                    C: <response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{c=cD10bHMtZXhwb3J0ZXIsLAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=QC6CS20quADQRb3mT99YUH+n3VJxUvzuK0K0E1Vrs2M=}</response>
                    S: <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{v=2GiAgapEppLVlUXbxUDksL3VgYHzuqiK5tR4mhJGgvs=}</success>
                    C: (header)
                    S: (header)
                    S: <stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>
                    C: <iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>orchard</resource></bind></iq>
                    S: <iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>user@example.org/orchard</jid></bind></iq>
                    C: (bound user@example.org/orchard SCRAM-SHA-256-PLUS tls-exporter uncounted)
                    """,
            bindings: ChannelBindings(exporter: Bytes(0..<32), serverEndPoint: [1]))
    }

    @Test func `an allowed PLAIN sends the password once encrypted`() throws {
        var stream = try Scene.stream { $0.allowPlain = true }
        expectTranscript(
            &stream,
            Scene.startTLS + Scene.mechanisms("PLAIN") + """
                C: <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{\u{0}user\u{0}pencil}</auth>
                S: <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
                C: (header)
                """)
    }

    @Test func `PLAIN alone is refused`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            Scene.startTLS + Scene.mechanisms("PLAIN") + Scene.end
                + "C: (close: the server offers no safe way to log in: PLAIN)")
    }

    @Test func `a removed PLUS is a downgrade`() throws {
        var stream = try Scene.stream { $0.pinnedMechanism = "SCRAM-SHA-1-PLUS" }
        expectTranscript(
            &stream,
            Scene.startTLS + Scene.mechanisms("SCRAM-SHA-1", "SCRAM-SHA-256") + Scene.end + """
                C: (close: the server once offered SCRAM-SHA-1-PLUS and now only SCRAM-SHA-1, SCRAM-SHA-256: somebody may be intercepting the connection)
                """,
            bindings: ChannelBindings(exporter: [1]))
    }

    @Test func `a removed PLUS makes the client say so`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            Scene.startTLS + Scene.mechanisms("SCRAM-SHA-1") + """
                C: <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>{y,,n=user,r=fyko+d2lbbFgONRv9qkxdawL}</auth>
                S: <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/><text>Channel binding expected</text></failure>
                C: </stream:stream>
                C: (close: wrong user name or password (Channel binding expected))
                """,
            bindings: ChannelBindings(exporter: [1]))
    }

    @Test(arguments: [
        (
            "r=fyko+d2lbbFgONRv9qkxdawL,s=QSXCR+Q6sek8bf92,i=4096",
            "the server's login message does not answer ours"
        ),
        (
            "r=fyko+d2lbbFgONRv9qkxdawL3rfc,s=QSXCR+Q6sek8bf92,i=1",
            "the server asks for 1 password iterations, not within 4096...500000"
        ),
        (
            "r=fyko+d2lbbFgONRv9qkxdawL3rfc,s=QSXCR+Q6sek8bf92,i=1000000000",
            "the server asks for 1000000000 password iterations, not within 4096...500000"
        ),
        (
            "m=x,r=fyko+d2lbbFgONRv9qkxdawL3rfc,s=QSXCR+Q6sek8bf92,i=4096",
            "the server's login message is not acceptable: an unknown extension is mandatory"
        ),
    ])
    func `a login that smells is aborted`(_ challenge: String, _ reason: String) throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            Scene.startTLS + Scene.offer + """
                S: <challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{\(challenge)}</challenge>
                C: <abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></stream:stream>
                C: (close: \(reason))
                """)
    }

    @Test(arguments: [
        ("", "the server could not prove that it knows the password"),
        ("=", "the server's login message is not acceptable: not a list of attributes"),
        ("{v=AAAAAAAAAAAAAAAAAAAAAAAAAAA=}", "the server could not prove that it knows the password"),
        ("{v=}", "the server could not prove that it knows the password"),
        ("{e=other-error}", "the server refused the login: other-error"),
    ])
    func `success without the server's proof is a failure`(_ content: String, _ reason: String) throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            Scene.startTLS + Scene.proof + """
                S: <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\(content)</success>
                C: </stream:stream>
                C: (close: \(reason))
                """)
    }

    @Test func `success before the proof is asked for is a failure`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            Scene.startTLS + Scene.offer + """
                S: <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
                C: </stream:stream>
                C: (close: the server could not prove that it knows the password)
                """)
    }

    @Test func `a wrong password is reported`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            Scene.startTLS + Scene.proof + """
                S: <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>
                C: </stream:stream>
                C: (close: wrong user name or password)
                """)
    }

    @Test func `what is not base64 aborts the login`() throws {
        var stream = try Scene.stream()
        expectTranscript(
            &stream,
            Scene.startTLS + Scene.offer + """
                S: <challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>cj1h Cg==</challenge>
                C: <abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></stream:stream>
                C: (close: the server broke the protocol: the content of challenge is not base64)
                """)
    }

    @Test func `an account without localpart cannot log in`() throws {
        var stream = ClientStream(
            ClientStream.Configuration(jid: try JID("example.org"), tls: .direct),
            password: SecretBytes([0x61]), nonce: "abc")
        let features = try XMLParser().feed(
            Bytes(
                """
                <stream:stream version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>\
                \(Scene.mechanisms("SCRAM-SHA-1").dropFirst(3))
                """.utf8))
        _ = stream.tlsEstablished(.none)
        let actions = features.flatMap { stream.received($0) }
        #expect(actions.last == .close(.unusableCredentials("user name")))
    }
}
