// imctl setup: from nothing to a first account, asking on the terminal.

import ArgumentParser
import Glibc
import LocalAPI

/// `imctl setup`.
struct SetupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "setup", abstract: "Add the first account, step by step.",
        discussion: "\"imctl\" alone begins it on a terminal while there is no account.")

    @Option(help: ArgumentHelp("Connect there instead of where DNS says.", valueName: "host:port"))
    var server: String?

    @Option(help: ArgumentHelp("Trust these authorities instead of the system's.", valueName: "path"))
    var caFile: String?

    func run() throws {
        guard Terminal.isInteractive else {
            throw UserError(
                .usage, "there is no terminal to ask on",
                hint: "use: imctl account add JID --password-command COMMAND")
        }
        let accounts = try Daemon.call(AccountList.self, Empty()).accounts
        if let first = accounts.first {
            throw UserError(
                .conflict, "there is an account already: \(first.jid)",
                hint: "see \"imctl status\"; another one: imctl account add JID")
        }
        Output.explain(
            "This adds your account on an XMPP server. Ctrl-C ends it; nothing is changed before the login.")
        let account = try login()
        AccountCommand.describe(account)
        Output.line("")
        Output.line("Now, for example:")
        Output.line("  imctl contact add bob@example.org      # and see when bob is online")
        Output.line("  echo hello | imctl send bob@example.org")
        Output.line("  imctl receive --follow")
    }

    /// Whether "imctl" alone is to begin it: on a terminal, with an imd that has no account.
    ///
    /// - Throws: `.daemonNotRunning`, which helps more than a list of commands.
    static func isDue() throws(UserError) -> Bool {
        guard Terminal.isInteractive, isatty(STDOUT_FILENO) == 1 else { return false }
        do throws(UserError) {
            return try Daemon.call(AccountList.self, Empty()).accounts.isEmpty
        } catch {
            guard error.code != .daemonNotRunning else { throw error }
            return false
        }
    }

    /// Three attempts: names and passwords are mistyped.
    private func login() throws(UserError) -> AccountStatus {
        var attempts = 3
        while true {
            attempts -= 1
            do throws(UserError) {
                return try attempt()
            } catch {
                guard attempts > 0,
                    [.badAddress, .notAuthorized, .hostUnknown, .invalidParams].contains(error.code)
                else { throw error }
                Output.diagnose("error", error.message)
                if let hint = error.hint { Output.diagnose("hint", hint) }
            }
        }
    }

    private func attempt() throws(UserError) -> AccountStatus {
        guard let typed = Terminal.line("Address (you@example.org): ") else {
            throw UserError(.usage, "nothing was typed")
        }
        let jid = typed.split(separator: " ").joined()
        guard jid.contains("@") else {
            throw UserError(
                .badAddress, "an address has the form user@host", hint: "ask whoever runs the server")
        }
        let params = AccountAdd.Params(
            jid: jid, password: try Terminal.password(for: jid), server: server,
            caFile: try caFile.map(absolutePath))
        return try Progress.shown("logging in") { () throws(UserError) in
            try Daemon.call(AccountAdd.self, params)
        }
    }
}
