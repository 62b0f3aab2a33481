// What imctl says about accounts that come out of a file, and those that go.

import Foundation
import LocalAPI
import Testing

private let command = "PASSWORD_STORE_DIR=/tmp/store pass show canary"

private let imported = AccountImport.Result(
    account: AccountStatus(
        jid: "a@b", state: .connecting, since: Timestamp(milliseconds: 0), device: 5, fingerprint: "ab"),
    messages: 1, contacts: 2, decisions: 3)

private func content(_ command: String?) -> AccountInspect.Result {
    .init(account: "a@b", exportedAt: Timestamp(milliseconds: 0), passwordCommand: command)
}

struct AccountCommandTests {
    @Test func `a command in a file is not run unless somebody agrees, and an error names its program alone`()
        throws
    {
        let daemon = try FakeDaemon()
        let imctl = try importing([], daemon)
        let params = try daemon.accept().answer(AccountInspect.self, content(command))
        #expect(params == .init(path: "/a.imd", passphrase: "open sesame"))
        #expect(imctl.status() == 64)
        #expect(imctl.diagnosed.contains("'pass'"))
        #expect(imctl.diagnosed.contains("--accept-password-command"))
        #expect(!imctl.diagnosed.contains("canary") && !imctl.diagnosed.contains("store"))
    }

    @Test func `a command that was agreed to is given as it was seen`() throws {
        let daemon = try FakeDaemon()
        let imctl = try importing(["--accept-password-command"], daemon)
        try daemon.accept().answer(AccountInspect.self, content(command))
        let params = try daemon.accept().answer(AccountImport.self, imported)
        #expect(params == .init(path: "/a.imd", passphrase: "open sesame", passwordCommand: command))
        #expect(imctl.status() == 0)
    }

    @Test func `another command takes its place unseen, and without one nobody is asked`() throws {
        let daemon = try FakeDaemon()
        let other = try importing(["--password-command", "cat secret"], daemon)
        var params = try daemon.accept().answer(AccountImport.self, imported)
        #expect(params.passwordCommand == "cat secret")
        #expect(other.status() == 0)
        let plain = try importing([], daemon)
        try daemon.accept().answer(AccountInspect.self, content(nil))
        params = try daemon.accept().answer(AccountImport.self, imported)
        #expect(params.passwordCommand == nil)
        #expect(plain.status() == 0)
    }

    @Test(arguments: [[], ["--json"]])
    func `what a server did not take back is told`(_ options: [String]) throws {
        let daemon = try FakeDaemon()
        for listed in [[], [DeviceVersion.omemo2]] {
            let imctl = try Imctl(["account", "remove", "--yes", "a@b"] + options, daemon)
            let result = AccountRemove.Result(device: 5, listed: listed, keys: [.omemo2])
            try daemon.accept().answer(AccountRemove.self, result)
            #expect(imctl.status() == 0, "the account is gone")
            #expect(imctl.diagnosed.contains("imctl device remove 5") == !listed.isEmpty)
            let printed = Array(imctl.printed.utf8.dropLast())
            guard !options.isEmpty else { continue }
            #expect(try AccountRemove.Result(json: JSONValue(strict: printed)) == result)
        }
    }

    private func importing(_ options: [String], _ daemon: FakeDaemon) throws -> Imctl {
        try Imctl(
            ["account", "import", "/a.imd", "--passphrase-fd", "0"] + options, daemon, input: "open sesame\n")
    }
}
