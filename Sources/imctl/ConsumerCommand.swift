// imctl consumer and imctl call: who reads events, and any method by its name.

import ArgumentParser
import LocalAPI

/// `imctl consumer`.
struct ConsumerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "consumer", abstract: "List and remove durable consumers of events, set them back.",
        subcommands: [List.self, Rewind.self, Remove.self])

    /// `imctl consumer list`.
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List the consumers and how far they are.")
        @Flag(help: .json) var json = false

        func run() throws {
            for consumer in try Daemon.call(ConsumerList.self, Empty()).consumers {
                try ConsumerCommand.show(consumer, json: json)
            }
        }
    }

    /// `imctl consumer rewind`.
    struct Rewind: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rewind", abstract: "Let a consumer have events again.",
            discussion: "Give exactly one of --to, --by and --all. The consumer must not be connected.")
        @Argument(help: "Name of the consumer.", completion: .consumer)
        var name: String
        @Option(
            help: ArgumentHelp(
                "Events after this one come again; a later one skips what is before it.", valueName: "number")
        )
        var to: Int64?
        @Option(help: ArgumentHelp("This many events, of any type, come again.", valueName: "n"))
        var by: Int64?
        @Flag(help: "All events that are kept come again.")
        var all = false
        @Flag(help: .json) var json = false

        func run() throws {
            let choices = (to == nil ? 0 : 1) + (by == nil ? 0 : 1) + (all ? 1 : 0)
            guard choices == 1 else { throw UserError(.usage, "give one of --to, --by and --all") }
            if let to, to < 0 { throw UserError(.usage, "--to must be at least 0") }
            if let by, by < 1 { throw UserError(.usage, "--by must be at least 1") }
            let client = try Daemon.connect()
            let number = try to ?? (by.map { try back($0, client) } ?? 0)
            try ConsumerCommand.show(
                try client.call(ConsumerRewind.self, .init(name: name, number: number)), json: json)
        }

        private func back(_ count: Int64, _ client: Client) throws -> Int64 {
            let consumers = try client.call(ConsumerList.self, Empty()).consumers
            guard let consumer = consumers.first(where: { $0.name == name }) else {
                throw UserError(
                    .noSuchConsumer, "no consumer \"\(name)\"", hint: "see \"imctl consumer list\"")
            }
            return max(0, consumer.acknowledged - count)
        }
    }

    /// `NAME acknowledged N, pending N`.
    static func show(_ consumer: ConsumerList.Consumer, json: Bool) throws {
        if json { return Output.json(try JSONValue(encoding: consumer)) }
        Output.line(
            "\(Output.safe(consumer.name)) acknowledged \(consumer.acknowledged), pending \(consumer.pending)"
                + (consumer.connected ? " [connected]" : ""))
    }

    /// `imctl consumer remove`.
    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "remove", abstract: "Forget a consumer and its place.")
        @Argument(help: "Name of the consumer.", completion: .consumer)
        var name: String
        @OptionGroup var consent: ConsentOption

        func run() throws {
            try consent.confirm("Forget how far \(name) is, and what it was not told yet?")
            _ = try Daemon.call(ConsumerRemove.self, .init(name: name))
        }
    }
}

/// `imctl call`.
struct CallCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "call", _superCommandName: "imctl",
        abstract: "Call a method of the API by its name and print its result.",
        discussion: "The methods are described in imd-api(5).")

    @Argument(help: "The method, as in imd-api(5).", completion: .list(allMethods.map { $0.name }))
    var method: String

    @Argument(help: "Its parameters, a JSON object; - reads standard input.")
    var params: String = "{}"

    func run() throws {
        let text =
            params == "-" ? try Terminal.input(limit: maxLineLength, what: "object") : Array(params.utf8)
        let json: JSONValue
        do {
            json = try JSONValue(strict: text)
        } catch {
            throw UserError(
                .usage, "the parameters are not valid JSON: \(error.reason) (byte \(error.offset))")
        }
        guard case .object = json else {
            throw UserError(.usage, "the parameters must be a JSON object, not \(json.kind)")
        }
        let waits = json["timeout"]?.integer.map { Double($0.clamped(to: 0...86_400)) } ?? 30
        Output.json(try Daemon.connect().call(method, json, timeout: waits + 30))
    }
}

/// `imctl internal-man`: for the build, not for people.
struct InternalManCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "internal-man", abstract: "Print imd-api.5.", shouldDisplay: false)

    func run() throws { Output.line(String(ManPage.render().dropLast())) }
}

/// `imctl internal-api`: for the build, not for people.
struct InternalAPICommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "internal-api", abstract: "Print api.json.", shouldDisplay: false)

    func run() throws { Output.line(String(try OpenRPC.text().dropLast())) }
}

extension Int64 {
    fileprivate func clamped(to range: ClosedRange<Int64>) -> Int64 {
        Swift.min(Swift.max(self, range.lowerBound), range.upperBound)
    }
}
