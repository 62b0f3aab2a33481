// From the first header to a bound resource (RFC 6120 §4.3, §5, §6, §7).

import IMCrypto

extension ClientStream {
    /// Stanzas beyond this number before the stream is ready are an attack.
    private static let maxEarlyStanzas = 100
    /// As are stanzas that take more than so many bytes of memory.
    private static let maxEarlySize = 4 << 20

    // MARK: Headers

    /// Opens a stream. `from` goes out encrypted only (§4.7.1).
    mutating func open(_ phase: Phase) -> [Action] {
        var header = "<?xml version='1.0'?><stream:stream"
        if case .clear = phase {} else { header += " from='\(escaped(configuration.jid.description))'" }
        header += " to='\(escaped(configuration.jid.domainpart))' version='1.0' xml:lang='en'"
        header += " xmlns='\(Namespace.client)' xmlns:stream='\(Namespace.streams)'>"
        state = .expectingHeader(phase)
        return [.restartParser, .send(Bytes(header.utf8))]
    }

    /// The parser has checked the root element's name and namespace.
    mutating func receivedHeader(_ attributes: [Element.Attribute]) -> [Action] {
        switch state {
        case .expectingHeader(let phase):
            let version = attributes.first { $0.name == "version" && $0.namespace == nil }?.value
            // §4.7.5: no version means 0.9, which has no features; the answer to our 1.0 cannot be 2.0.
            guard let version, version.split(separator: ".").first.flatMap({ Int($0) }) == 1 else {
                return fail(
                    .unsupportedVersion(version), reporting: StreamError(.unsupportedVersion))
            }
            state = .expectingFeatures(phase)
            return []
        case .closing, .closed: return []
        default: return violation("a second stream header", .badFormat)
        }
    }

    mutating func received(_ element: Element) -> [Action] {
        if case .closed = state { return [] }
        if case .handshaking = state { return violation("data after <proceed/>") }
        if let error = try? StreamError(element) { return received(error) }
        switch state {
        case .idle, .expectingHeader: return violation("\(element.name) before the stream header")
        case .expectingFeatures(let phase): return receivedFeatures(element, phase)
        case .expectingProceed: return receivedTLSAnswer(element)
        case .authenticating(let exchange): return receivedSASL(element, exchange)
        case .resuming(let login, let features, let resumption):
            return receivedResumed(element, login, features, resumption)
        case .binding(let login, let features): return receivedBinding(element, login, features)
        case .establishingSession(let bound): return receivedSession(element, bound)
        case .enabling(let bound): return receivedEnabled(element, bound)
        case .established(let established): return received(element, established)
        case .closing(let established): return receivedLate(element, established)
        case .handshaking, .closed: return []
        }
    }

    // MARK: Features

    private mutating func receivedFeatures(_ element: Element, _ phase: Phase) -> [Action] {
        let features: StreamFeatures
        do {
            features = try StreamFeatures(element)
        } catch .unexpected(let name) {
            return violation("\(name) instead of the stream's features")
        } catch {
            return violation("too many features", .policyViolation)
        }
        switch phase {
        case .clear: return startTLS(features)
        case .encrypted(let bindings): return authenticate(features, bindings)
        case .authenticated(let login): return resumeOrBind(features, login)
        }
    }

    // MARK: STARTTLS

    private mutating func startTLS(_ features: StreamFeatures) -> [Action] {
        guard features.contains("starttls", in: Namespace.tls) else { return fail(.tlsNotOffered) }
        state = .expectingProceed
        return [.send(Element("starttls", in: Namespace.tls).xml())]
    }

    private mutating func receivedTLSAnswer(_ element: Element) -> [Action] {
        if element.is("proceed", in: Namespace.tls) {
            state = .handshaking
            return [.startTLS]
        }
        if element.is("failure", in: Namespace.tls) { return fail(.tlsRefused) }
        return violation("\(element.name) instead of an answer to STARTTLS")
    }

    // MARK: SASL

    private mutating func authenticate(_ features: StreamFeatures, _ bindings: ChannelBindings) -> [Action] {
        do throws(StreamFailure) {
            guard let username = configuration.jid.localpart, let password else {
                throw .unusableCredentials("user name")
            }
            let choice = try SASLChoice.best(of: features, available: bindings, policy: configuration.sasl)
            let exchange = try SASLExchange(
                choice, features: features, username: username, password: password, nonce: nonce)
            state = .authenticating(exchange)
            let auth = Element(sasl: "auth", mechanism: exchange.mechanism.name, exchange.initialResponse)
            return [.send(auth.xml())]
        } catch {
            return fail(error)
        }
    }

