// Every command has its name at hand: one that is made from its type costs imctl a search at each start.
import ArgumentParser
import Testing

@testable import imctl

struct CommandNamesTests {
    private func unnamed(_ command: any ParsableCommand.Type) -> [String] {
        let own = command.configuration.commandName == nil ? ["\(command)"] : []
        return own + command.configuration.subcommands.flatMap(unnamed)
    }

    @Test func `every command says its name`() {
        #expect(unnamed(Imctl.self) == [])
    }
}
