// What an independent implementation must be able to read, from what it keeps.
import IMCrypto

/// The header of a message, and the session it belongs to.
struct Place: Equatable {
    /// The base key of the session.
    var session: Bytes
    /// The sender's ratchet key.
    var chain: Bytes
    var n: UInt32
    var pn: UInt32
}

/// The sessions of a peer with one device of ours, and the pre-keys that it has spent.
struct PeerModel {
    /// What the implementations do differently.
    struct Habits: Sendable {
        /// How many sessions with a device are kept, the current one included.
        let sessions: Int
        /// How many receiving chains a session keeps; nil if it keeps the keys of what it has skipped instead.
        let chains: Int?
        /// Whether what is published may offer pre-keys that were lost.
        let publishesOnlyWhenSpent: Bool
    }

    private struct Session {
        let base: Bytes
        /// Newest last.
        var chains: [Bytes] = []
        var lost: Set<Bytes> = []
    }

    let habits: Habits
    private var sessions: [Session] = []  // newest first
    private var spent: Set<UInt32> = []
    private var kept: (sessions: [Session], spent: Set<UInt32>) = ([], [])
    /// The base keys of all sessions so far.
    var known: Set<Bytes> = []
    /// Sessions that one side continues from an older state.
    private var unpredictable: Set<Bytes> = []
    /// Sessions whose pre-key the peer may have lost, until it has read one of their messages.
    var doubtful: Set<Bytes> = []
    /// Whether the bundle may offer pre-keys that the peer has lost.
    private(set) var isBundleStale = false

    init(_ habits: Habits) { self.habits = habits }

    /// The session that the peer sends on.
    var current: Bytes? { sessions.first?.base }

    /// Whether one side has lost that session or its state.
    func isUnpredictable(_ base: Bytes?) -> Bool { base.map { unpredictable.contains($0) } ?? false }

    /// Whether a message that was not read yet must be read; nil if that is open.
    func reads(_ place: Place, _ preKey: UInt32?) -> Bool? {
        if unpredictable.contains(place.session) || doubtful.contains(place.session) { return nil }
        if let session = sessions.first(where: { $0.base == place.session }) {
            return !session.lost.contains(place.chain)
        }
        return preKey.map { !spent.contains($0) } ?? false
    }

    /// The peer has sent a key exchange.
    mutating func begin(_ base: Bytes) {
        known.insert(base)
        promote(sessions.first { $0.base == base } ?? Session(base: base))
    }

    /// The peer has read a message; a spent pre-key makes it publish its bundle anew.
    mutating func accept(_ place: Place, _ preKey: UInt32?) {
        if let preKey {
            if place.session != current { isBundleStale = false }
            spent.insert(preKey)
        }
        doubtful.remove(place.session)
        var session = sessions.first { $0.base == place.session } ?? Session(base: place.session)
        if !session.chains.contains(place.chain) { session.chains.append(place.chain) }
        if let chains = habits.chains, session.chains.count > chains {
            session.lost.insert(session.chains.removeFirst())
        }
        promote(session)
    }

    private mutating func promote(_ session: Session) {
        sessions.removeAll { $0.base == session.base }
        sessions.insert(session, at: 0)
        if sessions.count > habits.sessions { sessions.removeLast() }
    }

    /// The peer has forgotten its sessions.
    mutating func drop() { sessions = [] }

    mutating func snapshot() { kept = (sessions, spent) }

    mutating func restore() {
        (sessions, spent) = kept
        isBundleStale = habits.publishesOnlyWhenSpent
        forget()
    }

    /// One side goes on from another state than the other knows.
    mutating func forget() { unpredictable.formUnion(known) }
}

/// What imd must be able to read of the sessions it has not lost: all but the end of a chain that it had not heard of
/// before it let the chain go. COMPAT: libsignal's `pn` does not tell of the last message.
struct OwnModel {
    private struct Chain {
        let key: Bytes
        /// How many messages of it were read, skipped or announced.
        var count: UInt32
    }

    private var sessions: [Bytes: [Chain]] = [:]  // newest chain last
    /// The receiving chains of a session; see `DoubleRatchet`.
    private static let kept = 5

    func reads(_ place: Place) -> Bool {
        let chains = sessions[place.session] ?? []
        guard let index = chains.firstIndex(where: { $0.key == place.chain }) else { return true }
        return index >= chains.count - Self.kept || place.n < chains[index].count
    }

    mutating func accept(_ place: Place) {
        var chains = sessions[place.session] ?? []
        if let index = chains.firstIndex(where: { $0.key == place.chain }) {
            chains[index].count = max(chains[index].count, place.n + 1)
        } else {
            if let last = chains.indices.last { chains[last].count = max(chains[last].count, place.pn) }
            chains.append(Chain(key: place.chain, count: place.n + 1))
        }
        sessions[place.session] = chains
    }

    mutating func forget() { sessions = [:] }
}
