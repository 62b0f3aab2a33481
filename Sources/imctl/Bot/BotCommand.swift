// imctl bot: a command answers messages.

import ArgumentParser
import Glibc
import LocalAPI

/// `imctl bot`.
struct BotCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bot", abstract: "Run a command for each message; what it prints is the reply.",
        discussion: """
            The message comes as one line of JSON on standard input. Status 0: the reply is sent and the message is \
            done. Status 75, a signal, too long: it is tried again. Any other status: it is kept, see --failures.
            """)

    @Argument(help: "The bot's name: imd keeps its place under it.", completion: .consumer)
    var name: String

    @Argument(parsing: .postTerminator, help: "What to run, after --; no shell is involved.")
    var command: [String] = []

    @Flag(help: "The command stays: it reads a line for each message, and answers each with a line.")
    var lines = false

    @Flag(
        help: "What the command prints is JSON: {\"body\": …}, also with \"to\"; with --failures: print JSON."
    )
    var json = false

    @Option(
        help: ArgumentHelp("Only messages of this sender; may be repeated.", valueName: "jid"),
        completion: .contact)
    var from: [String] = []

    @Option(help: ArgumentHelp("Only messages of this chat.", valueName: "jid"), completion: .contact)
    var chat: String?

    @Option(help: ArgumentHelp("Only texts that this POSIX extended expression finds.", valueName: "regex"))
    var match: String?

    @Flag(help: "Also messages that came without encryption; who wrote them is not certain.")
    var plaintext = false

    @Option(help: ArgumentHelp("Handle this many chats at a time; default 1.", valueName: "n"))
    var parallel = 1

    @Option(help: ArgumentHelp("End a run after this long; default 60.", valueName: "seconds"))
    var timeout = 60

    @Option(help: ArgumentHelp("Try a message this often; default 8.", valueName: "n"))
    var attempts = 8

    @Option(help: .account, completion: .account) var account: String?

    @Flag(help: "List the messages that could not be handled.")
    var failures = false

    @Flag(help: "Run the command for those that could not be handled.")
    var replay = false

    func run() throws {
        try ConsumerName.check(name)
        guard !failures else { return try list() }
        try checkNumbers()
        guard let program = command.first else {
            throw UserError(
                .usage, "no command is given", hint: "put it behind --: imctl bot NAME -- COMMAND")
        }
        try Self.checkProgram(program)
        let filter = try BotFilter(senders: from, pattern: match, takesPlaintext: plaintext)
        let settings = BotSettings(words: command, isJSON: json, timeLimit: .seconds(timeout))
        let worker: any BotWorker = lines ? BotLines(settings) : BotRuns(settings)
        guard !replay else { return try run(again: worker, filter) }
        let params = EventSubscribe.Params(
            consumer: name, types: [EventType.message.rawValue], account: account, chat: chat,
            window: Self.window, begin: .newest)
        try EventSubscribe.validate(params)
        var loop = BotLoop(name, worker, filter, parallel: parallel, attempts: attempts, params)
        try loop.run()
    }

    /// How many messages may wait here.
    private static let window = 256

    private func checkNumbers() throws {
        guard (1...64).contains(parallel) else { throw UserError(.usage, "--parallel must be from 1 to 64") }
        guard (1...86_400).contains(timeout) else {
            throw UserError(.usage, "--timeout must be from 1 to 86400 seconds")
        }
        guard (1...1000).contains(attempts) else {
            throw UserError(.usage, "--attempts must be from 1 to 1000")
        }
    }

    /// A mistyped command is told at once, not once for each message.
    private static func checkProgram(_ program: String) throws(UserError) {
        var places = [program]
        if !program.utf8.contains(0x2f) {
            let path = getenv("PATH").map { String(cString: $0) } ?? "/bin:/usr/bin"
            places = path.split(separator: ":", omittingEmptySubsequences: false).map { folder in
                (folder.isEmpty ? "." : folder) + "/" + program
            }
        }
        guard places.contains(where: { access($0, X_OK) == 0 }) else {
            throw UserError(
                .unreadableFile, "cannot run \"\(program)\": \(String(cString: strerror(errno)))",
                hint: "give its path, and make it executable")
        }
    }

    // MARK: Failures

    private func list() throws {
        for failure in try kept() {
            if json {
                Output.json(try JSONValue(encoding: failure))
            } else {
                let from = failure.event["from"]?.string ?? "-"
                Output.line(
                    "\(failure.number) \(failure.at.seconds) \(Output.safe(from)): \(Output.safe(failure.reason))"
                )
            }
        }
    }

    private func kept() throws -> [FailureList.Failure] {
        try Daemon.call(FailureList.self, .init(consumer: name, limit: FailureList.maxLimit)).failures
    }

    private func run(again worker: any BotWorker, _ filter: BotFilter) throws {
        let events = try kept().map(\.event)
        var loop = BotLoop(name, worker, filter, parallel: parallel, attempts: 1, nil)
        let failed = try loop.replay(events)
        guard failed == 0 else {
            throw UserError(
                .notSupported, "\(failed) of \(events.count) messages failed again",
                hint: "see \"imctl bot \(name) --failures\"")
        }
    }
}
