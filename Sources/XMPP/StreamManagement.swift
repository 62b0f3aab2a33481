// How many stanzas each side has taken responsibility for (XEP-0198 §4), as arithmetic alone.

/// The counters of one stream, from the client's side; all of them run modulo 2³².
///
/// A value: it is told what happened and says what is due. It holds no stanza, socket or clock. Only stanzas
/// count, never `<r/>`, `<a/>` or other elements.
public struct StreamManagement: Equatable, Sendable {
    /// An `h` beyond what is in flight (XEP-0198 §6); the stream must be closed.
    public struct HandledCountTooHigh: Error, Equatable, Sendable {
        /// What the server claims to have handled.
        public var h: UInt32
        /// What it was sent.
        public var sent: UInt32
    }

    /// What an `<a/>` means.
    public struct Acknowledgement: Equatable, Sendable {
        /// The oldest so many stanzas in flight are the server's responsibility now.
        public var count: Int
        /// Whether an `<r/>` is due for those that remain.
        public var asksAgain: Bool
    }

    /// Stanzas sent, modulo 2³².
    public private(set) var sentCount: UInt32
    /// The server's last `h`.
    public private(set) var acknowledgedCount: UInt32
    /// Our own `h`: stanzas received and on disk, modulo 2³².
    public private(set) var handledCount: UInt32
    /// Stanzas received, on disk or not, modulo 2³².
    public private(set) var receivedCount: UInt32

    /// Whether an `<r/>` of ours is unanswered.
    public private(set) var isAwaitingAnswer = false
    private var sentCountAtRequest: UInt32
    private var reportedCount: UInt32
    private var requests: [UInt32] = []  // receivedCount at each unanswered `<r/>`, oldest first

    /// Both sides start at zero when stream management is enabled (§4).
    public init() {
        self.init(sent: 0, handled: 0)
    }

    init(sent: UInt32, handled: UInt32) {
        sentCount = sent
        acknowledgedCount = sent
        sentCountAtRequest = sent
        handledCount = handled
        receivedCount = handled
        reportedCount = handled
    }

    /// Stanzas sent and not acknowledged.
    public var inFlightCount: Int { Int(sentCount &- acknowledgedCount) }

    /// Counts stanzas that go out.
    /// - Returns: whether an `<r/>` is due behind them: at most one is under way at a time.
    public mutating func sent(_ count: Int) -> Bool {
        sentCount &+= UInt32(truncatingIfNeeded: count)
        return requestAck()
    }

    /// Asks for an `<a/>`, to learn how far the server is or whether it is there at all.
    /// - Returns: whether an `<r/>` is due; false while one is under way.
    public mutating func requestAck() -> Bool {
        if isAwaitingAnswer { return false }
        isAwaitingAnswer = true
        sentCountAtRequest = sentCount
        return true
    }

    /// Takes the server's `<a/>`, asked for or not.
    ///
    /// - Throws: if `h` is not within the stanzas in flight, which includes an `h` that goes backwards;
    ///   nothing changes.
    public mutating func received(ack h: UInt32) throws(HandledCountTooHigh) -> Acknowledgement {
        let remaining = sentCount &- h
        guard remaining <= sentCount &- acknowledgedCount else {
            throw HandledCountTooHigh(h: h, sent: sentCount)
        }
        let count = Int(h &- acknowledgedCount)
        acknowledgedCount = h
        isAwaitingAnswer = false
        // An answer that changes nothing is not asked for again at once: that would spin until the server
        // has handled the stanza. The next stanza, or the next check for life, asks.
        let isProgress = count > 0 || sentCountAtRequest != sentCount
        return Acknowledgement(count: count, asksAgain: remaining > 0 && isProgress && requestAck())
    }

    /// Counts one stanza that arrived. It is not handled yet.
    public mutating func received() { receivedCount &+= 1 }

    /// Takes the server's `<r/>`.
    /// - Returns: the `h` to answer with now; nil if earlier stanzas are not on disk yet.
    public mutating func receivedRequest() -> UInt32? {
        if requests.last != receivedCount { requests.append(receivedCount) }
        return dueAnswer()
    }

    /// Call once stanzas are on disk, not when they arrive: `h` is a promise.
    ///
    /// - Parameter count: the oldest so many of those received; more than that counts as all of them.
    /// - Returns: the `h` to answer a waiting `<r/>` with; nil if none waits, or it waits for more.
    public mutating func stored(_ count: Int) -> UInt32? {
        // A report too many is a mistake of ours; `h` must still not promise what never came.
        handledCount &+= UInt32(min(max(count, 0), Int(receivedCount &- handledCount)))
        return dueAnswer()
    }

    /// The `h` for a last `<a/>` before the stream is closed (§4); nil if the server knows it already.
    public mutating func closing() -> UInt32? {
        guard !requests.isEmpty || reportedCount != handledCount else { return nil }
        requests.removeAll()
        reportedCount = handledCount
        return handledCount
    }

    /// One `<a/>` answers every request that asked for no more than is handled.
    private mutating func dueAnswer() -> UInt32? {
        let waiting = receivedCount &- handledCount
        let due = requests.prefix { receivedCount &- $0 >= waiting }.count
        guard due > 0 else { return nil }
        requests.removeFirst(due)
        reportedCount = handledCount
        return handledCount
    }
}
