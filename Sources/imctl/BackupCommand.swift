// imctl account export and import: a backup, and a new device from it.

import ArgumentParser
import Glibc
import LocalAPI

/// Where the passphrase of a backup comes from; never from the command line, which others can see.
struct PassphraseOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Read the passphrase from this open descriptor.", valueName: "number"))
    var passphraseFd: Int32?

    func passphrase(new: Bool) throws(UserError) -> String {
        if let passphraseFd { return try Terminal.line(from: passphraseFd) }
        return try new ? Terminal.newPassphrase() : Terminal.secret("Passphrase: ")
    }
}

extension AccountCommand {
    /// How long a backup may take, in seconds.
    private static let patience = 3600

    /// `imctl account export`.
    struct Export: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "export",
            abstract: "Write account, contacts, decisions and history into an encrypted file.",
            discussion: "No key of this device is in it: what is made from it is another device.")
        @Argument(help: "The file; it must not exist.", completion: .file())
        var file: String
        @OptionGroup var secret: PassphraseOptions
        @Option(help: .account, completion: .account) var account: String?
        @Flag(help: .json) var json = false

        func run() throws {
            let params = AccountExport.Params(
                path: try absolutePath(file), passphrase: try secret.passphrase(new: true),
                account: account)
            let result = try Progress.shown("writing the backup") { () throws(UserError) in
                try Daemon.call(AccountExport.self, params, waiting: AccountCommand.patience)
            }
            if json { return try Output.json(AccountExport.self, result) }
            Output.line("\(result.messages) messages, \(result.contacts) contacts, \(result.bytes) bytes")
        }
    }

    /// `imctl account import`.
    struct Import: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "import",
            abstract: "Add an account from a file of \"account export\", as a new device.",
            discussion: "Where imd is to run a command in the file for the password, you are asked.")
        @Argument(help: "The file.", completion: .file())
        var file: String
        @Option(
            help: ArgumentHelp("Have imd run COMMAND for the password at every login.", valueName: "command"))
        var passwordCommand: String?
        @Flag(help: "Let imd run the password command that is in the file, without asking.")
        var acceptPasswordCommand = false
        @Option(help: ArgumentHelp("Connect there instead of where the file says.", valueName: "host:port"))
        var server: String?
        @Option(
            help: ArgumentHelp("Trust these authorities instead of those in the file.", valueName: "path"),
            completion: .file())
        var caFile: String?
        @OptionGroup var secret: PassphraseOptions
        @Flag(help: .json) var json = false

        func run() throws {
            var params = AccountImport.Params(
                path: try absolutePath(file), passphrase: try secret.passphrase(new: false),
                passwordCommand: passwordCommand, server: server, caFile: try caFile.map(absolutePath))
            if passwordCommand == nil { params.passwordCommand = try acceptedCommand(params) }
            let result = try Progress.shown("reading the backup") { () throws(UserError) in
                try Daemon.call(AccountImport.self, params, waiting: AccountCommand.patience)
            }
            if json { return try Output.json(AccountImport.self, result) }
            AccountCommand.describe(result.account)
            Output.line(
                "\(result.messages) messages, \(result.contacts) contacts, \(result.decisions) decisions about keys"
            )
        }

        /// The file may come from somebody else, and the command runs with all rights of the user.
        private func acceptedCommand(_ params: AccountImport.Params) throws -> String? {
            let content = try Daemon.call(
                AccountInspect.self, .init(path: params.path, passphrase: params.passphrase), waiting: 60)
            guard let command = content.passwordCommand, !acceptPasswordCommand else {
                return content.passwordCommand
            }
            let refusal = UserError(
                .usage, "the file has imd run '\(Self.program(command))' at every login, for the password",
                hint: "add --accept-password-command, or give another one with --password-command")
            try Terminal.confirm(
                "Have imd run this at every login to \(content.account), for the password: \(command) ?",
                otherwise: refusal)
            return command
        }

        /// What a command runs, without its arguments: there may be a secret in them.
        private static func program(_ command: String) -> String {
            let words = command.split(whereSeparator: \.isWhitespace)
            return String((words.first { !$0.contains("=") } ?? "sh").prefix(100))
        }
    }
}
