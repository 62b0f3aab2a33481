// A key in the desktop's keyring, through libsecret's secret-tool(1).
import Foundation
import Glibc
import IMCrypto
import LocalAPI
import XMPP

/// One entry for each database; its text is the key in base64.
struct SecretService {
    private let attributes: [String]

    /// - Parameter database: the path that tells one entry from others.
    init(_ database: String) { attributes = ["service", "imd", "database", database] }

    func read() throws(UserError) -> SecretBytes {
        guard let text = try run(["lookup"] + attributes, input: nil) else { throw Self.failure }
        let encoded = String(decoding: text.bytes, as: UTF8.self).trimmingCharacters(
            in: .whitespacesAndNewlines)
        guard let key = Base64.decode(encoded), key.count == Seal.keyCount else {
            throw UserError(
                .configuration, "the Secret Service has no key for this database",
                hint: "unlock the keyring, or bring it back")
        }
        return SecretBytes(key)
    }

    /// The key that is there, or a new one.
    func make() throws(UserError) -> SecretBytes {
        if let key = try? read() { return key }
        let key = SecretBytes.newKey()
        let encoded = SecretBytes(Bytes(Base64.encode(key.bytes).utf8))
        guard try run(["store", "--label=imd"] + attributes, input: encoded) != nil else {
            throw Self.failure
        }
        return key
    }

    private static let failure = UserError(
        .configuration, "the Secret Service did not answer",
        hint: "is a keyring running and unlocked? try: secret-tool search service imd")

    /// How long a keyring may ask its user, in seconds.
    private static let timeLimit = 120

    /// - Parameter input: what the program reads; never an argument, which others could see.
    /// - Returns: what it printed; nil where it failed.
    private func run(_ arguments: [String], input: SecretBytes?) throws(UserError) -> SecretBytes? {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["secret-tool"] + arguments
        let (stdin, stdout) = (Pipe(), Pipe())
        process.standardInput = stdin
        process.standardOutput = stdout
        process.standardError = FileHandle.nullDevice
        do {
            try process.run()
        } catch {
            throw UserError(
                .configuration, "secret-tool cannot be run", hint: "install the package libsecret-tools")
        }
        let pid = process.processIdentifier
        let alarm = DispatchWorkItem { kill(pid, SIGKILL) }
        DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(Self.timeLimit), execute: alarm)
        defer { alarm.cancel() }
        if let input {
            input.withUnsafeBytes {
                _ = Glibc.write(stdin.fileHandleForWriting.fileDescriptor, $0.baseAddress, $0.count)
            }
        }
        try? stdin.fileHandleForWriting.close()
        let output = (try? stdout.fileHandleForReading.readToEnd()) ?? nil
        process.waitUntilExit()
        if process.terminationStatus == 127 {
            throw UserError(
                .configuration, "secret-tool cannot be run", hint: "install the package libsecret-tools")
        }
        guard process.terminationStatus == 0 else {
            return arguments.first == "lookup" ? SecretBytes(Bytes()) : nil
        }
        return SecretBytes(Bytes(output ?? Data()))
    }
}
