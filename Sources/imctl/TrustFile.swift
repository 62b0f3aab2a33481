// Decisions about keys as lines of text, for version control.

import LocalAPI

/// `JID FINGERPRINT LEVEL` and `policy JID|* POLICY`, one a line; a word that begins with `#`, and is no JID, begins
/// a comment.
struct TrustFile: Equatable {
    var entries: [TrustEntry] = []
    var policies: [PolicyEntry] = []

    init(entries: [TrustEntry], policies: [PolicyEntry]) {
        self.entries = entries
        self.policies = policies
    }

    /// - Throws: `.badText` naming the line, or for a file without any: who imports one wants keys to be pinned.
    init(_ text: String, path: String) throws(UserError) {
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for (index, line) in lines.enumerated() {
            // Behind a gateway to IRC a JID may begin with `#`.
            let words = line.split(whereSeparator: \.isWhitespace)
                .prefix { !$0.hasPrefix("#") || $0.contains("@") }.map(String.init)
            if words.isEmpty { continue }
            let fail = { (what: String) in
                UserError(
                    .badText, "\(path):\(index + 1): \(what)",
                    hint: "write: JID FINGERPRINT LEVEL, or: policy JID POLICY; see imctl(1)")
            }
            guard words.count == 3 else { throw fail("three words are needed") }
            if words[0] == "policy" {
                guard let policy = Policy(rawValue: words[2]) else {
                    throw fail("there is no policy '\(words[2])'")
                }
                policies.append(PolicyEntry(jid: words[1] == "*" ? nil : words[1], policy: policy))
                continue
            }
            guard let trust = Trust(rawValue: words[2]) else { throw fail("there is no level '\(words[2])'") }
            let fingerprint = words[1].filter { $0 != ":" }.lowercased()
            guard fingerprint.utf8.count == 64, fingerprint.allSatisfy(\.isHexDigit) else {
                throw fail("'\(words[1])' is no fingerprint")
            }
            entries.append(TrustEntry(jid: words[0], fingerprint: fingerprint, trust: trust))
        }
        guard !entries.isEmpty || !policies.isEmpty else {
            throw UserError(
                .badText, "\(path == "-" ? "standard input" : path) holds no decision and no policy",
                hint: "nothing would be pinned by it; was it written right? comments alone do not count")
        }
    }

    /// The same decisions give the same text.
    var text: String {
        var lines = ["# imd: JID FINGERPRINT LEVEL, and: policy JID|* POLICY"]
        for policy in policies.sorted(by: { ($0.jid ?? "") < ($1.jid ?? "") }) {
            lines.append("policy \(policy.jid ?? "*") \(policy.policy.rawValue)")
        }
        for entry in entries.sorted(by: { ($0.jid, $0.fingerprint) < ($1.jid, $1.fingerprint) }) {
            let comment = entry.label.map { "  # \(TerminalText.escape($0, keepsLines: false))" } ?? ""
            lines.append("\(entry.jid) \(entry.fingerprint) \(entry.trust.rawValue)\(comment)")
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
