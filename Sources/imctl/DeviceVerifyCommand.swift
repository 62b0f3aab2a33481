// imctl device verify: a person compares fingerprints.

import ArgumentParser
import Glibc
import LocalAPI

/// `imctl device verify`.
struct DeviceVerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Compare the fingerprint of a device with what its owner shows.",
        discussion: """
            Type the fingerprint that the other person's client shows, or paste its xmpp: link. A link can also be \
            given in the place of the contact, or come from standard input with -, as from a scanned QR code.
            """)

    @Argument(
        help: "The contact, user@host; an xmpp: link; or - for a link on standard input.",
        completion: .contact)
    var contact: String

    @Option(
        help: ArgumentHelp("What the other side shows, 64 hex digits; spaces do not count.", valueName: "hex")
    )
    var fingerprint: String?

    @Option(help: .account, completion: .account) var account: String?
    @Flag(help: .json) var json = false

    func run() throws {
        let params = try self.params()
        let result = try Daemon.call(DeviceVerify.self, params)
        try DeviceCommand.show(result, DeviceVerify.self, json: json)
    }

    private func params() throws -> DeviceVerify.Params {
        if contact == "-" {
            let text = try readText("-")
            let link = text.split(whereSeparator: \.isWhitespace).map(String.init).first { Self.isLink($0) }
            guard let link else { throw UserError(.usage, "there is no xmpp: link on standard input") }
            return .init(uri: link, account: account)
        }
        if Self.isLink(contact) { return .init(uri: contact, account: account) }
        if let fingerprint {
            return .init(jid: contact, fingerprint: fingerprint, account: account)
        }
        return try ask()
    }

    /// What is shown is not what is to be typed: who only copies from here has compared nothing.
    private func ask() throws -> DeviceVerify.Params {
        guard isatty(STDIN_FILENO) == 1 else {
            throw UserError(
                .usage, "there is no terminal to compare on",
                hint: "use --fingerprint, or give the xmpp: link")
        }
        let known = try Daemon.call(DeviceList.self, .init(jid: contact, account: account))
        let open = known.devices.filter {
            $0.active && $0.fingerprint != nil && !$0.own && $0.trust != .verified
        }
        guard !open.isEmpty else {
            throw UserError(
                .noSuchDevice, "\(contact) has no device that is not verified",
                hint: "see: imctl device list \(contact)")
        }
        Output.explain(
            """
            \(open.count) of the devices of \(TerminalText.escape(contact, keepsLines: false)) are not verified.
            Ask for the fingerprint by another way than this chat, best face to face or by telephone.
            """)
        let answer = Terminal.line("The fingerprint that the other side shows, or its xmpp: link: ") ?? ""
        let text = String(answer.drop(while: \.isWhitespace))
        guard !text.isEmpty else { throw UserError(.usage, "nothing was typed, nothing is verified") }
        if Self.isLink(text) { return .init(uri: text, account: account) }
        return .init(jid: contact, fingerprint: text, account: account)
    }

    private static func isLink(_ text: String) -> Bool { text.lowercased().hasPrefix("xmpp:") }
}
