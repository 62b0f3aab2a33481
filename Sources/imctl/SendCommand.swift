// imctl send: one message, from the command line or standard input.

import ArgumentParser
import LocalAPI

/// `imctl send`.
struct SendCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "send", _superCommandName: "imctl", abstract: "Send an encrypted message.",
        discussion:
            "Prints the id of the message. Without --wait, success means that it is stored and will go out.")

    @Argument(help: "The contact, user@host.", completion: .contact)
    var jid: String

    @Argument(help: "The text; standard input when absent or -.")
    var text: String?

    @Option(help: .account, completion: .account) var account: String?

    @Option(help: ArgumentHelp("Your own id: a second send with it sends nothing.", valueName: "key"))
    var id: String?

    @Option(
        help: ArgumentHelp(
            "Return when the message has come this far or failed; default queued.", valueName: "state"))
    var wait: MessageSend.Wait?

    @Option(help: ArgumentHelp("Wait at most this long; default 30.", valueName: "seconds"))
    var timeout: Int?

    @Option(
        help: ArgumentHelp(
            "React to this message: the text is emojis, in place of earlier ones.", valueName: "id"))
    var reactTo: String?

    @Flag(help: "Send without encryption, readable for everyone on the way.")
    var plaintext = false

    @Flag(help: .json) var json = false

    init() {}

    /// The command without options.
    init?(words: ArraySlice<String>) {
        guard (1...2).contains(words.count), let jid = words.first else { return nil }
        (self.jid, text) = (jid, words.dropFirst().first)
        (account, id, wait, timeout, reactTo, plaintext, json) = (nil, nil, nil, nil, nil, false, false)
    }

    func run() throws {
        try checkTimeout(timeout)
        let body = try body()
        // With an id of its own the call can be repeated when imd is restarted while it answers.
        let params = MessageSend.Params(
            to: jid, body: body, account: account, id: id ?? Self.newID(), wait: wait,
            timeout: timeout,
            plaintext: plaintext ? true : nil, reactsTo: reactTo)
        try MessageSend.validate(params)
        let result = try send(params)
        if json {
            try Output.json(MessageSend.self, result)
        } else {
            Output.line(Output.safe(result.id))
        }
        try Output.flush()
        if result.state != .held { warn(of: result.excluded) { "cannot read this message: \($0)" } }
        try check(result)
    }

    /// Reactions are taken back by an empty text only where it was written down: a program whose output was to be sent may
    /// have failed.
    private func body() throws(UserError) -> String {
        if let text, text != "-" { return text }
        let body = try Terminal.text()
        if body.isEmpty { throw UserError(.badText, "the message is empty") }
        return body
    }

    private func warn(of devices: [ExcludedDevice], _ what: (String) -> String) {
        for device in devices.prefix(8) {
            Output.diagnose(
                "warning", "device \(device.device) of \(device.jid) \(what(device.reason))")
        }
        if devices.count > 8 {
            Output.diagnose("warning", "and \(devices.count - 8) more; --json names them all")
        }
    }

    /// 128 random bits.
    private static func newID() -> String {
        let digits = String(UInt128.random(in: 0...UInt128.max), radix: 36)
        return String(repeating: "0", count: 25 - digits.count) + digits
    }

    /// A message that was accepted by an imd that went away before it said so is not sent twice: the id is known.
    private func send(_ params: MessageSend.Params) throws -> MessageSend.Result {
        let deadline = ContinuousClock.now + .seconds(timeout ?? 30)
        var params = params
        var client = try Daemon.connect()
        while true {
            let seconds = max(0, (deadline - .now) / .seconds(1))
            do throws(UserError) {
                return try client.call(MessageSend.self, params, timeout: seconds + 30)
            } catch {
                guard error.code == .daemonNotRunning || error.code == .timeout else { throw error }
                guard error.code == .daemonNotRunning, ContinuousClock.now < deadline,
                    let next = try? Daemon.connect(until: deadline)
                else { throw unanswered(error, params) }
                client = next
                params.timeout = Int(max(0, (deadline - .now) / .seconds(1)).rounded(.up))
            }
        }
    }

    private func unanswered(_ error: UserError, _ params: MessageSend.Params) -> UserError {
        guard let id = params.id else { return error }
        return UserError(
            error.code, "\(error.message); the message may have been accepted",
            hint: "send it again with --id \(id): it then goes out once, whatever happened")
    }

    /// The id is printed either way; the exit status tells whether what was asked for is true.
    private func check(_ result: MessageSend.Result) throws {
        if result.state == .held { throw held(result) }
        guard let reached = result.state.progress else {
            let reason = result.reason.map { ": \($0)" } ?? ""
            Output.diagnose("error", "the message was not delivered\(reason)")
            Output.diagnose("hint", "imctl outbox retry \(result.id)")
            throw ExitCode(ErrorCode.notConnected.exitCode)
        }
        let wanted = (wait ?? .queued).state
        guard let needed = wanted.progress, reached < needed else { return }
        Output.diagnose(
            "error",
            "the message is \(result.state.described), not yet \(wanted.described), after \(timeout ?? 30) s")
        let isWithServer = reached >= 2
        Output.diagnose(
            "hint",
            isWithServer
                ? "nothing is lost: the contact gets it when it is online; see \"imctl history \(result.chat)\""
                : "nothing is lost: it still goes out; see \"imctl outbox list\"")
        throw ExitCode(ErrorCode.timeout.exitCode)
    }
}

extension SendCommand {
    /// It goes out by itself once a person has decided.
    private func held(_ result: MessageSend.Result) -> ExitCode {
        warn(of: result.excluded.filter { $0.jid == result.chat }) { "is not trusted: \($0)" }
        Output.diagnose("error", "the message is held until you decide about the devices of \(result.chat)")
        Output.diagnose(
            "hint",
            "imctl device verify \(result.chat), or take it back: imctl outbox cancel \(result.id)")
        return ExitCode(ErrorCode.noTrustedDevice.exitCode)
    }
}

extension DeliveryState {
    fileprivate var described: String { self == .server ? "with the server" : rawValue }
}
