// A client's stream from the TCP connection to the last `</stream:stream>` (RFC 6120 §4), without any I/O.

public import IMCrypto

/// One stream's negotiation and, once it is bound, its accounting of stanzas (XEP-0198).
///
/// A value that is told what happened and returns what to do, in order. It owns no socket, parser or clock.
/// No event traps, whatever the server sends. After `.close` every event yields nothing.
///
/// The order of events: ``connected()`` (STARTTLS) or ``tlsEstablished(_:)`` (direct TLS, XEP-0368), then
/// ``received(_:)`` for what the parser yields. Of the bytes of one read, feed **all** events before
/// performing a `.startTLS` that the first of them caused: what a server sends behind `<proceed/>` in clear
/// must be seen, and ends the stream.
public struct ClientStream: Sendable {
    /// What is known before the connection is made.
    public struct Configuration: Sendable {
        /// When encryption starts. There is no stream without it.
        public enum TLS: Sendable {
            /// After `<proceed/>` (RFC 6120 §5).
            case startTLS
            /// Before the first byte of XML (XEP-0368).
            case direct
        }

        /// The account: a bare JID with a localpart.
        public var jid: JID
        /// When encryption starts.
        public var tls: TLS
        /// The resource to ask for; nil lets the server make one.
        public var resource: String?
        /// What is accepted at login.
        public var sasl: SASLPolicy
        /// The broken stream to go on with; nil to begin a new one.
        public var resumption: Resumption?

        /// - Parameters:
        ///   - resource: nil lets the server make one.
        ///   - allowPlain: whether the password may be sent as it is when nothing better is offered.
        ///   - pinnedMechanism: the strongest mechanism used before, as ``BoundStream/mechanism`` named it.
        ///   - resumption: the broken stream to go on with; nil to begin a new one.
        public init(
            jid: JID, tls: TLS, resource: String? = nil, allowPlain: Bool = false,
            pinnedMechanism: String? = nil, resumption: Resumption? = nil
        ) {
            self.jid = jid.bare
            self.tls = tls
            self.resource = resource
            sasl = SASLPolicy()
            sasl.allowPlain = allowPlain
            sasl.pinnedMechanism = pinnedMechanism
            self.resumption = resumption
        }
    }

    /// What the owner of the socket does next.
    public enum Action: Equatable, Sendable {
        /// Write these bytes.
        case send(Bytes)
        /// Start the TLS handshake on the connection, verify the certificate against the account's domain,
        /// then call ``ClientStream/tlsEstablished(_:)``.
        case startTLS
        /// Reset the XML parser: a new document begins. Comes before the bytes that open our new stream.
        case restartParser
        /// The stream can be used.
        case bound(BoundStream)
        /// A stanza arrived. Call ``ClientStream/stored(_:)`` when it is on disk or needs no disk.
        case stanza(Element)
        /// The server took responsibility for the oldest so many stanzas it was sent.
        case acknowledged(count: Int)
        /// The former stream is gone (XEP-0198 §5), and a new one is being bound on this connection. Of the
        /// stanzas sent on the former one the oldest so many that were not acknowledged did arrive, beyond
        /// those acknowledged before; for the others the server does not say.
        case resumptionFailed(acknowledged: Int)
        /// A stanza arrived that the parser did not take in (``XMLParser/Limits/discards``): its first tag,
        /// without content. Counts like `.stanza` and is reported to ``ClientStream/stored(_:)`` in its turn.
        case discarded(Element, XMLError)
        /// Close the connection once all bytes are written. The stream is over.
        case close(StreamFailure)
    }

    enum State: Sendable {
        case idle
        case expectingHeader(Phase)
        case expectingFeatures(Phase)
        case expectingProceed
        case handshaking
        case authenticating(SASLExchange)
        case resuming(Login, StreamFeatures, Resumption)
        case binding(Login, StreamFeatures)
        case establishingSession(BoundStream)
        case enabling(BoundStream)
        case established(Established)
        case closing(Established?)
        case closed
    }

    /// What the stream whose header is exchanged can be used for.
    enum Phase: Sendable {
        case clear
        case encrypted(ChannelBindings)
        case authenticated(Login)
    }

    struct Login: Equatable, Sendable {
        var mechanism: SASLMechanism
        var channelBinding: ChannelBindingType?
    }

    struct Established: Sendable {
        /// Nil without XEP-0198.
        var management: StreamManagement?
        /// Stanzas that arrived before the counting began and are not stored yet.
        var uncounted: Int
    }

