// Backups as files, and the places a key comes from.
import Foundation
import IMCrypto
import LocalAPI
import OMEMO
import Store
import Testing
import XMPP

@testable import imd

struct BackupTests {
    private let folder = FileManager.default.temporaryDirectory.path + "/imd-backup-\(UUID().uuidString)"
    private let passphrase = SecretBytes("open sesame".utf8)

    init() throws {
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
    }

    private func written(_ lines: [String], _ name: String = "a") throws -> String {
        let path = folder + "/" + name
        var writer = try BackupWriter(path: path, passphrase: passphrase)
        for line in lines { try writer.append(line: line.utf8) }
        try writer.finish()
        return path
    }

    private func read(_ path: String) throws -> [String] {
        var reader = try BackupReader(path: path, passphrase: passphrase)
        var lines: [String] = []
        while let line = try reader.line() { lines.append(String(decoding: line, as: UTF8.self)) }
        return lines
    }

    @Test func `lines of any length come back, and only with the passphrase`() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let lines = ["one", "", String(repeating: "long ", count: 60_000), "last"]
        let path = try written(lines)
        #expect(try read(path) == lines)
        let error = #expect(throws: UserError.self) {
            try BackupReader(path: path, passphrase: SecretBytes("close sesame".utf8))
        }
        #expect(error?.code == .badPassphrase)
        #expect(throws: UserError.self, "never over another file") { try written(["two"]) }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a"], "no draft is left")
    }

    @Test(arguments: Publication.allCases)
    func `a complete file gets its name without hard links too, and no file is ever replaced`(
        _ way: Publication
    ) throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = folder + "/a"
        var writer = try BackupWriter(path: path, passphrase: passphrase)
        try writer.append(line: "one".utf8)
        #expect(!FileManager.default.fileExists(atPath: path), "not before it is complete")
        try writer.finish(by: [way])
        #expect(try read(path) == ["one"])
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a"])

        for other in ["", "somebody else's"] {
            let path = folder + "/b\(other.count)"
            var late = try BackupWriter(path: path, passphrase: passphrase)
            try Data(other.utf8).write(to: URL(fileURLWithPath: path))
            let error = #expect(throws: UserError.self) { try late.finish(by: [way]) }
            #expect(error?.code == .conflict)
            #expect(try String(contentsOfFile: path, encoding: .utf8) == other)
        }
    }

    @Test func `a way that the file system does not know is followed by the next`() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let (draft, path) = (folder + "/a.part", folder + "/a")
        try Data("one".utf8).write(to: URL(fileURLWithPath: draft))
        #expect(!Publication.publish(draft, as: folder + "/none/a", by: Publication.allCases))
        #expect(errno == ENOENT)
        #expect(Publication.publish(draft, as: path, by: Publication.allCases))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a"])
    }

    @Test func `a file that is cut or changed anywhere gives an error, not other lines`() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let lines = (0..<20).map { "line \($0)" }
        let path = try written(lines)
        let data = try Data(contentsOf: URL(fileURLWithPath: path))
        let body = BackupFile.magic.count + 32
        for place in [0, body + 3, body + 24 + 1, body + 40, data.count / 2 + 60, data.count - 1] {
            var changed = data
            changed[place] ^= 1
            try changed.write(to: URL(fileURLWithPath: folder + "/changed"))
            #expect(throws: UserError.self, "\(place)") { try read(folder + "/changed") }
        }
        for count in [0, 13, body, body + 24, data.count - 1] {
            try data.prefix(count).write(to: URL(fileURLWithPath: folder + "/cut"))
            #expect(throws: UserError.self, "\(count)") { try read(folder + "/cut") }
        }
    }

    @Test func `a key file is made once, for its user alone, and never anew`() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let file = KeyFile(path: folder + "/key")
        #expect(!file.exists)
        let key = try file.make()
        #expect(file.exists && key.count == 32)
        #expect(try file.read() == key)
        #expect(throws: UserError.self) { try file.make() }
        #expect(try file.read() == key)
        #expect(chmod(file.path, 0o640) == 0)
        #expect(throws: UserError.self) { try file.read() }
        unlink(file.path)
        #expect(throws: UserError.self) { try file.read() }
        #expect(!file.exists)
    }

    @Test func `a credential is 32 bytes in one of three forms`() throws {
        let key = Bytes(0..<32)
        let hex = key.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        for form in [key, Bytes((hex + "\n").utf8), Bytes((Base64.encode(key) + "\n").utf8)] {
            #expect(Credential.key(form)?.bytes == key)
        }
        for form in [Bytes(), Bytes(0..<31), Bytes("open sesame".utf8), Bytes(hex.dropLast(2).utf8)] {
            #expect(Credential.key(form) == nil)
        }
        #expect(throws: UserError.self) { try Credential(nil).read() }
    }

    @Test func `the configuration says which policy holds and where the key is`() throws {
        let text = """
            device-label = "bot"
            [storage]
            key = "passphrase"
            [trust]
            policy = "tofu"
            [trust.contacts]
            "ops@example.org" = "always"
            [account."bot@example.org".trust]
            policy = "verified-only"
            [account."bot@example.org".trust.contacts]
            "ops@example.org" = "btbv"
            """
        let config = try Config(text: text, path: "config.toml")
        let (bot, ops) = (try JID("bot@example.org"), try JID("ops@example.org"))
        #expect(config.deviceLabel == "bot" && config.keyOrigin == .passphrase)
        #expect(config.trust.policy == .tofu)
        #expect(config.trust.policy(account: bot, contact: nil) == .verifiedOnly)
        #expect(config.trust.policy(account: bot, contact: ops) == .btbv)
        #expect(config.trust.policy(account: ops, contact: ops) == .always)
        #expect(config.trust.policy(account: ops, contact: bot) == nil)
    }

    @Test(arguments: [
        ("[trust]\npolicy = \"blind\"", 2), ("[storage]\nkeys = \"file\"", 2),
        ("[storage]\nkey = \"tpm\"", 2),
        ("[trust.contacts]\n\"ops\" = \"btbv\"", 2), ("[account.\"a@b\"]\ntrsut = 1", 2),
        ("trust = 1", 1), ("\ndevice-label = \"\\u001b\"", 2),
    ])
    func `what is wrong in the configuration is named with its line`(_ text: String, _ line: Int) {
        let error = #expect(throws: UserError.self) { try Config(text: text, path: "config.toml") }
        #expect(error?.message.hasPrefix("config.toml:\(line):1: ") == true, "\(error?.message ?? "")")
    }
}
