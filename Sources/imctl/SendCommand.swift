// imctl send: one message, from the command line or standard input.

import ArgumentParser
import LocalAPI

/// `imctl send`.
struct SendCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "send", abstract: "Send an encrypted message.",
        discussion:
            "Prints the id of the message. Without --wait, success means that it is stored and will go out.")

    @Argument(help: "The contact, user@host.")
    var jid: String

    @Argument(help: "The text; standard input when absent or -.")
    var text: String?

    @OptionGroup var choice: AccountOption

    @Option(help: ArgumentHelp("Your own id: a second send with it sends nothing.", valueName: "key"))
    var id: String?

    @Option(
        help: ArgumentHelp(
            "Return when the message is queued, at the server or delivered.", valueName: "state"))
    var wait: MessageSend.Wait?

    @Option(help: ArgumentHelp("Wait at most this long; default 30.", valueName: "seconds"))
    var timeout: Int?

    @Flag(help: "Send without encryption, readable for everyone on the way.")
    var plaintext = false

    @OptionGroup var output: JSONOption

    func run() throws {
        try checkTimeout(timeout)
        let body = if let text, text != "-" { text } else { try Terminal.text() }
        let params = MessageSend.Params(
            to: jid, body: body, account: choice.account, id: id, wait: wait, timeout: timeout,
            plaintext: plaintext ? true : nil)
        try MessageSend.validate(params)
        let result = try Daemon.call(MessageSend.self, params, waiting: timeout)
        if output.json {
            try Output.json(MessageSend.self, result)
        } else {
            Output.line(Output.safe(result.id))
        }
        try Output.flush()
        for device in result.excluded {
            Output.diagnose(
                "warning",
                "device \(device.device) of \(device.jid) cannot read this message: \(device.reason)")
        }
        try check(result)
    }

    /// The id is printed either way; the exit status tells whether what was asked for is true.
    private func check(_ result: MessageSend.Result) throws {
        guard let reached = result.state.progress else {
            let reason = result.reason.map { ": \($0)" } ?? ""
            Output.diagnose("error", "the message was not delivered\(reason)")
            throw ExitCode(ErrorCode.notConnected.exitCode)
        }
        let wanted: DeliveryState =
            switch wait {
            case .delivered: .delivered
            case .server: .server
            case .queued, nil: .queued
            }
        if let needed = wanted.progress, reached < needed {
            Output.diagnose(
                "error",
                "the message is \(result.state.rawValue), not yet \(wanted.rawValue), after \(timeout ?? 30) s"
            )
            Output.diagnose("hint", "it is kept and goes on by itself; see \"imctl history \(result.chat)\"")
            throw ExitCode(ErrorCode.timeout.exitCode)
        }
    }
}
