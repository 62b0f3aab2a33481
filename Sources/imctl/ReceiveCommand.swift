// imctl receive: messages that came, each once per consumer.

import ArgumentParser
import LocalAPI

/// `imctl receive`.
struct ReceiveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "receive", abstract: "Print the messages that have come since the last time.",
        discussion: """
            Each consumer has its own place, kept by imd: what was printed is acknowledged and does not come again. \
            Each message is a line "TIME FROM: TEXT"; further lines of its text begin with a tab.
            """)

    @Flag(help: "Go on and print messages as they come.")
    var follow = false

    @Option(help: ArgumentHelp("Wait for this many messages, then stop.", valueName: "n"))
    var count: Int?

    @Option(
        help: ArgumentHelp(
            "Stop after this long; status 75 if what was waited for did not come.", valueName: "seconds"))
    var timeout: Int?

    @Option(help: ArgumentHelp("The consumer whose place to use; default: default.", valueName: "name"))
    var consumer: String?

    @Option(help: ArgumentHelp("Read from after this event, without a consumer.", valueName: "number"))
    var since: Int64?

    @OptionGroup var choice: AccountOption

    @OptionGroup var output: JSONOption

    func run() throws {
        try checkTimeout(timeout)
        if let count, count < 1 { throw UserError(.usage, "--count must be at least 1") }
        if let since, since < 0 { throw UserError(.usage, "--since must be at least 0") }
        if since != nil, consumer != nil {
            throw UserError(.usage, "--since and --consumer exclude each other")
        }
        let types: [EventType] = [.message, .undecryptable]
        let params = EventSubscribe.Params(
            consumer: since == nil ? consumer ?? "default" : nil, since: since, types: types.map(\.rawValue),
            account: choice.account)
        try EventSubscribe.validate(params)
        var reader = try EventReader(params, Ending(follow: follow, count: count, timeout: timeout))
        let isJSON = output.json
        let came = try reader.run { json in
            if isJSON { Output.json(json) }
            guard let event = try? Event(json: json) else { return false }
            switch event.detail {
            case .message(let message):
                if !isJSON { MessageLine.show(message) }
                return true
            case .undecryptable(let detail):
                if !isJSON {
                    Output.diagnose(
                        "warning",
                        "a message from \(detail.from) of \(event.at.seconds) cannot be read: \(detail.reason)"
                    )
                }
                return false
            default: return false
            }
        }
        if !came { throw ExitCode(ErrorCode.timeout.exitCode) }
    }
}

/// How a message looks as text.
enum MessageLine {
    /// `TIME FROM: BODY`, with marks in brackets before the colon where something is out of the ordinary.
    ///
    /// - Parameter namesChat: say whom a message of our own went to.
    static func show(_ message: Message, namesChat: Bool = true) {
        var marks: [String] = []
        if message.direction == .out, namesChat { marks.append("to \(Output.safe(message.chat))") }
        if message.encryption == nil { marks.append("plaintext") }
        switch message.state {
        case .queued, .sent: marks.append(message.state?.rawValue ?? "")
        case .failed: marks.append("failed" + (message.reason.map { ": \(Output.safe($0))" } ?? ""))
        default: break
        }
        let mark = marks.map { " [\($0)]" }.joined()
        Output.line("\(message.at.seconds) \(Output.safe(message.from))\(mark): \(Output.body(message.body))")
    }
}
