// imctl events: the event log, all types.

import ArgumentParser
import LocalAPI

/// `imctl events`.
struct EventsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events", _superCommandName: "imctl", abstract: "Print events of all types.",
        discussion: "Without options the whole log; with --follow alone only what is new.")

    @Flag(help: "Go on and print events as they come.")
    var follow = false

    @Option(
        help: ArgumentHelp("Only these types, separated by commas.", valueName: "types"),
        completion: .list(EventType.allCases.map(\.rawValue)))
    var types: String?

    @Option(help: ArgumentHelp("Start after this event.", valueName: "number"))
    var since: Int64?

    @Option(
        help: ArgumentHelp("Use and move the place of this consumer.", valueName: "name"),
        completion: .consumer)
    var consumer: String?

    @Option(help: .account, completion: .account) var account: String?

    @Flag(help: .json) var json = false

    func run() throws {
        if let since, since < 0 { throw UserError(.usage, "--since must be at least 0") }
        let names = types?.split(separator: ",").map(String.init)
        for name in names ?? [] where EventType(rawValue: name) == nil {
            throw UserError(
                .usage, "no type of event is called \"\(name)\"",
                hint: "types are: \(EventType.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        let isLive = follow || consumer != nil
        let params = EventSubscribe.Params(
            consumer: consumer, since: since ?? (isLive ? nil : 0), types: names, account: account)
        try EventSubscribe.validate(params)
        var reader = try EventReader(params, Ending(follow: follow))
        let isJSON = json
        _ = try reader.run { json in
            isJSON ? Output.json(json) : show(json)
            return true
        }
    }

    /// `NUMBER TIME TYPE ACCOUNT key=value …`; values with anything but plain characters are JSON strings.
    private func show(_ json: JSONValue) {
        guard case .object(let members) = json else { return }
        var words = ["number", "at", "type", "account"].map { key in
            json[key].map { text($0) } ?? "-"
        }
        for member in members where !["number", "at", "type", "account"].contains(member.key) {
            words.append("\(text(.string(member.key)))=\(text(member.value))")
            if Output.isTerminal, ["from", "chat", "jid"].contains(member.key),
                case .string(let address) = member.value, Lookalikes.areFound(in: address)
            {
                words.append("[look-alike letters]")
            }
        }
        Output.line(words.joined(separator: " "))
    }

    private func text(_ value: JSONValue) -> String {
        if case .string(let text) = value, !text.isEmpty,
            text.utf8.allSatisfy({ (0x21...0x7e).contains($0) && $0 != 0x22 && $0 != 0x3d })
        {
            return text
        }
        return String(decoding: value.serialized(escapesControls: Output.isTerminal), as: UTF8.self)
    }
}
