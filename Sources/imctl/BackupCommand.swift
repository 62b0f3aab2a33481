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
            abstract: "Write account, contacts, decisions and history into an encrypted file.",
            discussion: "No key of this device is in it: what is made from it is another device.")
        @Argument(help: "The file; it must not exist.")
        var file: String
        @OptionGroup var secret: PassphraseOptions
        @OptionGroup var choice: AccountOption
        @OptionGroup var output: JSONOption

        func run() throws {
            let params = AccountExport.Params(
                path: try absolutePath(file), passphrase: try secret.passphrase(new: true),
                account: choice.account)
            let result = try Daemon.call(AccountExport.self, params, waiting: AccountCommand.patience)
            if output.json { return try Output.json(AccountExport.self, result) }
            Output.line("\(result.messages) messages, \(result.contacts) contacts, \(result.bytes) bytes")
        }
    }

    /// `imctl account import`.
    struct Import: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add an account from a file of \"account export\", as a new device.")
        @Argument(help: "The file.")
        var file: String
        @Option(
            help: ArgumentHelp("Have imd run COMMAND for the password at every login.", valueName: "command"))
        var passwordCommand: String?
        @Option(help: ArgumentHelp("Connect there instead of where the file says.", valueName: "host:port"))
        var server: String?
        @Option(
            help: ArgumentHelp("Trust these authorities instead of those in the file.", valueName: "path"))
        var caFile: String?
        @OptionGroup var secret: PassphraseOptions
        @OptionGroup var output: JSONOption

        func run() throws {
            let params = AccountImport.Params(
                path: try absolutePath(file), passphrase: try secret.passphrase(new: false),
                passwordCommand: passwordCommand, server: server, caFile: try caFile.map(absolutePath))
            let result = try Daemon.call(AccountImport.self, params, waiting: AccountCommand.patience)
            if output.json { return try Output.json(AccountImport.self, result) }
            AccountCommand.describe(result.account)
            Output.line(
                "\(result.messages) messages, \(result.contacts) contacts, \(result.decisions) decisions about keys"
            )
        }
    }
}
