// How many stanzas went either way on one stream, and what it takes to take that stream up again (XEP-0198 §5).
import Store
import XMPP

/// A value that outlives the connection: a resumed stream goes on counting. Positions count all stanzas sent on the
/// stream from 1 and never wrap; `handled` is XEP-0198's own `h`, modulo 2³².
struct ManagedStream {
    /// What the server said when stream management was enabled; nil where the stream cannot be resumed.
    private(set) var terms: Terms?
    /// Stanzas received and on disk.
    private(set) var handled: UInt32 = 0
    /// Stanzas sent; nil after a restart, which has only the rows of the outbox to tell.
    private(set) var sent: Int64? = 0
    /// The oldest so many of them are the server's responsibility.
    private(set) var acknowledged: Int64 = 0
    /// Place of the last one that carries a row of the outbox.
    private var lastDurable: Int64 = 0
    /// Whether contacts, devices and presence were set up on it.
    var isSetUp = false
    /// Whether the store knows it.
    private(set) var isSaved = false

    struct Terms: Equatable, Sendable {
        var id: String
        var jid: JID
        var location: String?
        var maxSeconds: Int?
    }

    init() {}

    /// A stream that begins.
    init(_ bound: BoundStream) {
        terms = bound.resumptionID.map {
            Terms(id: $0, jid: bound.jid, location: bound.location, maxSeconds: bound.maxSeconds)
        }
    }

    /// A stream that an imd before this one used.
    init(_ record: ResumptionRecord) {
        terms = Terms(
            id: record.id, jid: record.jid, location: record.location, maxSeconds: record.maxSeconds)
        handled = record.handled
        acknowledged = record.acknowledged
        lastDurable = .max
        sent = nil
        isSetUp = true
        isSaved = true
    }

    /// Stanzas sent and not acknowledged.
    var inFlight: Int { Int((sent ?? acknowledged) - acknowledged) }

    mutating func send(_ count: Int) { sent = (sent ?? acknowledged) + Int64(count) }

    /// The same for stanzas that carry rows of the outbox.
    mutating func sendDurable(_ count: Int) {
        send(count)
        lastDurable = sent ?? lastDurable
    }

    /// The server took responsibility for so many more.
    /// - Returns: whether rows of the outbox may be among them.
    mutating func acknowledge(_ count: Int) -> Bool {
        let before = acknowledged
        let known = sent ?? .max
        acknowledged = count > known - before ? known : before + Int64(max(0, count))
        return acknowledged > before && lastDurable > before
    }

    /// The stream goes on over a new connection: whatever was not acknowledged is sent again.
    mutating func resumed() {
        sent = acknowledged
        lastDurable = min(lastDurable, acknowledged)
    }

    /// Where the server wanted it to be resumed is of no use.
    mutating func forgetLocation() { terms?.location = nil }

    /// It cannot be taken up again, or should not be.
    mutating func abandon() { terms = nil }

    mutating func stored(handled h: UInt32?) { handled = h ?? handled }

    /// What a new connection needs to take this stream up.
    ///
    /// - Parameter lostFor: how long the connection has been gone; nil if unknown. Longer than the server keeps the
    ///   stream, and there is no use in asking.
    func resumption(lostFor: Duration?) -> Resumption? {
        guard let terms else { return nil }
        if let lostFor, let max = terms.maxSeconds, lostFor > .seconds(max) { return nil }
        return Resumption(
            id: terms.id, jid: terms.jid, location: terms.location, maxSeconds: terms.maxSeconds,
            handled: handled, acknowledged: UInt32(truncatingIfNeeded: acknowledged),
            sent: sent.map { UInt32(truncatingIfNeeded: $0) })
    }

    /// What the store is told once the stream is set up; nil where that is no use, or done.
    func record(handled h: UInt32, caughtUp: Bool) -> ResumptionRecord? {
        guard let terms, isSetUp, !isSaved else { return nil }
        return ResumptionRecord(
            id: terms.id, jid: terms.jid, location: terms.location, maxSeconds: terms.maxSeconds, handled: h,
            acknowledged: acknowledged, caughtUp: caughtUp)
    }

    mutating func saved() { isSaved = true }
}
