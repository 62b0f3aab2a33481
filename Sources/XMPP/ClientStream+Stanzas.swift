// Stanzas over a bound stream, and their acknowledgements (XEP-0198 §4).

public import IMCrypto

extension ClientStream {
    /// Whether stanzas can be sent.
    public var isBound: Bool {
        if case .established = state { true } else { false }
    }

    /// Stanzas received so far, stored or not, modulo 2³² (XEP-0198 §4); nil on a stream that does not count.
    public var receivedCount: UInt32? { management?.receivedCount }

    /// Stanzas sent so far, modulo 2³²; nil on a stream that does not count. After a resumption it goes on
    /// from what the server has.
    public var sentCount: UInt32? { management?.sentCount }

    /// Whether the server owes the answer to an `<r/>`.
    public var isAwaitingAck: Bool { management?.isAwaitingAnswer ?? false }

    private var management: StreamManagement? {
        switch state {
        case .established(let established), .closing(let established?): established.management
        default: nil
        }
    }

    /// Sends stanzas, and asks for their acknowledgement unless one is asked for already.
    ///
    /// - Parameter stanzas: each one `<message/>`, `<presence/>` or `<iq/>` in UTF-8, and nothing else.
    /// - Returns: nothing if the stream is not bound; the stanzas were not sent then, and not counted.
    public mutating func send(_ stanzas: [Bytes]) -> [Action] {
        guard case .established(var established) = state, !stanzas.isEmpty else { return [] }
        var bytes = Bytes()
        bytes.reserveCapacity(stanzas.reduce(Self.request.count) { $0 + $1.count })
        for stanza in stanzas { bytes += stanza }
        if established.management?.sent(stanzas.count) == true { bytes += Self.request }
        state = .established(established)
        return [.send(bytes)]
    }

    /// The oldest `count` stanzas that arrived are on disk, or need no disk: from now on they count in `h`.
    ///
    /// - Parameter count: at most as many as `.stanza` actions this stream has returned. A stanza of another
    ///   stream must not be reported here. More than that counts as all of them.
    /// - Returns: the answer to the server's `<r/>` if it waited for these.
    public mutating func stored(_ count: Int) -> [Action] {
        guard case .established(var established) = state else { return [] }
        let uncounted = min(max(count, 0), established.uncounted)
        established.uncounted -= uncounted
        let h = established.management?.stored(count - uncounted)
        state = .established(established)
        return h.map { [.send(Self.answer($0))] } ?? []
    }

    /// Asks for an acknowledgement, to learn whether the server is there.
    ///
    /// - Returns: nothing if one is under way, or without stream management: send a ping (XEP-0199) then.
    public mutating func requestAck() -> [Action] {
        guard case .established(var established) = state, established.management?.requestAck() == true else {
            return []
        }
        state = .established(established)
        return [.send(Self.request)]
    }

    static let request = Bytes("<r xmlns='\(Namespace.streamManagement)'/>".utf8)

    static func answer(_ h: UInt32) -> Bytes {
        Bytes("<a xmlns='\(Namespace.streamManagement)' h='\(h)'/>".utf8)
    }

    // MARK: Receiving

    mutating func received(_ element: Element, _ established: Established) -> [Action] {
        var established = established
        if element.stanzaKind != nil {
            established.management?.received()
            state = .established(established)
            return [.stanza(element)]
        }
        guard established.management != nil, element.namespace == Namespace.streamManagement else {
            return violation("\(element.name) is not a stanza")
        }
        switch element.name {
        case "r":
            let h = established.management?.receivedRequest()
            state = .established(established)
            return h.map { [.send(Self.answer($0))] } ?? []
        case "a":
            return receivedAnswer(element, established)
        default:
            return violation("\(element.name) at this point")
        }
    }

    private mutating func receivedAnswer(_ element: Element, _ established: Established) -> [Action] {
        var established = established
        guard let h: UInt32 = try? element.required("h") else {
            return violation("an ack without h", .badFormat)
        }
        do throws(StreamManagement.HandledCountTooHigh) {
            guard let answer = try established.management?.received(ack: h) else { return [] }
            if case .closing = state {
                state = .closing(established)
                return answer.count > 0 ? [.acknowledged(count: answer.count)] : []
            }
            state = .established(established)
            return (answer.count > 0 ? [.acknowledged(count: answer.count)] : [])
                + (answer.asksAgain ? [.send(Self.request)] : [])
        } catch {
            return fail(error)
        }
    }

    mutating func fail(_ error: StreamManagement.HandledCountTooHigh) -> [Action] {
        fail(.handledCountTooHigh(h: error.h, sent: error.sent), reporting: StreamError(error))
    }

    /// The parser skipped a stanza. Before the stream is bound nothing can be skipped.
    mutating func received(_ element: Element, discarded error: XMLError) -> [Action] {
        switch state {
        case .closed: return []
        case .establishingSession, .enabling: return keep(element, discarded: error)
        case .established(var established) where element.stanzaKind != nil:
            established.management?.received()
            state = .established(established)
            return [.discarded(element, error)]
        case .closing(let established) where element.stanzaKind != nil:
            return established != nil && established?.management == nil ? [.discarded(element, error)] : []
        default: return received(error)
        }
    }

    /// After our end tag. With stream management the server gets no `<a/>` for what arrives now and keeps it
    /// for the next stream, so it is dropped here; without, it would be lost.
    mutating func receivedLate(_ element: Element, _ established: Established?) -> [Action] {
        guard let established else { return [] }
        if element.stanzaKind != nil { return established.management == nil ? [.stanza(element)] : [] }
        guard element.is("a", in: Namespace.streamManagement) else { return [] }
        return receivedAnswer(element, established)
    }
}

extension StreamError {
    /// XEP-0198 §6.
    fileprivate init(_ error: StreamManagement.HandledCountTooHigh) {
        self.init(
            .undefinedCondition,
            application: Element(
                "handled-count-too-high", in: Namespace.streamManagement,
                ["h": String(error.h), "send-count": String(error.sent)]))
    }
}
