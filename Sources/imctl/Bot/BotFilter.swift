// Which messages a bot gets, and what it may know of one outside of standard input.

import Glibc
import LocalAPI

/// The conditions a message must meet.
struct BotFilter {
    private let senders: Set<String>
    private let pattern: Pattern?
    private let takesPlaintext: Bool

    /// - Throws: `.usage` for what is no address or no expression.
    init(senders: [String], pattern: String?, takesPlaintext: Bool = false) throws(UserError) {
        self.takesPlaintext = takesPlaintext
        for sender in senders where !sender.utf8.contains(0x40) || sender.utf8.contains(0x2f) {
            throw UserError(.usage, "--from wants an address, user@host")
        }
        self.senders = Set(senders.map { $0.lowercased() })
        if let pattern { self.pattern = try Pattern(pattern) } else { self.pattern = nil }
    }

    /// Messages of our own are never answered: neither what another device of ours sent, nor what one of our accounts
    /// wrote to another.
    func wants(_ message: Message, own: Set<String>) -> Bool {
        guard message.direction == .in, !own.contains(message.from) else { return false }
        guard senders.isEmpty || senders.contains(message.from.lowercased()) else { return false }
        return pattern?.matches(message.body) ?? true
    }

    /// Who wrote what came in clear, only the servers say.
    func trusts(_ message: Message) -> Bool {
        takesPlaintext || message.encryption != nil && message.warning == nil
    }
}

/// A POSIX extended regular expression (regcomp(3)): small, and starts at once.
private final class Pattern {
    private var compiled = regex_t()

    init(_ text: String) throws(UserError) {
        // Without it "." is one byte of a letter.
        setlocale(LC_CTYPE, "C.UTF-8")
        let status = regcomp(&compiled, text, REG_EXTENDED | REG_NOSUB)
        guard status == 0 else {
            var reason = [CChar](repeating: 0, count: 200)
            regerror(status, &compiled, &reason, reason.count)
            let words = String(
                decoding: reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            throw UserError(
                .usage, "--match is no regular expression: \(words.lowercased())", hint: "see regex(7)")
        }
    }

    deinit { regfree(&compiled) }

    func matches(_ text: String) -> Bool { regexec(&compiled, text, 0, nil, 0) == 0 }
}

/// What a command finds in its environment beside what imctl has.
enum BotEnvironment {
    static let names = ["IMD_ACCOUNT", "IMD_CHAT", "IMD_FROM", "IMD_MESSAGE_ID", "IMD_EVENT_NUMBER"]

    /// The ids of a message. What a stranger chose is left out unless it is a plain id.
    static func of(_ message: Message, number: Int64) -> [String] {
        var lines: [String] = []
        for (key, jid) in [
            ("IMD_ACCOUNT", message.account), ("IMD_CHAT", message.chat), ("IMD_FROM", message.from),
        ] where isJID(jid) {
            lines.append("\(key)=\(jid)")
        }
        if isID(message.id) { lines.append("IMD_MESSAGE_ID=\(message.id)") }
        lines.append("IMD_EVENT_NUMBER=\(number)")
        return lines
    }

    static func isID(_ text: String) -> Bool {
        (1...255).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x3a, 0x5f: true
                default: false
                }
            }
    }

    /// A JID may hold `$` and `;`: one that could mean something to a careless script is in the event alone.
    static func isJID(_ text: String) -> Bool {
        (1...2047).contains(text.utf8.count) && text.first != "-"
            && text.unicodeScalars.allSatisfy { scalar in
                switch scalar.value {
                case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
                case 0x2d, 0x2e, 0x5f, 0x2b, 0x40, 0x25, 0x3a, 0x5b, 0x5d: true
                case 0x80...: !TerminalText.isUnsafe(scalar) && !scalar.properties.isWhitespace
                default: false
                }
            }
    }
}
