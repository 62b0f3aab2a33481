// imctl history: the newest messages of a chat, oldest of them first.

import ArgumentParser
import LocalAPI

/// `imctl history`.
struct HistoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", _superCommandName: "imctl", abstract: "Print the newest messages of a chat.")

    @Argument(help: "The contact, user@host.", completion: .contact)
    var jid: String

    @Option(name: .customShort("n"), help: ArgumentHelp("How many at most; default 20.", valueName: "n"))
    var number = 20

    @Option(help: ArgumentHelp("Only messages before the one with this id.", valueName: "id"))
    var before: String?

    @Option(help: .account, completion: .account) var account: String?

    @Flag(help: .json) var json = false

    func run() throws {
        guard number >= 1 else { throw UserError(.usage, "-n must be at least 1") }
        let client = try Daemon.connect()
        var pages: [[Message]] = []
        var missing = number
        var before = before
        while missing > 0 {
            let page = try client.call(
                MessageList.self,
                .init(chat: jid, account: account, before: before, limit: min(missing, 1000)))
            pages.append(page.messages)
            missing -= page.messages.count
            guard page.more, let oldest = page.messages.first else { break }
            before = oldest.id
        }
        for message in pages.reversed().joined() {
            if json {
                try Output.json(MessageGet.self, message)
            } else {
                MessageLine.show(message, namesChat: false)
            }
        }
    }
}
