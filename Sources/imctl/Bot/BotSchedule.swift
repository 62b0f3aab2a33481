// Which message a bot handles when: what may begin, what waits for another attempt, what is acknowledged.

/// The messages a bot has been given and is not done with. In one chat they are handled one after the other, in the
/// order they came; different chats do not wait for each other. Knows no clock and no process.
struct BotSchedule {
    typealias Instant = ContinuousClock.Instant

    /// A message that is to be handled.
    struct Job: Equatable {
        /// Number of its event.
        let number: Int64
        /// What must keep its order: account and chat.
        let lane: String
        /// How often it was begun.
        var attempts = 0
        /// It is not begun before.
        var notBefore: Instant?
    }

    private let limit: Int
    private let attempts: Int
    /// In the order of their numbers.
    private var waiting: [Job] = []
    private var running: [Job] = []
    /// Numbers of what is waiting or running, ascending.
    private var open: [Int64] = []
    /// Every event up to this one was given to us, or is none of our business.
    private(set) var passed: Int64

    /// - Parameters:
    ///   - limit: how many run at a time.
    ///   - attempts: how often one message is tried.
    init(after number: Int64 = 0, limit: Int, attempts: Int) {
        passed = number
        self.limit = limit
        self.attempts = attempts
    }

    /// Everything up to this number is done.
    var acknowledgeable: Int64 { open.first.map { $0 - 1 } ?? passed }

    /// Nothing is waiting or running.
    var isEmpty: Bool { open.isEmpty }

    /// An event came. What came before is not taken twice.
    ///
    /// - Parameter lane: nil when nothing is to be done about it.
    /// - Returns: whether it is new and will be handled.
    mutating func received(_ number: Int64, lane: String?) -> Bool {
        guard number > passed else { return false }
        passed = number
        guard let lane else { return false }
        waiting.append(Job(number: number, lane: lane))
        open.append(number)
        return true
    }

    /// The next message to begin with, if there is room and one is due.
    mutating func next(at now: Instant) -> Job? {
        guard running.count < limit, let index = heads.first(where: { isDue(waiting[$0], now) }) else {
            return nil
        }
        var job = waiting.remove(at: index)
        job.attempts += 1
        job.notBefore = nil
        running.append(job)
        return job
    }

    /// When `next` will have something although nothing else happens.
    var wake: Instant? {
        running.count < limit ? heads.compactMap { waiting[$0].notBefore }.min() : nil
    }

    /// Begins with a message out of turn.
    mutating func take(_ number: Int64) -> Bool {
        guard let index = waiting.firstIndex(where: { $0.number == number }) else { return false }
        running.append(waiting.remove(at: index))
        return true
    }

    /// The message is handled, or kept elsewhere.
    mutating func settled(_ number: Int64) {
        running.removeAll { $0.number == number }
        open.removeAll { $0 == number }
    }

    /// The message should be tried again.
    ///
    /// - Returns: after how long it will be; nil when it was tried often enough, and still counts as running.
    mutating func again(_ number: Int64, at now: Instant) -> Duration? {
        guard let index = running.firstIndex(where: { $0.number == number }),
            running[index].attempts < attempts
        else { return nil }
        let pause = Self.pause(after: running[index].attempts)
        putBack(index, notBefore: now + pause)
        return pause
    }

    /// The message was not begun after all: that was no attempt.
    mutating func untouched(_ number: Int64) {
        guard let index = running.firstIndex(where: { $0.number == number }) else { return }
        running[index].attempts -= 1
        putBack(index, notBefore: nil)
    }

    /// How often a message was begun.
    func attempts(of number: Int64) -> Int {
        running.first { $0.number == number }?.attempts ?? 0
    }

    /// 1 s, then twice as long each time, 5 minutes at most.
    static func pause(after attempts: Int) -> Duration {
        .seconds(min(300, 1 << min(max(attempts - 1, 0), 9)))
    }

    /// The oldest message of each chat in which nothing runs.
    private var heads: [Int] {
        var seen = Set(running.map(\.lane))
        return waiting.indices.filter { seen.insert(waiting[$0].lane).inserted }
    }

    private func isDue(_ job: Job, _ now: Instant) -> Bool { job.notBefore.map { $0 <= now } ?? true }

    private mutating func putBack(_ index: Int, notBefore: Instant?) {
        var job = running.remove(at: index)
        job.notBefore = notBefore
        waiting.insert(job, at: waiting.firstIndex { $0.number > job.number } ?? waiting.endIndex)
    }
}
