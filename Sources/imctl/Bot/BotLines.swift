// A command that stays: a line for each message in, a line for each answer out.

import Glibc
import LocalAPI

/// One process that handles all messages, started again when it ends.
struct BotLines: BotWorker {
    private let settings: BotSettings
    private var process: BotProcess?
    private var timer = BotTimer(nil)
    /// What it was given and has not answered, oldest first.
    private var unanswered: [BotTask] = []
    /// What it was not given yet.
    private var waiting: [BotTask] = []
    /// Ends of it since it last answered.
    private var failures = 0
    private var startAt: ContinuousClock.Instant?

    init(_ settings: BotSettings) { self.settings = settings }

    mutating func take(_ task: BotTask, at now: ContinuousClock.Instant) {
        waiting.append(task)
        give(at: now)
    }

    private mutating func give(at now: ContinuousClock.Instant) {
        guard let process, process.ending == nil, !timer.isOver else { return }
        for task in waiting { process.feed(task.line + [0x0a]) }
        if unanswered.isEmpty, !waiting.isEmpty { timer = BotTimer(now + settings.timeLimit) }
        unanswered += waiting
        waiting = []
    }

    mutating func step(at now: ContinuousClock.Instant) -> [(number: Int64, outcome: BotOutcome)] {
        var done: [(number: Int64, outcome: BotOutcome)] = []
        if let process {
            process.step()
            timer.step(process, at: now)
            answers(of: process, at: now, &done)
            if process.isTooLoud { process.destroy() }
            if let ending = process.ending { ended(process, ending, at: now, &done) }
        }
        if process == nil, startAt.map({ $0 <= now }) ?? true { start(at: now) }
        return done
    }

    private mutating func answers(
        of process: BotProcess, at now: ContinuousClock.Instant,
        _ done: inout [(number: Int64, outcome: BotOutcome)]
    ) {
        while let end = process.printed.firstIndex(of: 0x0a) {
            let line = Array(process.printed[..<end])
            process.printed.removeFirst(end + 1)
            guard !unanswered.isEmpty else {
                Output.diagnose("warning", "the command printed a line that answers no message")
                continue
            }
            done.append((unanswered.removeFirst().number, settings.outcome(of: line)))
            failures = 0
            if !timer.isOver {
                timer = BotTimer(unanswered.isEmpty ? nil : now + settings.timeLimit)
            }
        }
    }

    /// The oldest message was being handled, so it may be why; the others were not.
    private mutating func ended(
        _ process: BotProcess, _ ending: BotProcess.Ending, at now: ContinuousClock.Instant,
        _ done: inout [(number: Int64, outcome: BotOutcome)]
    ) {
        let reason =
            switch ending {
            case _ where process.isTooLoud: "it printed more than \(BotProcess.outputLimit) bytes in a line"
            case _ where timer.isOver: "it did not answer within \(settings.timeLimit.components.seconds) s"
            case .exited(let status): "it ended with status \(status)"
            case .killed(let number): "it was ended by signal \(number)"
            }
        if !unanswered.isEmpty { done.append((unanswered.removeFirst().number, .again(reason))) }
        done += (unanswered + waiting).map { ($0.number, .untouched) }
        (unanswered, waiting, self.process) = ([], [], nil)
        timer = BotTimer(nil)
        wait(reason, at: now)
    }

    private mutating func wait(_ reason: String, at now: ContinuousClock.Instant) {
        failures += 1
        let pause = BotSchedule.pause(after: failures)
        startAt = now + pause
        Output.diagnose("warning", "the command is started again in \(pause.components.seconds) s: \(reason)")
    }

    private mutating func start(at now: ContinuousClock.Instant) {
        startAt = nil
        do throws(UserError) {
            process = try BotProcess(settings.words, environment: [], keepsInput: true)
            give(at: now)
        } catch {
            wait(error.message, at: now)
        }
    }

    var interests: [pollfd] { process?.interests ?? [] }

    var wake: ContinuousClock.Instant? { process == nil ? startAt ?? .now : timer.deadline }

    mutating func end() {
        if let process { [process].end() }
        (process, unanswered, waiting) = (nil, [], [])
    }
}
