// What outlives a broken stream, so that the next one can go on where it stopped (XEP-0198 §5).

/// What it takes to take up a broken stream again.
///
/// An orderly end of the stream ends the server's session with it: keep this only for streams that broke.
public struct Resumption: Equatable, Sendable {
    /// The server's name for the session, `previd`.
    public var id: String
    /// The full JID that was bound.
    public var jid: JID
    /// Where the server wants the reconnection, as it wrote it: host or address, perhaps with a port.
    public var location: String?
    /// How many seconds the server keeps a broken session, if it said so.
    public var maxSeconds: Int?
    /// Our `h`: stanzas received and on disk, modulo 2³².
    public var handled: UInt32
    /// The server's last `h` that is known, modulo 2³².
    public var acknowledged: UInt32
    /// Stanzas sent, modulo 2³²; nil when that is not known any more, as after a restart. Then an `h` of up to
    /// 2³¹ beyond `acknowledged` is believed.
    public var sent: UInt32?

    /// What the owner kept.
    public init(
        id: String, jid: JID, location: String? = nil, maxSeconds: Int? = nil, handled: UInt32,
        acknowledged: UInt32, sent: UInt32? = nil
    ) {
        self.id = id
        self.jid = jid
        self.location = location
        self.maxSeconds = maxSeconds
        self.handled = handled
        self.acknowledged = acknowledged
        self.sent = sent
    }

    /// How many stanzas an `h` acknowledges beyond those acknowledged before.
    ///
    /// - Throws: if it claims stanzas that were not sent, or takes back an earlier one.
    func newlyAcknowledged(by h: UInt32) throws(StreamManagement.HandledCountTooHigh) -> Int {
        let count = h &- acknowledged
        guard count <= sent.map({ $0 &- acknowledged }) ?? 1 << 31 else {
            throw StreamManagement.HandledCountTooHigh(h: h, sent: sent ?? acknowledged)
        }
        return Int(count)
    }

    /// The request.
    var element: Element {
        Element("resume", in: Namespace.streamManagement, ["h": String(handled), "previd": id])
    }
}
