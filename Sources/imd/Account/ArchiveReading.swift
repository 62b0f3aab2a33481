// How far the account's archive has been read on this stream, and what came live meanwhile (XEP-0313).
import XMPP

/// A value. Until everything missed has been read, live messages that the archive also holds wait: it gives them in
/// their place, behind what came before them, and their ratchets follow that order.
struct ArchiveReading {
    private enum State {
        case due
        case reading(queryID: String)
        case done
    }

    private var state = State.due
    private var held: [(id: String, stanza: Element)] = []
    private var dropped = false

    /// More live messages are not kept in memory: the archive is asked once more instead.
    static let limit = 256

    init(isDone: Bool = false) { if isDone { state = .done } }

    var isDue: Bool { if case .due = state { true } else { false } }
    var isDone: Bool { if case .done = state { true } else { false } }
    /// Of the query under way.
    var queryID: String? { if case .reading(let id) = state { id } else { nil } }

    /// A query goes out; results of others are not believed from now on.
    mutating func asks(_ queryID: String) { state = .reading(queryID: queryID) }

    /// A live message with its id in the archive.
    /// - Returns: whether it waits.
    mutating func holds(_ stanza: Element, id: String) -> Bool {
        if isDone { return false }
        if held.count < Self.limit { held.append((id, stanza)) } else { dropped = true }
        return true
    }

    /// The archive gave this message.
    mutating func gave(_ id: String) {
        if !held.isEmpty { held.removeAll { $0.id == id } }
    }

    /// What came live and was not in the archive yet, to be taken in now; nil if more came than was kept: then the
    /// archive has more by now.
    mutating func takeHeld() -> [Element]? {
        defer { (held, dropped) = ([], false) }
        return dropped ? nil : held.map(\.stanza)
    }

    /// The archive has nothing more, and what was held is on disk.
    /// - Returns: false where more came meanwhile.
    mutating func finish() -> Bool {
        guard held.isEmpty, !dropped else { return false }
        state = .done
        return true
    }

    /// There may be more than the query under way will find.
    mutating func askAgain() { dropped = true }

    /// The reading broke off, or has to be done again; what was held is in the archive.
    mutating func restart() { self = ArchiveReading() }
}
