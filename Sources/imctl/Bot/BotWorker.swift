// What becomes of a message in a bot's command, however that is run.

import Glibc
import LocalAPI

/// A message on its way to the command.
struct BotTask {
    let number: Int64
    /// The event on one line, without its line end.
    let line: [UInt8]
    let environment: [String]
}

/// What the command made of a message.
enum BotOutcome: Equatable {
    /// Send these, and it is done.
    case replied([BotReply])
    /// Try it again.
    case again(String)
    /// It will never do.
    case refused(String)
    /// The command never saw it.
    case untouched
}

/// How the command is run.
struct BotSettings {
    let words: [String]
    /// What it prints is JSON.
    let isJSON: Bool
    /// For one message, until it is ended.
    let timeLimit: Duration

    /// The outcome of what it printed.
    func outcome(of output: [UInt8]) -> BotOutcome {
        do throws(BotReply.Problem) {
            return .replied(try isJSON ? BotReply.json(output) : BotReply.text(output))
        } catch {
            return .refused(error.reason)
        }
    }
}

/// Runs the command. Never blocks.
protocol BotWorker {
    /// Takes one more message.
    mutating func take(_ task: BotTask, at now: ContinuousClock.Instant)
    /// Looks at its processes, and tells what became of messages.
    mutating func step(at now: ContinuousClock.Instant) -> [(number: Int64, outcome: BotOutcome)]
    /// What to wait for.
    var interests: [pollfd] { get }
    /// When to look again although nothing happens.
    var wake: ContinuousClock.Instant? { get }
    /// Drops all messages and ends all processes: first asks, later does.
    mutating func end()
}

/// A process that has its time, and is then ended: SIGTERM, and SIGKILL after the grace.
struct BotTimer {
    private(set) var deadline: ContinuousClock.Instant?
    /// Its time was over.
    private(set) var isOver = false

    init(_ deadline: ContinuousClock.Instant?) { self.deadline = deadline }

    mutating func step(_ process: BotProcess, at now: ContinuousClock.Instant) {
        guard let deadline, deadline <= now, process.ending == nil else { return }
        process.signal(isOver ? SIGKILL : SIGTERM)
        self.deadline = isOver ? nil : now + BotProcess.grace
        isOver = true
    }
}

extension [BotProcess] {
    /// All of them are gone when this returns.
    func end() {
        for process in self { process.signal(SIGTERM) }
        let limit = ContinuousClock.now + BotProcess.grace
        while ContinuousClock.now < limit, contains(where: { $0.ending == nil }) {
            usleep(5_000)
            for process in self { process.step() }
        }
        for process in self { process.destroy() }
    }
}
