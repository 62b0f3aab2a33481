// imctl receive: messages that came, each once per consumer.

import ArgumentParser
import LocalAPI

/// `imctl receive`.
struct ReceiveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "receive", _superCommandName: "imctl",
        abstract: "Print the messages that have come since the last time.",
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

    @Option(
        help: ArgumentHelp("The consumer whose place to use; default: default.", valueName: "name"),
        completion: .consumer)
    var consumer: String?

    @Option(help: ArgumentHelp("Read from after this event, without a consumer.", valueName: "number"))
    var since: Int64?

    @Option(help: .account, completion: .account) var account: String?

    @Flag(help: .json) var json = false

    func run() throws {
        try checkTimeout(timeout)
        if let count, count < 1 { throw UserError(.usage, "--count must be at least 1") }
        if let since, since < 0 { throw UserError(.usage, "--since must be at least 0") }
        if since != nil, consumer != nil {
            throw UserError(.usage, "--since and --consumer exclude each other")
        }
        let types: [EventType] = [.message, .undecryptable, .gap]
        let params = EventSubscribe.Params(
            consumer: since == nil ? consumer ?? "default" : nil, since: since, types: types.map(\.rawValue),
            account: account)
        try EventSubscribe.validate(params)
        var reader = try EventReader(params, Ending(follow: follow, count: count, timeout: timeout))
        let isJSON = json
        let came = try reader.run { json in
            if isJSON { Output.json(json) }
            guard !isJSON else { return json["type"] == .string(EventType.message.rawValue) }
            return Self.show(json)
        }
        if !came { throw ExitCode(ErrorCode.timeout.exitCode) }
    }

    /// - Returns: whether it is a message.
    private static func show(_ json: JSONValue) -> Bool {
        guard let event = try? Event(json: json) else {
            // It will be acknowledged: say where it can still be seen.
            let number = json["number"]?.integer ?? 0
            Output.diagnose("warning", "event \(number) is of a kind that this imctl does not know")
            Output.diagnose("hint", "imctl receive --since \(max(0, number - 1)) --count 1 --json")
            return false
        }
        let time = event.at.seconds
        switch event.detail {
        case .message(let message):
            MessageLine.show(message)
            return true
        case .undecryptable(let detail):
            Output.diagnose(
                "warning", "a message from \(detail.from) of \(time) cannot be read: \(detail.reason)")
        case .gap(let detail):
            let place = detail.chat.map { " from \($0)" } ?? ""
            Output.diagnose("warning", "something\(place) of \(time) is missing: \(detail.reason.words)")
        case .overflow(let detail):
            Output.diagnose(
                "warning",
                "events \(detail.after + 1) to \(detail.through) were dropped before they were received")
            Output.diagnose("hint", "messages among them are in \"imctl history\"")
        default: break
        }
        return false
    }
}

extension GapDetail.Reason {
    fileprivate var words: String {
        switch self {
        case .tooLarge: "it is larger than imd takes"
        case .damaged: "what is stored here for reading it is damaged; see \"imctl doctor\""
        case .archiveExpired: "the server does not have it any more"
        case .malformed: "it breaks the protocol"
        }
    }
}

/// How a message looks as text.
enum MessageLine {
    /// `TIME FROM: BODY`, with marks in brackets before the colon where something is out of the ordinary.
    ///
    /// - Parameter namesChat: say whom a message of our own went to.
    static func show(_ message: Message, namesChat: Bool = true) {
        var marks: [String] = []
        if message.direction == .out, namesChat { marks.append("to \(Output.address(message.chat))") }
        if let id = message.reactsTo { marks.append("reaction to \(Output.safe(id))") }
        if message.encryption == nil {
            marks.append(message.warning == nil ? "plaintext" : "plaintext in an encrypted chat")
        }
        switch message.state {
        case .queued, .sent: marks.append(message.state?.rawValue ?? "")
        case .failed: marks.append("failed" + (message.reason.map { ": \(Output.safe($0))" } ?? ""))
        default: break
        }
        if message.damaged == true { marks.append("damaged") }
        let mark = marks.map { " [\($0)]" }.joined()
        let from = Style.strong(Output.address(message.from))
        Output.line("\(Output.clock(message.at)) \(from)\(Style.warning(mark)): \(Output.body(message.body))")
    }
}
