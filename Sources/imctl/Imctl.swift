// The root command: parses, runs, and turns every outcome into an exit status.

import ArgumentParser
import Glibc
import LocalAPI

/// `imctl`.
struct Imctl: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "imctl",
        abstract: "Encrypted messages from the shell, through the imd running for you.",
        discussion: "Exit status 0 means everything asked for is true; others are listed in imctl(1).",
        version: "imctl \(LocalAPI.version)",
        subcommands: [
            AccountCommand.self, SendCommand.self, OutboxCommand.self, ReceiveCommand.self,
            BotCommand.self, DisplayedCommand.self, UnreadCommand.self, HistoryCommand.self,
            StatusCommand.self,
            DoctorCommand.self,
            ContactCommand.self, PresenceCommand.self, DeviceCommand.self, EncryptionCommand.self,
            EventsCommand.self, ConsumerCommand.self, HookCommand.self, CallCommand.self, ConfigCommand.self,
            SetupCommand.self, InternalManCommand.self, InternalAPICommand.self,
        ])

    /// The command that the arguments ask for.
    static func parsed(_ arguments: [String]) throws -> any ParsableCommand {
        try unparsed(arguments) ?? parsedAlone(arguments) ?? parseAsRoot(arguments)
    }

    /// Where no word begins with a dash there is nothing to parse, and the commonest commands start as fast as a program
    /// can: the parser takes longer than all the rest.
    static func unparsed(_ arguments: [String]) -> (any ParsableCommand)? {
        guard !arguments.contains(where: { $0.hasPrefix("-") }) else { return nil }
        let words = arguments.dropFirst()
        return switch arguments.first {
        case "send": SendCommand(words: words)
        case "status": StatusCommand(words: words)
        default: nil
        }
    }

    /// Parses a command that names `imctl` as its parent without the rest of the tree, in half the time: the parser
    /// looks at every type that it meets.
    ///
    /// - Returns: nil for what it does not understand, help among it; the tree explains that.
    static func parsedAlone(_ arguments: [String]) -> (any ParsableCommand)? {
        let leaf = configuration.subcommands.first { $0.configuration.commandName == arguments.first }
        guard let leaf, leaf.configuration._superCommandName != nil,
            let command = try? leaf.parseAsRoot(Array(arguments.dropFirst())), type(of: command) == leaf
        else { return nil }
        return command
    }
}

@main
enum Main {
    static func main() {
        Terminal.occupyStandardDescriptors()
        signal(SIGPIPE, SIG_IGN)
        Terminal.quietInterrupts()
        let status = run()
        exit(status)
    }

    private static func run() -> Int32 {
        var arguments: [String] = []
        do {
            arguments = try Arguments.checked()
            if arguments.isEmpty, try SetupCommand.isDue() { arguments = [SetupCommand._commandName] }
            var command = try Imctl.parsed(arguments)
            try command.run()
            try Output.flush()
            return 0
        } catch let error as UserError {
            return report(error)
        } catch let error as OutputClosed {
            return error.status
        } catch let code as ExitCode {
            do {
                try Output.flush()
            } catch {
                return ErrorCode.inputOutput.exitCode
            }
            return code.rawValue
        } catch {
            return reportParsing(error, arguments)
        }
    }

    private static func report(_ error: UserError) -> Int32 {
        try? Output.flush()
        Output.diagnose("error", error.message)
        if let hint = error.hint { Output.diagnose("hint", hint) }
        return error.code.exitCode
    }

    /// Help and version are no errors when asked for; anything else is a mistake on the command line.
    private static func reportParsing(_ error: any Error, _ arguments: [String]) -> Int32 {
        guard Imctl.exitCode(for: error) == .success else {
            // Somebody has pressed TAB and is still writing.
            if Completion.isAsked(arguments) { return ErrorCode.usage.exitCode }
            if let error = Suggestion.error(for: arguments) { return report(error) }
            // Some messages list the choices on lines of their own.
            var message = Imctl.message(for: error).split(separator: "\n")
                .map { $0.drop { $0 == " " || $0 == "-" } }.joined(separator: " ")
            if message.hasSuffix(".") { message.removeLast() }
            return report(
                UserError(
                    .usage, message.prefix(1).lowercased() + message.dropFirst(), hint: "see \"imctl --help\""
                ))
        }
        let text = Imctl.fullMessage(for: error)
        let asks = ["-h", "--help", "-help", "help", "--version", "--help-hidden"]
        let isAsked = arguments.contains { asks.contains($0) || $0.hasPrefix("--generate-completion") }
        guard isAsked || Completion.isAsked(arguments) else {
            Output.explain(text)
            return ErrorCode.usage.exitCode
        }
        Output.line(CompletionScript.mended(text))
        do {
            try Output.flush()
            return 0
        } catch {
            return ErrorCode.inputOutput.exitCode
        }
    }
}

/// The arguments as given, if they are text.
enum Arguments {
    /// The standard library repairs bad UTF-8 silently; a message must not change on its way.
    static func checked() throws(UserError) -> [String] {
        var arguments: [String] = []
        for index in 1..<max(1, Int(CommandLine.argc)) {
            guard let pointer = CommandLine.unsafeArgv[index] else { break }
            guard let text = String(validatingCString: pointer) else {
                throw UserError(.badText, "argument \(index) is not UTF-8")
            }
            arguments.append(text)
        }
        return arguments
    }
}