    let configuration: Configuration
    var password: SecretBytes?
    let nonce: String
    var state = State.idle
    /// What arrived before the stream was ready, and about how many bytes it takes.
    var early: (actions: [Action], size: Int) = ([], 0)

    /// - Parameters:
    ///   - password: UTF-8. Forgotten after the login.
    ///   - nonce: the client's part of the SCRAM nonce: at least 128 random bits in printable ASCII
    ///     without comma, never used before.
    public init(_ configuration: Configuration, password: SecretBytes, nonce: String) {
        self.configuration = configuration
        self.password = password
        self.nonce = nonce
    }
}

// MARK: Events

extension ClientStream {
    /// The TCP connection is up. With direct TLS there is nothing to do until the handshake is over.
    public mutating func connected() -> [Action] {
        guard case .idle = state, configuration.tls == .startTLS else { return [] }
        return open(.clear)
    }

    /// The TLS handshake is over and the certificate is valid for the account's domain.
    ///
    /// - Parameter bindings: what this connection can be bound by; `.none` logs in unbound.
    public mutating func tlsEstablished(_ bindings: ChannelBindings) -> [Action] {
        switch (state, configuration.tls) {
        case (.handshaking, .startTLS), (.idle, .direct): return open(.encrypted(bindings))
        default: return []
        }
    }

    /// The parser yielded something.
    public mutating func received(_ event: StreamEvent) -> [Action] {
        switch event {
        case .opened(let attributes): receivedHeader(attributes)
        case .element(let element): received(element)
        case .discarded(let element, let error): received(element, discarded: error)
        case .closed: receivedEnd()
        }
    }

    /// The parser refused the server's bytes.
    public mutating func received(_ error: XMLError) -> [Action] {
        let condition = StreamError.Condition(rawValue: error.condition) ?? .notWellFormed
        return fail(.xml(error), reporting: StreamError(condition))
    }

    /// The connection is gone: closed, reset or timed out.
    public mutating func disconnected() -> [Action] {
        switch state {
        case .closed: return []
        case .closing: return end(.closed)
        default: return end(.connectionLost)
        }
    }

    /// The owner of the socket found a reason to give up, such as a certificate or a missing answer.
    public mutating func abandon(_ failure: StreamFailure) -> [Action] {
        fail(failure)
    }

    /// Ends the stream in an orderly way: a last `<a/>` if one is due, then `</stream:stream>`. The server's
    /// own end tag, or ``disconnected()``, completes it. Do not wait long for either.
    public mutating func close() -> [Action] {
        switch state {
        case .closing, .closed: return []
        case .idle, .handshaking: return end(.closed)
        case .established(var established):
            let h = established.management?.closing()
            state = .closing(established)
            return [.send((h.map(Self.answer) ?? []) + Self.endTag)]
        default:
            state = .closing(nil)
            return [.send(Self.endTag)]
        }
    }
}

// MARK: Ending

extension ClientStream {
    static let endTag = Bytes("</stream:stream>".utf8)

    mutating func end(_ failure: StreamFailure) -> [Action] {
        state = .closed
        password = nil
        early = ([], 0)
        return [.close(failure)]
    }

    /// Ends the stream for a reason of our own.
    ///
    /// - Parameter farewell: what the server is told before the end tag.
    mutating func fail(
        _ failure: StreamFailure, reporting error: StreamError? = nil, farewell: Bytes = []
    ) -> [Action] {
        switch state {
        case .closed: return []
        case .idle, .handshaking, .closing: return end(failure)  // no stream is open in our direction
        default: return [.send(farewell + (error?.element.xml() ?? []) + Self.endTag)] + end(failure)
        }
    }

    mutating func violation(
        _ what: String, _ condition: StreamError.Condition = .unsupportedStanzaType
    ) -> [Action] {
        fail(.protocolViolation(what), reporting: StreamError(condition))
    }

    /// The server's end tag: answered, unless ours was first.
    private mutating func receivedEnd() -> [Action] {
        switch state {
        case .closed: return []
        case .closing: return end(.closed)
        default: return fail(.closedByServer)
        }
    }

    mutating func received(_ error: StreamError) -> [Action] {
        let host = error.condition == .seeOtherHost ? error.otherHost : nil
        return fail(host.map(StreamFailure.seeOtherHost) ?? .stream(error))
    }
}
