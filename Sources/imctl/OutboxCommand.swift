// imctl outbox: what was accepted and has not reached the server, or failed.

import ArgumentParser
import LocalAPI

/// `imctl outbox`.
struct OutboxCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "outbox", abstract: "List messages that wait or failed, cancel them, try again.",
        subcommands: [List.self, Cancel.self, Retry.self])

    /// `imctl outbox list`.
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List the messages that are not yet with the server, oldest first."
        )
        @Flag(help: "Those that failed instead.")
        var failed = false
        @Option(help: .account, completion: .account) var account: String?
        @Flag(help: .json) var json = false

        func run() throws {
            let params = OutboxList.Params(account: account, failed: failed ? true : nil)
            try OutboxCommand.show(Daemon.call(OutboxList.self, params), json: json)
        }
    }

    /// `imctl outbox cancel`.
    struct Cancel: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "cancel", abstract: "Take back a message that is still queued.",
            discussion: "One that has left cannot be recalled; the status is then 73.")
        @Argument(help: "Id of the message.", completion: .waiting)
        var id: String
        @Option(help: .account, completion: .account) var account: String?
        @Flag(help: .json) var json = false

        func run() throws {
            let message = try Daemon.call(OutboxCancel.self, .init(id: id, account: account))
            try OutboxCommand.show(.init(messages: [message]), json: json)
        }
    }

    /// `imctl outbox retry`.
    struct Retry: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "retry",
            abstract: "Send a failed message once more, or connect at once and try what waits.",
            discussion:
                "Prints the messages that are tried now; \"imctl outbox list\" tells what still waits.")
        @Argument(
            help: "Id of a failed message; without it, everything that waits is tried.", completion: .failed)
        var id: String?
        @Option(help: .account, completion: .account) var account: String?
        @Flag(help: .json) var json = false

        func run() throws {
            try OutboxCommand.show(
                Daemon.call(OutboxRetry.self, .init(id: id, account: account)), json: json)
        }
    }

    /// `TIME ID to JID [STATE]: BEGINNING`, with the account where there are several.
    static func show(_ page: OutboxList.Result, json: Bool) throws {
        let namesAccount = Set(page.messages.map(\.account)).count > 1
        for message in page.messages {
            if json {
                try Output.json(MessageGet.self, message)
                continue
            }
            var line =
                "\(Output.age(message.at)) \(Output.safe(message.id)) to \(Output.address(message.chat))"
            if namesAccount { line += " from \(Output.safe(message.account))" }
            let reason = message.reason.map { ": \(Output.safe($0))" } ?? ""
            if let state = message.state { line += " [\(state.rawValue)\(reason)]" }
            if let id = message.reactsTo { line += " [reaction to \(Output.safe(id))]" }
            if message.encryption == nil { line += " [plaintext]" }
            if message.damaged == true { line += " [damaged]" }
            Output.line("\(line): \(Output.preview(message.body))")
        }
        guard page.more else { return }
        try Output.flush()
        Output.diagnose("warning", "these are the oldest \(page.messages.count); there are more")
    }
}

/// `imctl displayed`.
struct DisplayedCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "displayed", _superCommandName: "imctl",
        abstract: "Tell a contact that its messages were read.",
        discussion: "Prints the id of the last message that counts as read.")
    @Argument(help: "The contact, user@host.", completion: .contact)
    var jid: String
    @Option(help: "The last message that was read; default the newest.")
    var id: String?
    @Option(help: .account, completion: .account) var account: String?
    @Flag(help: .json) var json = false

    func run() throws {
        let message = try Daemon.call(
            MessageDisplayed.self, .init(chat: jid, id: id, account: account))
        if json { return try Output.json(MessageDisplayed.self, message) }
        Output.line(Output.safe(message.id))
    }
}
