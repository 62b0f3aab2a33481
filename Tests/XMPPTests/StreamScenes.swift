// The parts that the transcripts of streams share. Login values are those of RFC 5802 §5.

import IMCrypto

@testable import XMPP

enum Scene {
    static let nonce = "fyko+d2lbbFgONRv9qkxdawL"

    static func stream(
        _ tls: ClientStream.Configuration.TLS = .startTLS, resource: String? = "orchard",
        nonce: String = nonce,
        password: String = "pencil", resumption: Resumption? = nil,
        _ adjust: (inout SASLPolicy) -> Void = { _ in }
    ) throws -> ClientStream {
        var configuration = ClientStream.Configuration(
            jid: try JID("user@example.org"), tls: tls, resource: resource, resumption: resumption)
        adjust(&configuration.sasl)
        return ClientStream(configuration, password: SecretBytes(password.utf8), nonce: nonce)
    }

    /// To the encrypted stream's header.
    static let startTLS = """
        A: connected
        C: (header)
        S: (header)
        S: <stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>
        C: <starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>
        S: <proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>
        C: (TLS)
        A: TLS
        C: (header)
        S: (header)

        """

    static let directTLS = """
        A: TLS
        C: (header)
        S: (header)

        """

    static func mechanisms(_ names: String..., bindings: [String]? = nil) -> String {
        let list = names.map { "<mechanism>\($0)</mechanism>" }.joined()
        let types = bindings.map {
            "<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'>"
                + $0.map { "<channel-binding type='\($0)'/>" }.joined() + "</sasl-channel-binding>"
        }
        return "S: <stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\(list)</mechanisms>"
            + (types ?? "") + "</stream:features>\n"
    }

    /// To the client's first message.
    static let offer =
        mechanisms("PLAIN", "SCRAM-SHA-1") + """
            C: <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>{n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL}</auth>

            """

    /// To the client's proof.
    static let proof =
        offer + """
            S: <challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096}</challenge>
            C: <response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=}</response>

            """

    static let login =
        proof + """
            S: <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{v=rmF9pqV8S7suAoZWja4dJRkFsKQ=}</success>
            C: (header)
            S: (header)

            """

    /// To the request for a resource.
    static let bind = """
        S: <stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session><sm xmlns='urn:xmpp:sm:3'/></stream:features>
        C: <iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>orchard</resource></bind></iq>

        """

    static let bindResult = """
        S: <iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>user@example.org/orchard</jid></bind></iq>

        """

    /// To the request for stream management.
    static let enable =
        bind + bindResult + """
            C: <enable xmlns='urn:xmpp:sm:3' resume='true'/>

            """

    static let enabled =
        enable + """
            S: <enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/>
            C: (bound user@example.org/orchard SCRAM-SHA-1 counted)

            """

    /// From the TCP connection to counted stanzas.
    static let bound = startTLS + login + enabled

    static let end = "C: </stream:stream>\n"
}
