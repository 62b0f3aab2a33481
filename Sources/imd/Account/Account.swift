// Everything one account does, in order: its connection, its contacts, its messages.
import IMCrypto
import LocalAPI
import Logging
import NIOCore
import OMEMO
import Store
import XMPP

/// One account of the user. Its protocol decisions are made by values (`ClientStream`, `Inbound`, `Outbound`,
/// `SessionRecord`); this actor carries them out and keeps what only lasts as long as a connection.
///
/// Actors are re-entrant: state changes before an await, and no session is held across one.
actor Account {
    nonisolated let id: Int64
    nonisolated let jid: JID
    nonisolated let own: OwnIdentity
    nonisolated let store: Store
    nonisolated let log: Logger
    nonisolated let group: any EventLoopGroup
    /// How many messages from before this device are fetched at the first login.
    var history: Int
    var policies: Policies
    /// What other people see beside our device's id; empty for nothing.
    var label: String

    // MARK: The connection

    var record: AccountRecord
    var phase = Phase.offline
    var phaseChangedAt: Int64
    var phaseWaiters: [CheckedContinuation<Void, Never>] = []
    /// Set from `start` until the connection it keeps has ended for good.
    var driver: Task<Void, Never>?
    var isStopping = false
    /// The wait before the next attempt to connect.
    var pause: Task<Void, Never>?
    var connection: Connection?
    var bound: BoundStream?
    var tlsVersion: String?
    var requests: PendingIQs<PendingRequest>
    /// When the server was heard last; milliseconds as of `Clock.uptime`.
    var heardAt: Int64 = 0
    /// When the last connection was lost.
    var lostAt: ContinuousClock.Instant?
    /// How many connections in a row ended because of a stanza beyond the parser's limits.
    var poisoned = 0

    // MARK: What lasts as long as the stream, which may go on over a new connection

    var stream = ManagedStream()
    var archive = ArchiveReading()
    /// Whether what the archive gives is older than this device.
    var isReadingHistory = false
    var isReadingArchive = false
    /// Whether the archive showed that the database is an old copy.
    var isRestored = false
    /// Whether no message is encrypted because the archive may yet show that the database is an old copy.
    var holdsKeys = false
    /// Whether stanzas wait for room among those in flight.
    var isBlocked = false
    /// The presence that was sent last, and its place on the stream.
    var sentPresence: (presence: OwnPresence, place: Int64)?
    /// Whether something of this connection could not be stored: nothing after it may count.
    var refuses = false
    /// Whether what the server repeats must wait although its features are not known yet: an imd before this one ended
    /// while it read the archive.
    var holdsRepetitions = false
    /// Whether messages wait because some of them may have left on an earlier stream, which the archive will show.
    var holdsOutbox = false
    /// Places of the outbox that are being written down; other stanzas go behind them.
    var isMarking = false
    var behindMarked: [[UInt8]] = []
    /// As `generation`, when the last connection ended.
    var generationAtLastEnd = 0
    /// Counts connections; what was begun on one must not go on over another.
    var generation = 0
    /// Which device lists are known: until when, or nil while the server pushes every change.
    var currentLists: [ListKey: ContinuousClock.Instant?] = [:]
    var bundleFailures: [BundleKey: BundleFailure] = [:]
    /// Whether our own device is being taken off the lists for good.
    var isLeaving = false
    /// When it was put back on a list that had lost it.
    var listRepairs: [ContinuousClock.Instant] = []
    var presences: [JID: [String: Availability]] = [:]
    /// What the account's server can do.
    var features = ServerFeatures()

    // MARK: What lasts as long as the daemon

    var ownPresence = OwnPresence()
    var isFlushing = false
    var flushAgain = false
    var isPinging = false
    var isPublishing = false
    var publishAgain = false
    /// Waits for the time of the next signed pre-key.
    var rotation: Task<Void, any Error>?
    /// Why nothing can be stored at the moment.
    var storageFailure: StoreError?
    var isHealing = false
    var preparing: [JID: Task<[Int64: Outbound.Outcome], Never>] = [:]
    /// Tries messages again that wait although the account is online.
    var retry: Task<Void, Never>?
    var waiters = StateWaiters()
    /// See `Inbound.Archive`.
    var textless: [String] = []
    /// Whose presence we may see.
    var visible: Set<JID> = []
    /// What the user was told last of each contact's presence.
    var announced: [JID: OwnPresence] = [:]
    /// Who asked for our presence and was told to the user already.
    var knownRequests: Set<JID> = []

    init(
        _ record: AccountRecord, store: Store, group: any EventLoopGroup, config: Config, log: Logger
    ) {
        self.record = record
        history = config.firstLoginHistory
        policies = Policies(config.trust)
        label = config.deviceLabel
        id = record.id
        jid = record.jid
        requests = PendingIQs(own: record.jid)
        own = OwnIdentity(
            account: record.id, jid: record.jid, device: record.device, identity: record.identity)
        self.store = store
        self.group = group
        var log = log
        log[metadataKey: "account"] = "\(record.jid)"
        self.log = log
        phaseChangedAt = Clock.now()
    }

    enum Phase: Equatable {
        case offline
        case connecting(ConnectionError?)
        case online
        case failed(ConnectionError)
    }

    var isOnline: Bool { phase == .online }
    /// Whether a session may be used for a message of ours.
    var mayEncrypt: Bool { isOnline && !holdsKeys }

    func setPhase(_ new: Phase) {
        guard new != phase else { return }
        phase = new
        phaseChangedAt = Clock.now()
        wakePhaseWaiters()
    }

    /// Returns when the phase is another than `seen`, or at the deadline.
    func phaseChange(from seen: Phase, before deadline: ContinuousClock.Instant) async {
        guard phase == seen else { return }
        let timer = Task {
            try await Task.sleep(until: deadline)
            wakePhaseWaiters()
        }
        await withCheckedContinuation { phaseWaiters.append($0) }
        timer.cancel()
    }

    /// The archive has shown what it had to, or could not.
    func releaseHolds() {
        (holdsOutbox, holdsKeys) = (false, false)
        wakePhaseWaiters()
    }

    /// Returns when messages may be encrypted on a stream that has just begun, after 5 s at the latest.
    func waitForRelease() async {
        let deadline = ContinuousClock.now + .seconds(5)
        while isOnline, holdsKeys, .now < deadline { await phaseChange(from: .online, before: deadline) }
    }

    func wakePhaseWaiters() {
        let waiting = phaseWaiters
        phaseWaiters = []
        for waiter in waiting { waiter.resume() }
    }

    // MARK: Stanzas

    /// Sends stanzas that need not survive the connection.
    func send(_ stanzas: [Element]) {
        guard let connection, !stanzas.isEmpty else { return }
        let bytes = stanzas.map { $0.xml() }
        if isMarking {
            behindMarked += bytes
        } else {
            stream.send(bytes.count)
            connection.send(.send(bytes))
        }
    }

    /// Sends an IQ of type `get` and waits for its answer.
    ///
    /// - Parameter to: nil for the account's own server.
    /// - Returns: the `result` stanza.
    /// - Throws: `StanzaError` for an error answer, `ConnectionError` where none can come any more.
    @discardableResult
    func get(_ payload: Element, from to: JID? = nil) async throws -> Element {
        try await request(to, Self.patience) { IQ.get($0, to: to, payload) }
    }

    /// The same with type `set`.
    ///
    /// - Parameter patience: how long an answer may take, in milliseconds.
    @discardableResult
    func set(_ payload: Element, at to: JID? = nil, patience: Int64 = patience) async throws -> Element {
        try await request(to, patience) { IQ.set($0, to: to, payload) }
    }

    private func request(_ to: JID?, _ patience: Int64, _ make: (String) -> Element) async throws -> Element {
        guard bound != nil else { throw ConnectionError.closed }
        var random = SystemRandomNumberGenerator()
        let id = requests.newID(using: &random)
        let iq = make(id)
        return try await withCheckedThrowingContinuation { continuation in
            let timer = Task {
                try await Task.sleep(for: .milliseconds(patience))
                expireRequests()
            }
            requests.add(
                id: id, to: to, deadlineAt: Clock.uptime() + patience,
                context: PendingRequest(continuation: continuation, timer: timer))
            send([iq])
        }
    }

    /// How long an answer may take, in milliseconds.
    static let patience: Int64 = 30_000

    private func expireRequests() {
        for request in requests.expired(now: Clock.uptime()) {
            request.fail(ConnectionError.stream(.timeout))
        }
    }
}

/// Somebody who waits for the answer to an IQ.
struct PendingRequest: Sendable {
    let continuation: CheckedContinuation<Element, any Error>
    let timer: Task<Void, any Error>

    func succeed(_ answer: Element) {
        timer.cancel()
        continuation.resume(returning: answer)
    }

    func fail(_ error: any Error) {
        timer.cancel()
        continuation.resume(throwing: error)
    }
}

/// What the cryptography of one account needs to know about itself.
struct OwnIdentity: Sendable {
    let account: Int64
    let jid: JID
    let device: UInt32
    let identity: IdentityKeyPair

    var address: DeviceAddress { DeviceAddress(jid: jid, device: device) }
}
