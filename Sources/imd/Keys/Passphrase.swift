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
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: limit, alignment: 1)
        defer {
            if let start = buffer.baseAddress { explicit_bzero(start, buffer.count) }
            buffer.deallocate()
        }
        guard let count = SilentTerminal.line(prompt, from: terminal, into: buffer), count > 0 else {
            throw UserError(.configuration, "no passphrase was given", hint: nil)
        }
        return SecretBytes(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
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
}