    private mutating func receivedSASL(_ element: Element, _ exchange: SASLExchange) -> [Action] {
        guard element.namespace == Namespace.sasl else {
            return violation("\(element.name) during the login")
        }
        if element.name == "failure" { return fail(StreamFailure(saslFailure: element)) }
        let abort = Element(sasl: "abort", nil).xml()
        let data: Bytes?
        do {
            data = try element.saslData()
        } catch {
            return fail(.protocolViolation("the content of \(element.name) is not base64"), farewell: abort)
        }
        var exchange = exchange
        do throws(StreamFailure) {
            switch element.name {
            case "challenge":
                let response = try exchange.received(challenge: data ?? [])
                state = .authenticating(exchange)
                return [.send(Element(sasl: "response", response.isEmpty ? nil : response).xml())]
            case "success":
                try exchange.received(success: data)
                password = nil
                return open(
                    .authenticated(
                        Login(mechanism: exchange.mechanism, channelBinding: exchange.channelBinding)))
            default:
                return violation("\(element.name) during the login")
            }
        } catch {
            // There is nothing left to abort after <success/>.
            return fail(error, farewell: element.name == "challenge" ? abort : [])
        }
    }

    // MARK: Resource binding

    mutating func bind(_ features: StreamFeatures, _ login: Login) -> [Action] {
        guard features.contains("bind", in: Namespace.bind) else {
            return violation("no resource binding is offered", .unsupportedFeature)
        }
        var bind = Element("bind", in: Namespace.bind)
        if let resource = configuration.resource {
            bind.append(Element("resource", in: Namespace.bind, text: resource))
        }
        state = .binding(login, features)
        return [.send(Element("iq", in: Namespace.client, ["type": "set", "id": "bind"], [bind]).xml())]
    }

    private mutating func receivedBinding(
        _ element: Element, _ login: Login, _ features: StreamFeatures
    ) -> [Action] {
        guard element.stanzaKind == .iq, element.id == "bind", let type = element.type else {
            return violation("\(element.name) before a resource is bound")
        }
        if type == "error", let error = StanzaError(element) { return fail(.bind(error)) }
        // The own address decides whom to trust, so the server may choose the resource and nothing else.
        guard type == "result",
            let text = element.child("bind", in: Namespace.bind)?.child("jid", in: Namespace.bind)?.text,
            let jid = try? JID(text), !jid.isBare, jid.bare == configuration.jid
        else { return violation("the server bound no address of this account", .invalidFrom) }
        let bound = BoundStream(
            jid: jid, features: features, streamManagement: false, mechanism: login.mechanism.name,
            channelBinding: login.channelBinding?.rawValue)
        guard features.requiresSession else { return enable(bound) }
        state = .establishingSession(bound)
        let session = Element("session", in: Namespace.session)
        return [
            .send(Element("iq", in: Namespace.client, ["type": "set", "id": "session"], [session]).xml())
        ]
    }

    private mutating func receivedSession(_ element: Element, _ bound: BoundStream) -> [Action] {
        guard element.stanzaKind == .iq, element.id == "session",
            element.type == "result" || element.type == "error"
        else { return keep(element) }
        if let error = StanzaError(element) { return fail(.session(error)) }
        return enable(bound)
    }

    // MARK: Ready

    /// The server may use a bound stream at once; what it sends then is not counted (XEP-0198 §4).
    mutating func keep(_ element: Element, discarded error: XMLError? = nil) -> [Action] {
        guard element.stanzaKind != nil else {
            return violation("\(element.name) before the stream is ready")
        }
        early.size += element.approximateSize
        guard early.actions.count < Self.maxEarlyStanzas, early.size <= Self.maxEarlySize else {
            return violation("too many stanzas before the stream is ready", .policyViolation)
        }
        early.actions.append(error.map { .discarded(element, $0) } ?? .stanza(element))
        return []
    }

    mutating func establish(_ bound: BoundStream) -> [Action] {
        let actions = early.actions
        early = ([], 0)
        let management = bound.streamManagement ? StreamManagement() : nil
        state = .established(Established(management: management, uncounted: actions.count))
        return [.bound(bound)] + actions
    }
}

extension Element {
    /// About how many bytes it takes in memory; names are shared.
    fileprivate var approximateSize: Int {
        var size = 128
        for attribute in attributes { size += 64 + attribute.value.utf8.count }
        for node in nodes {
            switch node {
            case .element(let element): size += element.approximateSize
            case .text(let text): size += 32 + text.utf8.count
            }
        }
        return size
    }
}

/// Attribute values in single quotes.
private func escaped(_ text: String) -> String {
    var result = ""
    for character in text.unicodeScalars {
        switch character {
        case "&": result += "&amp;"
        case "<": result += "&lt;"
        case "'": result += "&apos;"
        default: result.unicodeScalars.append(character)
        }
    }
    return result
}
