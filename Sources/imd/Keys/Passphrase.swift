// A passphrase, asked for on the terminal.
import Glibc
import IMCrypto
import LocalAPI

enum Passphrase {
    /// Bytes of the longest one.
    private static let limit = 1024

    /// Asks once, without showing what is typed.
    static func ask(_ prompt: String) throws(UserError) -> SecretBytes {
        let terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)
        guard terminal >= 0 else {
            throw UserError(
                .configuration, "there is no terminal to ask for the passphrase on",
                hint: "start imd from a terminal, or have the key come from elsewhere: imd --change-key")
        }
        defer { close(terminal) }
        var before = termios()
        tcgetattr(terminal, &before)
        var silent = before
        silent.c_lflag &= ~tcflag_t(ECHO)
        // An interruption must not leave the terminal mute.
        var signals = sigset_t()
        var old = sigset_t()
        sigemptyset(&signals)
        for signal in [SIGINT, SIGTERM, SIGQUIT, SIGTSTP] { sigaddset(&signals, signal) }
        pthread_sigmask(SIG_BLOCK, &signals, &old)
        tcsetattr(terminal, TCSAFLUSH, &silent)
        defer {
            tcsetattr(terminal, TCSAFLUSH, &before)
            pthread_sigmask(SIG_SETMASK, &old, nil)
        }
        write(terminal, prompt)
        let line = readLine(terminal)
        write(terminal, "\n")
        guard let line, line.count > 0 else {
            throw UserError(.configuration, "no passphrase was given", hint: nil)
        }
        return line
    }

    /// Asks for a new one.
    static func askTwice() throws(UserError) -> SecretBytes {
        let first = try ask("New passphrase for imd: ")
        guard try first == ask("The same again: ") else {
            throw UserError(.configuration, "the two passphrases differ", hint: "try again")
        }
        return first
    }

    /// - Parameter parameters: as they are stored; nil where they are missing.
    static func key(
        _ passphrase: SecretBytes, _ parameters: PassphraseKey.Parameters?
    ) throws(UserError) -> SecretBytes {
        guard let parameters else {
            throw UserError(.storage, "the database does not say how its passphrase becomes a key", hint: nil)
        }
        do {
            return try PassphraseKey.derive(passphrase, parameters)
        } catch {
            throw UserError(
                .storage, "the passphrase cannot be turned into a key",
                hint: "it takes \(parameters.memory >> 20) MiB of memory")
        }
    }

    private static func readLine(_ terminal: Int32) -> SecretBytes? {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: limit, alignment: 1)
        defer {
            if let start = buffer.baseAddress { explicit_bzero(start, buffer.count) }
            buffer.deallocate()
        }
        var count = 0
        while count < limit {
            let received = read(terminal, buffer.baseAddress?.advanced(by: count), 1)
            guard received == 1 else { return nil }
            if buffer[count] == UInt8(ascii: "\n") {
                return SecretBytes(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            }
            count += 1
        }
        return nil
    }

    private static func write(_ terminal: Int32, _ text: String) {
        _ = Glibc.write(terminal, text, text.utf8.count)
    }
}
