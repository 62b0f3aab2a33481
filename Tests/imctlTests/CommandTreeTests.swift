// How commands are found: by names at hand, and those that scripts start by themselves, without the rest of the tree.

import ArgumentParser
import Testing

@testable import imctl

struct CommandTreeTests {
    private func unnamed(_ command: any ParsableCommand.Type) -> [String] {
        let own = command.configuration.commandName == nil ? ["\(command)"] : []
        return own + command.configuration.subcommands.flatMap(unnamed)
    }

    private func message(_ parse: () throws -> any ParsableCommand) -> String {
        do {
            return "\(try parse())"
        } catch {
            return Imctl.fullMessage(for: error)
        }
    }

    /// One made from its type costs imctl a search at each start.
    @Test func `every command says its name`() {
        #expect(unnamed(Imctl.self) == [])
    }

    @Test(arguments: [
        ["send", "juliet@example.org", "hello", "--wait", "delivered", "--timeout", "5", "--json"],
        ["send", "juliet@example.org", "--", "--wait"], ["status", "--account=romeo@example.org"],
        ["receive"], ["unread", "--json"], ["history", "juliet@example.org"], ["events"],
        ["displayed", "juliet@example.org"], ["call", "daemon.status"],
    ])
    func `a command parsed by itself is the one that the tree gives`(arguments: [String]) throws {
        let alone = try #require(Imctl.parsedAlone(arguments))
        #expect("\(alone)" == "\(try Imctl.parseAsRoot(arguments))")
        #expect("\(alone)" == message { try Imctl.parsed(arguments) })
    }

    @Test(arguments: [
        ["send", "juliet@example.org", "hello"], ["send", "juliet@example.org"],
        ["send", "juliet@example.org", ""],
        ["status"],
    ])
    func `words alone make the command that the parser makes of them`(arguments: [String]) throws {
        let plain = try #require(Imctl.unparsed(arguments))
        #expect("\(plain)" == "\(try Imctl.parseAsRoot(arguments))")
    }

    @Test(arguments: [
        [], ["send"], ["send", "a@example.org", "one", "two"], ["send", "a@example.org", "-"],
        ["send", "a@example.org", "--json"], ["status", "now"], ["status", "--json"], ["receive"], ["stats"],
    ])
    func `all else is parsed`(arguments: [String]) {
        #expect(Imctl.unparsed(arguments) == nil)
    }

    @Test(arguments: [
        [], ["send"], ["send", "--help"], ["send", "a@example.org", "--nonsense"], ["status", "--version"],
        ["status", "--wait", "dinner"], ["help", "send"], ["history", "-h"], ["--version"],
        ["contact", "list", "--json"], ["nonsense"], ["status", "--generate-completion-script", "bash"],
    ])
    func `what a command alone does not understand is explained by the tree`(arguments: [String]) {
        #expect(Imctl.parsedAlone(arguments) == nil)
        #expect(message { try Imctl.parsed(arguments) } == message { try Imctl.parseAsRoot(arguments) })
    }
}
