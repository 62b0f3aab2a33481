// What the shells offer behind TAB: contacts, accounts and the like, asked of an imd that runs.

import ArgumentParser
import LocalAPI

extension CompletionKind {
    /// JIDs of contacts.
    static let contact = offer { words, client in
        let contacts = try client.call(
            ContactList.self, .init(account: words.account), timeout: Completion.patience)
        return contacts.contacts.map(\.jid)
    }

    /// JIDs of our accounts.
    static let account = offer { _, client in
        try client.call(AccountList.self, Empty(), timeout: Completion.patience).accounts.map(\.jid)
    }

    /// Names of consumers.
    static let consumer = offer { _, client in
        try client.call(ConsumerList.self, Empty(), timeout: Completion.patience).consumers.map(\.name)
    }

    /// Names of hooks.
    static let hook = offer { _, client in
        try client.call(HookList.self, Empty(), timeout: Completion.patience).hooks.map(\.name)
    }

    /// Ids of the devices of the contact that stands on the line, or of ourselves.
    static let device = offer { words, client in
        let devices = try client.call(
            DeviceList.self, .init(jid: words.contact, account: words.account), timeout: Completion.patience)
        return devices.devices.map { String($0.device) }
    }

    /// Ids of messages that wait.
    static let waiting = offer { words, client in
        try outbox(words, client, failed: nil)
    }

    /// Ids of messages that failed.
    static let failed = offer { words, client in
        try outbox(words, client, failed: true)
    }

    private static func outbox(_ words: TypedWords, _ client: Client, failed: Bool?) throws -> [String] {
        let params = OutboxList.Params(account: words.account, failed: failed)
        return try client.call(OutboxList.self, params, timeout: Completion.patience).messages.map(\.id)
    }

    /// Whatever goes wrong, nothing is offered and nothing is said.
    private static func offer(
        _ candidates: @escaping @Sendable (TypedWords, Client) throws -> [String]
    ) -> CompletionKind {
        .custom { words, _, _ in
            guard let client = try? Daemon.connect() else { return [] }
            let found = (try? candidates(TypedWords(words), client)) ?? []
            return Completion.presentable(found, to: CompletionShell.requesting)
        }
    }
}

enum Completion {
    /// Seconds; somebody waits at a prompt.
    static let patience = 1.0

    /// Whether `arguments` come from a completion script.
    static func isAsked(_ arguments: [String]) -> Bool { arguments.first == "---completion" }

    /// Names that are one word, show as what they are and are not read as options. The scripts take them literally,
    /// but zsh's `_describe` has two signs of its own.
    static func presentable(_ names: [String], to shell: CompletionShell?) -> [String] {
        let shown = names.filter { name in
            !name.isEmpty && !name.hasPrefix("-")
                && !name.unicodeScalars.contains {
                    $0.properties.isWhitespace || TerminalText.isUnsafe($0)
                }
        }
        guard shell == .zsh else { return shown }
        return shown.map { name in
            var text = ""
            for character in name {
                if character == "\\" || character == ":" { text.append("\\") }
                text.append(character)
            }
            return text
        }
    }
}

/// The words of a command line that somebody is still writing.
struct TypedWords {
    /// The value of `--account`.
    let account: String?
    /// The first thing that looks like a JID.
    let contact: String?

    init(_ words: [String]) {
        // As the shell will read them, for the few signs that JIDs are usually quoted for.
        let plain = words.map { word in String(word.filter { !"\\'\"".contains($0) }) }
        var (account, contact): (String?, String?)
        for (index, word) in plain.enumerated() where word.contains("@") {
            if index > 0, plain[index - 1] == "--account" {
                account = word
            } else if word.hasPrefix("--account=") {
                account = String(word.dropFirst("--account=".count))
            } else if !word.hasPrefix("-") {
                contact = contact ?? word
            }
        }
        self.account = account
        self.contact = contact
    }
}
