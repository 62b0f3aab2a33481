// Standard output and error: buffered, escaped on a terminal, honest about failing.

import ArgumentParser
import Glibc
import LocalAPI

/// Standard output was closed by its reader: the command ends without a word.
struct OutputClosed: Error {
    let status = ErrorCode.inputOutput.exitCode
}

/// What the command prints. Answers go to standard output, everything else to standard error.
enum Output {
    /// One thread; nothing else touches it.
    nonisolated(unsafe) private static var buffer: [UInt8] = []

    static let descriptor = STDOUT_FILENO

    static let isTerminal = isatty(descriptor) == 1

    /// Text from others, on one line.
    static func safe(_ text: String) -> String {
        isTerminal ? TerminalText.escape(text, keepsLines: false) : text
    }

    /// The body of a message: further lines begin with a tab, so that no text can pass for another message.
    static func body(_ text: String) -> String {
        let shown = isTerminal ? TerminalText.escape(text, keepsLines: true) : text
        guard shown.utf8.contains(0x0a) else { return shown }
        var indented: [UInt8] = []
        for byte in shown.utf8 {
            indented.append(byte)
            if byte == 0x0a { indented.append(0x09) }
        }
        return String(decoding: indented, as: UTF8.self)
    }

    /// The beginning of a message on one line, for lists.
    static func preview(_ text: String) -> String {
        let limit = 60
        let lines = text.unicodeScalars.split { $0 == "\n" || $0 == "\r" }
        let first = lines.first { $0.contains { !$0.properties.isWhitespace } }.map { String($0) } ?? ""
        let shown = first.count > limit ? String(first.prefix(limit)) : first
        return safe(shown) + (shown.utf8.count < text.utf8.count ? "…" : "")
    }

    static func line(_ text: String) {
        buffer += text.utf8
        buffer.append(0x0a)
    }

    static func json(_ value: JSONValue) {
        buffer += value.serialized(escapesControls: isTerminal)
        buffer.append(0x0a)
    }

    static func json<M: Method>(_: M.Type, _ result: M.Result) throws(UserError) {
        json(try M.encode(result))
    }

    /// - Throws: `OutputClosed` when nobody reads, `UserError` when it cannot be written.
    static func flush() throws {
        var written = 0
        defer { buffer.removeAll(keepingCapacity: true) }
        while written < buffer.count {
            let count = buffer.withUnsafeBytes { bytes in
                write(descriptor, bytes.baseAddress.map { $0 + written }, bytes.count - written)
            }
            if count >= 0 {
                written += count
            } else if errno == EPIPE {
                throw OutputClosed()
            } else if errno == EAGAIN {
                var place = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&place, 1, -1)
            } else if errno != EINTR {
                throw UserError(
                    .inputOutput, "cannot write to standard output: \(String(cString: strerror(errno)))")
            }
        }
    }

    /// - Throws: `OutputClosed` when nobody reads standard output any more.
    static func checkReader() throws {
        var place = pollfd(fd: descriptor, events: 0, revents: 0)
        if poll(&place, 1, 0) == 1, place.revents & Int16(POLLERR | POLLHUP) != 0 { throw OutputClosed() }
    }

    /// `imctl: kind: text` on standard error; always escaped, as errors may quote others.
    static func diagnose(_ kind: String, _ text: String) {
        let style: Style = kind == "error" ? .bad : kind == "warning" ? .warning : .strong
        explain("imctl: \(style.onError(kind + ":")) \(TerminalText.escape(text, keepsLines: false))")
    }

    /// Takes away the line that the cursor of the terminal is on.
    static func clearLine() {
        let bytes = Array("\r\u{1b}[K".utf8)
        _ = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }

    /// A line on standard error that may hold text from others.
    static func notice(_ text: String) { explain(TerminalText.escape(text, keepsLines: false)) }

    /// Our own text on standard error.
    static func explain(_ text: String) {
        var bytes = Array("\(text)\n".utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }

    /// Groups of eight, as Conversations and others show it.
    static func fingerprint(_ hex: String) -> String {
        var text = ""
        for (index, character) in hex.enumerated() {
            if index > 0, index % 8 == 0 { text += " " }
            text.append(character)
        }
        return text
    }
}

/// `--yes`, for commands that ask first.
struct ConsentOption: ParsableArguments {
    @Flag(help: "Do not ask.")
    var yes = false

    /// - Throws: `.usage` unless the user agrees, here or on the command line.
    func confirm(_ question: String) throws(UserError) {
        if !yes { try Terminal.confirm(question) }
    }
}

/// `--timeout` is a number of whole seconds.
func checkTimeout(_ seconds: Int?) throws {
    if let seconds, !(0...86_400).contains(seconds) {
        throw UserError(.usage, "--timeout must be from 0 to 86400 seconds")
    }
}

/// The options that many commands have. Each command declares them itself: the parser looks longer at groups of options
/// than at options.
extension ArgumentHelp {
    static let account: ArgumentHelp = "The account to use, needed when there are several."
    static let json: ArgumentHelp = "Print JSON, one object per line."
}
