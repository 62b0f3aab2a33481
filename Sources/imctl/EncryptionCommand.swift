// imctl encryption: whether a chat must be encrypted, and for which devices.

import ArgumentParser
import LocalAPI

/// `imctl encryption`.
struct EncryptionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "encryption", abstract: "See and set how a chat is encrypted.",
        discussion: """
            A chat that was encrypted once refuses plaintext until --optional allows it, until the next encrypted \
            message. The policy says which devices get messages: btbv, tofu, verified-only or always.
            """)

    @Argument(help: "The contact, user@host; the account as a whole when absent.", completion: .contact)
    var jid: String?

    @Flag(help: "Refuse plaintext; also: go on encrypting although the contact asked for plaintext.")
    var required = false

    @Flag(help: "Allow --plaintext in this chat until the next encrypted message.")
    var optional = false

    @Option(
        help: ArgumentHelp(
            "btbv, tofu, verified-only, always; or none to take it back.", valueName: "policy"),
        completion: .list(Policy.allCases.map(\.rawValue) + ["none"]))
    var policy: String?

    @Option(help: .account, completion: .account) var account: String?
    @Flag(help: .json) var json = false

    func run() throws {
        if required, optional { throw UserError(.usage, "--required and --optional exclude each other") }
        let wanted = try policy.flatMap { (word: String) throws -> Policy? in
            if word == "none" { return nil }
            guard let policy = Policy(rawValue: word) else {
                let words = Policy.allCases.map(\.rawValue).joined(separator: ", ")
                throw UserError(.usage, "there is no policy '\(word)'", hint: "there are: \(words), none")
            }
            return policy
        }
        guard required || optional || policy != nil else {
            return try show(Daemon.call(EncryptionGet.self, .init(jid: jid, account: account)))
        }
        let params = EncryptionSet.Params(
            jid: jid, required: required ? true : optional ? false : nil, policy: wanted,
            clearPolicy: policy == "none" ? true : nil, account: account)
        try EncryptionSet.validate(params)
        try show(Daemon.call(EncryptionSet.self, params))
    }

    private func show(_ chat: ChatEncryption) throws {
        if json { return try Output.json(EncryptionGet.self, chat) }
        if chat.jid != nil {
            let since = chat.since.map { " \(Output.since($0))" } ?? ""
            Output.line(chat.required ? "encrypted\(since)" : "plaintext is allowed with --plaintext")
        }
        Output.line("policy \(chat.policy.rawValue) (\(chat.policySource.rawValue))")
        if let wish = chat.optedOut {
            let reason = wish.reason.map { ": " + Output.safe($0) } ?? ""
            Output.line("asked for messages without encryption at \(wish.at.seconds)\(reason)")
        }
    }
}
