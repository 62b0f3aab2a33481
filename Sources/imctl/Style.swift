// Colours, on a terminal only; whatever they say is said in words as well.

import Glibc

/// How a piece of text stands out.
enum Style: String {
    case strong = "1"
    case faint = "2"
    case good = "32"
    case warning = "33"
    case bad = "31"

    private static let isOnOutput = isOn(STDOUT_FILENO)
    private static let isOnError = isOn(STDERR_FILENO)

    /// https://no-color.org: any text in NO_COLOR turns colours off.
    private static func isOn(_ descriptor: Int32) -> Bool {
        guard isatty(descriptor) == 1 else { return false }
        if let value = getenv("NO_COLOR"), value.pointee != 0 { return false }
        guard let kind = getenv("TERM"), kind.pointee != 0 else { return false }
        return strcmp(kind, "dumb") != 0
    }

    /// The text for standard output. It must be harmless already.
    func callAsFunction(_ text: String) -> String { Self.isOnOutput ? wrap(text) : text }

    /// The text for standard error.
    func onError(_ text: String) -> String { Self.isOnError ? wrap(text) : text }

    private func wrap(_ text: String) -> String {
        text.isEmpty ? text : "\u{1b}[\(rawValue)m\(text)\u{1b}[0m"
    }
}
