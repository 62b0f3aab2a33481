// imctl unread: which chats have messages that nobody has read.

import ArgumentParser
import LocalAPI

/// `imctl unread`.
struct UnreadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unread", _superCommandName: "imctl",
        abstract: "List the chats with unread messages, newest first.",
        discussion:
            "What is read: \"imctl displayed\" said so, here or another client elsewhere, or you wrote after it."
    )
    @Flag(help: "All chats, also those without.")
    var all = false
    @Option(help: .account, completion: .account) var account: String?
    @Flag(help: .json) var json = false

    func run() throws {
        let result = try Daemon.call(ChatList.self, .init(account: account))
        let chats = result.chats
        // A limited socket tells the number alone.
        if chats.isEmpty, result.unread > 0 {
            if json { return try Output.json(ChatList.self, result) }
            return Output.line("\(result.unread)")
        }
        let namesAccount = Set(chats.map(\.account)).count > 1
        for chat in chats where all || chat.unread > 0 {
            if json {
                Output.json(try JSONValue(encoding: chat))
                continue
            }
            var line = "\(chat.unread) \(Output.safe(chat.chat))"
            if let name = chat.name { line += " (\(Output.safe(name)))" }
            if namesAccount { line += " to \(Output.safe(chat.account))" }
            Output.line("\(line), last \(chat.last.seconds)")
        }
    }
}
