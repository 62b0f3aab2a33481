// The keyboard and standard input: passwords without echo, text within its limit.

import Glibc
import LocalAPI

/// Reads what the user types or pipes in.
enum Terminal {
    /// A closed standard descriptor would be given to the socket, and output would go to imd. What takes its place
    /// is open the wrong way round, so that using it still fails.
    static func occupyStandardDescriptors() {
        let wrongWays = [(STDIN_FILENO, O_WRONLY), (STDOUT_FILENO, O_RDONLY), (STDERR_FILENO, O_RDONLY)]
        for (descriptor, mode) in wrongWays
        where fcntl(descriptor, F_GETFD) == -1 {
            _ = open("/dev/null", mode)
        }
    }

    /// SIGINT ends the command with 130 and no message.
    static func quietInterrupts() { signal(SIGINT) { _ in _exit(130) } }

    /// Asks for the password on the terminal.
    static func password(for jid: String) throws(UserError) -> String {
        try secret("Password for \(TerminalText.escape(jid, keepsLines: false)): ")
    }

    /// A new passphrase, asked for twice.
    static func newPassphrase() throws(UserError) -> String {
        let first = try secret("New passphrase: ")
        guard try first == secret("The same again: ") else {
            throw UserError(.usage, "the two passphrases differ", hint: "try again")
        }
        return first
    }

    /// A line that is typed and seen.
    static func line(_ prompt: String) -> String? {
        say(prompt, STDERR_FILENO)
        return readLine(strippingNewline: true)
    }

    /// Somebody types and sees the questions.
    static var isInteractive: Bool { isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1 }

    /// - Parameter refusal: what to throw where nobody can be asked, or nobody would see the question.
    /// - Throws: `.usage` unless the user agrees.
    static func confirm(
        _ question: String,
        otherwise refusal: UserError = UserError(
            .usage, "this cannot be undone, and there is no terminal to ask on", hint: "add --yes")
    ) throws(UserError) {
        guard isInteractive else { throw refusal }
        let answer = line("\(TerminalText.escape(question, keepsLines: false)) [y/N] ")
        guard let answer, ["y", "yes"].contains(answer.lowercased()) else {
            throw UserError(.usage, "nothing was done")
        }
    }

    /// What the process holds from now on is in no core dump, and in no backtrace of Swift's, which prints memory.
    private static func forbidCoreDump() {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
        limit.rlim_cur = 0
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
        guard getenv("SWIFT_BACKTRACE") == nil else { return }
        for crash in [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP] { signal(crash, SIG_DFL) }
    }

    /// Asks on the terminal, echo off.
    ///
    /// - Throws: `.usage` where there is no terminal.
    static func secret(_ prompt: String) throws(UserError) -> String {
        forbidCoreDump()
        let terminal = open("/dev/tty", O_RDWR | O_CLOEXEC)
        guard terminal >= 0 else {
            throw UserError(
                .usage, "no terminal to ask for the password on",
                hint: "use --password-stdin or --password-command")
        }
        defer { close(terminal) }
        var typed = [UInt8](repeating: 0, count: 4096)
        let count = typed.withUnsafeMutableBytes { SilentTerminal.line(prompt, from: terminal, into: $0) }
        guard let count else { throw UserError(.usage, "nothing was typed that ends with a line end") }
        return try checked(password: Array(typed[..<count]))
    }

    /// The password as all of standard input, one line end at its end removed.
    static func passwordFromInput() throws(UserError) -> String {
        forbidCoreDump()
        var bytes = try input(limit: 4096, what: "password")
        if bytes.last == 0x0a { bytes.removeLast() }
        if bytes.last == 0x0d { bytes.removeLast() }
        return try checked(password: bytes)
    }

    private static func checked(password: [UInt8]) throws(UserError) -> String {
        guard !password.isEmpty else { throw UserError(.usage, "the password is empty") }
        guard let text = String(validating: password, as: UTF8.self), !password.contains(0x0a) else {
            throw UserError(.badText, "the password is not one line of UTF-8")
        }
        return text
    }

    /// The first line that can be read from a descriptor the caller opened.
    static func line(from descriptor: Int32) throws(UserError) -> String {
        forbidCoreDump()
        var (typed, byte): ([UInt8], UInt8) = ([], 0)
        while true {
            let count = read(descriptor, &byte, 1)
            if count < 0, errno == EINTR { continue }
            if count < 0 {
                throw UserError(
                    .usage, "descriptor \(descriptor) cannot be read", hint: "open it for reading")
            }
            if count == 0 || byte == 0x0a { break }
            guard typed.count < 4096 else {
                throw UserError(.tooLarge, "the passphrase is longer than 4096 bytes")
            }
            typed.append(byte)
        }
        return try checked(password: typed)
    }

    /// A message text from standard input, exactly one line feed at its end removed.
    static func text() throws(UserError) -> String {
        var bytes = try input(limit: maxBodyLength + 1, what: "message")
        if bytes.last == 0x0a { bytes.removeLast() }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw UserError(.badText, "standard input is not UTF-8")
        }
        return text
    }

    /// All of standard input.
    ///
    /// - Throws: `.tooLarge` over `limit` bytes.
    static func input(limit: Int, what: String) throws(UserError) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = read(STDIN_FILENO, &chunk, chunk.count)
            if count == 0 { return bytes }
            if count < 0 {
                if errno == EINTR { continue }
                throw UserError(
                    .inputOutput, "cannot read standard input: \(String(cString: strerror(errno)))")
            }
            bytes += chunk[0..<count]
            guard bytes.count <= limit else {
                throw UserError(.tooLarge, "the \(what) on standard input is longer than \(limit) bytes")
            }
        }
    }

    private static func say(_ text: String, _ descriptor: Int32) {
        let bytes = Array(text.utf8)
        _ = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    }
}
