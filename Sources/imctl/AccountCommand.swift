// imctl account: add, list, remove, connect, disconnect.

import ArgumentParser
import LocalAPI

/// `imctl account`.
struct AccountCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "account",
        abstract: "Add, list and remove accounts, take them on and off line, back them up.",
        subcommands: [
            Add.self, List.self, Remove.self, Connect.self, Disconnect.self, Export.self, Import.self,
        ])

    /// `imctl account add`.
    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "add", abstract: "Log in to an account and keep it.",
            discussion: "Asks for the password on the terminal unless told where to get it.")

        @Argument(help: "The account, user@host.")
        var jid: String

        @Flag(help: "Read the password from standard input.")
        var passwordStdin = false

        @Option(
            help: ArgumentHelp("Have imd run COMMAND for the password at every login.", valueName: "command"))
        var passwordCommand: String?

        @Option(help: ArgumentHelp("Connect there instead of where DNS says.", valueName: "host:port"))
        var server: String?

        @Option(help: ArgumentHelp("How to secure the connection: starttls or direct.", valueName: "how"))
        var tls: AccountAdd.TLS?

        @Option(
            help: ArgumentHelp("Trust these authorities instead of the system's.", valueName: "path"),
            completion: .file())
        var caFile: String?

        @Flag(help: "Let the server see the password (SASL PLAIN).")
        var allowPlain = false

        @Flag(name: .customLong("no-wait"), help: "Keep the account without waiting for the login.")
        var noWait = false

        @Option(help: ArgumentHelp("Wait at most this long.", valueName: "seconds"))
        var timeout: Int?

        @Flag(help: .json) var json = false

        func run() throws {
            try checkTimeout(timeout)
            if passwordStdin, passwordCommand != nil {
                throw UserError(.usage, "--password-stdin and --password-command exclude each other")
            }
            let client = try Daemon.connect()
            var params = AccountAdd.Params(
                jid: jid, passwordCommand: passwordCommand, server: server, tls: tls,
                caFile: try caFile.map(absolutePath), allowPlain: allowPlain ? true : nil,
                wait: noWait ? false : nil,
                timeout: timeout)
            if passwordCommand == nil {
                params.password =
                    try passwordStdin ? Terminal.passwordFromInput() : Terminal.password(for: jid)
            }
            let status = try Progress.shown("logging in") { () throws(UserError) in
                try client.call(AccountAdd.self, params, timeout: Double(timeout ?? 30) + 30)
            }
            try AccountCommand.show(status, AccountAdd.self, json: json)
        }
    }

    /// `imctl account list`.
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "List the accounts.")
        @Flag(help: .json) var json = false

        func run() throws {
            let result = try Daemon.call(AccountList.self, Empty())
            for account in result.accounts { try AccountCommand.show(account, AccountAdd.self, json: json) }
        }
    }

    /// `imctl account remove`.
    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "remove", abstract: "Delete an account here, with its keys and messages.",
            discussion: "The account on the server stays; its device list loses this device.")
        @Argument(help: "The account, user@host.", completion: .account)
        var jid: String
        @OptionGroup var consent: ConsentOption
        @Flag(help: .json) var json = false

        func run() throws {
            try consent.confirm("Delete \(jid) here, with its keys, messages and decisions?")
            let result = try Daemon.call(AccountRemove.self, .init(account: jid))
            if json { try Output.json(AccountRemove.self, result) }
            try Output.flush()
            guard !result.listed.isEmpty else { return }
            Output.diagnose(
                "warning",
                "the server did not take device \(result.device) off its lists: contacts may still encrypt to it"
            )
            Output.diagnose("hint", "on another device of the account: imctl device remove \(result.device)")
        }
    }

    /// `imctl account connect`.
    struct Connect: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "connect", abstract: "Bring an account online and keep it so.")
        @Argument(help: "The account, user@host.", completion: .account)
        var jid: String
        @Flag(help: .json) var json = false

        func run() throws {
            try AccountCommand.show(
                try Daemon.call(AccountConnect.self, .init(account: jid)), AccountConnect.self, json: json)
        }
    }

    /// `imctl account disconnect`.
    struct Disconnect: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "disconnect", abstract: "Take an account offline and keep it so.")
        @Argument(help: "The account, user@host.", completion: .account)
        var jid: String
        @Flag(help: .json) var json = false

        func run() throws {
            try AccountCommand.show(
                try Daemon.call(AccountDisconnect.self, .init(account: jid)), AccountDisconnect.self,
                json: json)
        }
    }

    static func show<M: Method>(
        _ status: AccountStatus, _ method: M.Type, json: Bool
    ) throws where M.Result == AccountStatus {
        if json { return try Output.json(method, status) }
        describe(status)
    }

    /// One line, and one more with the reason where there is one.
    static func describe(_ status: AccountStatus) {
        let state = status.state.style(status.state.rawValue)
        var line = "\(Style.strong(Output.safe(status.jid))) \(state) \(Output.since(status.since))"
        let login = status.mechanism.map { mechanism in
            mechanism + (status.channelBinding.map { " with \($0)" } ?? "")
        }
        let resumed = status.resumed == true ? "resumed" : nil
        let details = [status.server, status.tls, login, resumed].compactMap { $0 }.map(Output.safe)
        if !details.isEmpty { line += " (\(details.joined(separator: ", ")))" }
        line += ", device \(status.device)"
        if status.catchingUp == true { line += ", catching up" }
        if let queued = status.queued, queued > 0 { line += ", outbox \(queued)" }
        Output.line(line)
        Output.line("\tfingerprint \(Output.fingerprint(Output.safe(status.fingerprint)))")
        if let reason = status.reason {
            Output.line("\t\(reason.code.rawValue): \(Output.safe(reason.message))")
            if let hint = reason.hint { Output.line("\thint: \(Output.safe(hint))") }
        }
    }
}

extension AccountState {
    fileprivate var style: Style {
        switch self {
        case .online: .good
        case .connecting: .warning
        case .failed: .bad
        case .offline: .faint
        }
    }
}
