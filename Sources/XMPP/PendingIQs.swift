// IQ requests that await their reply, and who may give it (RFC 6120 §8.1.2.1, §8.2.3).

/// The requests in flight on one stream, each with what the caller needs to go on.
///
/// A reply counts only if kind, id **and** sender fit the request: anybody may send us an IQ with any id.
public struct PendingIQs<Context: Sendable>: Sendable {
    private struct Request: Sendable {
        var to: JID?
        var deadlineAt: Int64
        var context: Context
    }

    private let own: JID
    private var requests: [String: Request] = [:]

    /// - Parameter own: the full JID that the stream is bound to.
    public init(own: JID) {
        self.own = own
    }

    /// Requests without reply so far.
    public var count: Int { requests.count }

    /// An id that nobody can guess and no request in flight has: 128 bits, 26 characters of base32.
    public func newID(using random: inout some RandomNumberGenerator) -> String {
        var id = StanzaID.random(using: &random)
        while requests[id] != nil { id = StanzaID.random(using: &random) }
        return id
    }

    /// Notes a request that is about to be sent. An id that is in flight already is replaced.
    ///
    /// - Parameters:
    ///   - id: from ``newID(using:)``.
    ///   - to: the request's `to`; nil if it has none.
    ///   - deadlineAt: Unix milliseconds.
    public mutating func add(id: String, to: JID?, deadlineAt: Int64, context: Context) {
        requests[id] = Request(to: to, deadlineAt: deadlineAt, context: context)
    }

    /// Takes the request that a stanza replies to out of the list.
    ///
    /// - Returns: nil for anything that is not the reply to a request in flight; the list is unchanged then.
    public mutating func take(_ reply: Element) -> Context? {
        guard reply.stanzaKind == .iq, reply.type == "result" || reply.type == "error", let id = reply.id,
            let request = requests[id], isAnswerer(reply, to: request.to)
        else { return nil }
        requests[id] = nil
        return request.context
    }

    /// Takes out the requests whose time is over.
    ///
    /// - Parameter now: Unix milliseconds.
    public mutating func expired(now: Int64) -> [Context] {
        let ids = requests.filter { $0.value.deadlineAt <= now }.sorted {
            ($0.value.deadlineAt, $0.key) < ($1.value.deadlineAt, $1.key)
        }
        for (id, _) in ids { requests[id] = nil }
        return ids.map(\.value.context)
    }

    /// Takes out everything, as when the stream ends.
    public mutating func removeAll() -> [Context] {
        expired(now: .max)
    }

    /// Whether `reply` comes from where the request went.
    ///
    /// - A request without `to` is for the account, and the server answers for it (§10.3.3): without `from`
    ///   or from the bare JID (§8.1.2.1). Servers in use also answer from the full JID or from their domain;
    ///   nobody else can send from those, so both are accepted.
    /// - A request to the own bare JID: the same, but for the domain, which is somebody else then.
    /// - Any other request: only the exact address it went to. An absent `from` is the account, nobody else.
    private func isAnswerer(_ reply: Element, to: JID?) -> Bool {
        guard reply.hasSender else { return to == nil || to == own.bare }
        guard let from = reply.from else { return false }
        guard let to else { return from == own.bare || from == own || from == own.domain }
        return from == to || (to == own.bare && from == own)
    }
}

/// Ids for stanzas.
public enum StanzaID {
    private static let alphabet = [UInt8]("abcdefghijklmnopqrstuvwxyz234567".utf8)

    /// 128 random bits as 26 characters of base32 in lower case.
    public static func random(using random: inout some RandomNumberGenerator) -> String {
        let high: UInt64 = random.next()
        let low: UInt64 = random.next()
        var bits = UInt128(high) << 64 | UInt128(low)
        return String(unsafeUninitializedCapacity: 26) { text in
            for index in 0..<26 {
                text[index] = alphabet[Int(truncatingIfNeeded: bits & 31)]
                bits >>= 5
            }
            return 26
        }
    }
}
