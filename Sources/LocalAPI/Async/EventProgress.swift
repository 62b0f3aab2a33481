// How far a stream of events has come: what was handed out, what is done, and what imd knows of that.

/// Knows neither socket nor clock: whoever has them tells it what happened and asks it what to do.
struct EventProgress: Equatable, Sendable {
    /// The newest event that was handed out.
    private(set) var shown: Int64 = 0
    /// Everything up to here is done.
    private(set) var done: Int64 = 0
    /// As far as imd has confirmed.
    private(set) var acknowledged: Int64 = 0

    /// imd has said where the subscription begins.
    ///
    /// A place before what was confirmed, or a log that ends before what was handed out, is an older log, restored, or
    /// a consumer set back by somebody: then the numbers remembered say nothing any more.
    mutating func subscribed(after: Int64, last: Int64) {
        if after < acknowledged || last < shown { self = EventProgress() }
        acknowledged = after
        done = max(done, after)
    }

    /// - Returns: whether to hand it out; false for what is sent again although it was.
    mutating func received(_ number: Int64) -> Bool {
        guard number > shown else { return false }
        shown = number
        return true
    }

    /// All old events have come; what the filter left out needs no acknowledgement of its own.
    mutating func caughtUp(_ number: Int64) { if done >= shown { finished(number) } }

    /// Whoever got the event is done with it, and with those before it.
    mutating func finished(_ number: Int64) { done = max(done, number) }

    mutating func finishedAll() { finished(shown) }

    /// What to acknowledge next.
    var due: Int64? { done > acknowledged ? done : nil }

    mutating func confirmed(_ number: Int64) { acknowledged = max(acknowledged, number) }

    /// Where to go on without a consumer.
    var position: Int64 { max(shown, acknowledged) }
}
