// imctl hook: the daemon's hooks, a run of one to try it, and what they failed at.

import ArgumentParser
import LocalAPI

/// `imctl hook`.
struct HookCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hook", abstract: "List and try hooks, show and replay what they failed at.",
        discussion: "Hooks are executables in $XDG_CONFIG_HOME/imd/hooks.d. See imd(1), HOOKS.",
        subcommands: [List.self, Test.self, Failures.self, Replay.self])

    /// `imctl hook list`.
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "Look at the folder again and list what is in it.")
        @Flag(help: .json) var json = false

        func run() throws {
            for hook in try Daemon.call(HookList.self, Empty()).hooks {
                if json { Output.json(try JSONValue(encoding: hook)) } else { show(hook) }
            }
        }

        /// `NAME state: types, running N, pending N, waiting N, failed N`.
        private func show(_ hook: HookList.Hook) {
            var line = "\(Output.safe(hook.name)) \(hook.state.rawValue)"
            if let reason = hook.reason { line += ": \(Output.safe(reason))" }
            if let types = hook.types {
                line += ": \(types.map(Output.safe).joined(separator: ","))"
                line += ", running \(hook.running), pending \(hook.pending ?? 0)"
            }
            if hook.waiting > 0 { line += ", waiting \(hook.waiting)" }
            if hook.failed > 0 { line += ", failed \(hook.failed)" }
            Output.line(line)
        }
    }

    /// `imctl hook test`.
    struct Test: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "test", abstract: "Run a hook once and print what it prints.",
            discussion:
                "Without --event and --number it gets a sample message. Exits with 70 if the hook fails.")
        @Argument(help: "Name of the hook.", completion: .hook)
        var name: String
        @Option(help: ArgumentHelp("A JSON object to give to it; - reads standard input.", valueName: "json"))
        var event: String?
        @Option(help: ArgumentHelp("Give it this event of the log.", valueName: "number"))
        var number: Int64?
        @Flag(help: .json) var json = false

        func run() throws {
            if let number, number < 0 { throw UserError(.usage, "--number must be at least 0") }
            let params = HookTest.Params(name: name, event: try event.map(object), number: number)
            let client = try Daemon.connect()
            let result = try client.call(HookTest.self, params, timeout: 3700)
            if json { return try Output.json(HookTest.self, result) }
            if !result.output.isEmpty { Output.line(Output.body(trimmed(result.output))) }
            if !result.errors.isEmpty { Output.notice(trimmed(result.errors)) }
            if let failure = result.failure {
                throw UserError(.hookFailed, "the hook \(name) failed: \(failure)")
            }
        }

        private func object(_ text: String) throws -> JSONValue {
            let bytes =
                text == "-" ? try Terminal.input(limit: maxLineLength, what: "event") : Array(text.utf8)
            do {
                return try JSONValue(strict: bytes)
            } catch {
                throw UserError(
                    .usage, "the event is not valid JSON: \(error.reason) (byte \(error.offset))")
            }
        }

        private func trimmed(_ text: String) -> String {
            text.hasSuffix("\n") ? String(text.dropLast()) : text
        }
    }

    /// `imctl hook failures`.
    struct Failures: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "failures", abstract: "List the events that hooks failed at.")
        @Argument(help: "Name of the hook; without it those of all hooks.", completion: .hook)
        var name: String?
        @Option(help: ArgumentHelp("How many at most, 1 to 1000.", valueName: "n"))
        var limit = 100
        @Flag(help: .json) var json = false

        func run() throws {
            guard (1...FailureList.maxLimit).contains(limit) else {
                throw UserError(.usage, "--limit must be from 1 to \(FailureList.maxLimit)")
            }
            let client = try Daemon.connect()
            let names = try name.map { [$0] } ?? client.call(HookList.self, Empty()).hooks.map(\.name)
            var rest = limit
            for name in names where rest > 0 {
                let params = FailureList.Params(consumer: "hook:\(name)", limit: rest)
                let failures = try client.call(FailureList.self, params).failures
                for failure in failures { try show(failure, of: name) }
                rest -= failures.count
            }
        }

        private func show(_ failure: FailureList.Failure, of name: String) throws {
            if json { return Output.json(try JSONValue(encoding: failure)) }
            let next = failure.retryAt.map { ", again \($0)" } ?? ""
            Output.line(
                "\(Output.safe(name)) \(failure.number) \(failure.at) attempts \(failure.attempts)\(next): "
                    + Output.safe(failure.reason))
        }
    }

    /// `imctl hook replay`.
    struct Replay: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "replay", abstract: "Give a hook events again.",
            discussion: "Without a number: all that it failed at and that are not tried again by themselves.")
        @Argument(help: "Name of the hook.", completion: .hook)
        var name: String
        @Argument(help: "Number of one event, also of one it did not fail at.")
        var number: Int64?
        @Flag(help: .json) var json = false

        func run() throws {
            if let number, number < 1 { throw UserError(.usage, "the number must be at least 1") }
            let result = try Daemon.call(HookReplay.self, .init(name: name, number: number))
            if json { return try Output.json(HookReplay.self, result) }
            Output.line("\(result.count) to be run again")
        }
    }
}
