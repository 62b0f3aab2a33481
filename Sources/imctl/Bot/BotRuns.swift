// A run of the command for each message.

import Glibc
import LocalAPI

/// Processes that handle one message each.
struct BotRuns: BotWorker {
    private struct Run {
        let number: Int64
        let process: BotProcess
        var timer: BotTimer
    }

    private let settings: BotSettings
    private var runs: [Run] = []
    private var unstarted: [(number: Int64, outcome: BotOutcome)] = []

    init(_ settings: BotSettings) { self.settings = settings }

    mutating func take(_ task: BotTask, at now: ContinuousClock.Instant) {
        do throws(UserError) {
            let process = try BotProcess(
                settings.words, environment: task.environment, first: task.line + [0x0a], keepsInput: false)
            runs.append(
                Run(number: task.number, process: process, timer: BotTimer(now + settings.timeLimit)))
        } catch {
            unstarted.append((task.number, .again(error.message)))
        }
    }

    mutating func step(at now: ContinuousClock.Instant) -> [(number: Int64, outcome: BotOutcome)] {
        var done = unstarted
        unstarted = []
        for index in runs.indices {
            runs[index].process.step()
            runs[index].timer.step(runs[index].process, at: now)
            if runs[index].process.isTooLoud { runs[index].process.destroy() }
            guard let ending = runs[index].process.ending else { continue }
            done.append((runs[index].number, outcome(runs[index], ending)))
        }
        runs.removeAll { $0.process.ending != nil }
        return done
    }

    private func outcome(_ run: Run, _ ending: BotProcess.Ending) -> BotOutcome {
        if run.process.isTooLoud {
            return .refused("it printed more than \(BotProcess.outputLimit) bytes")
        }
        switch ending {
        case _ where run.timer.isOver:
            return .again("it took longer than \(settings.timeLimit.components.seconds) s")
        case .exited(0): return settings.outcome(of: run.process.printed)
        case .exited(ErrorCode.timeout.exitCode): return .again("it ended with status 75")
        case .exited(let status): return .refused("it ended with status \(status)")
        case .killed(let number): return .again("it was ended by signal \(number)")
        }
    }

    var interests: [pollfd] { runs.flatMap(\.process.interests) }

    var wake: ContinuousClock.Instant? {
        unstarted.isEmpty ? runs.compactMap(\.timer.deadline).min() : .now
    }

    mutating func end() {
        runs.map(\.process).end()
        runs = []
        unstarted = []
    }
}
