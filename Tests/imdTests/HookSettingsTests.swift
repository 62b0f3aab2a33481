// What a script's header and the configuration say of a hook, and what a hook gets to know.
import LocalAPI
import Testing
import XMPP

@testable import imd

struct HookSettingsTests {
    private func header(_ text: String) throws(HookSettingsError) -> HookSettings {
        try HookOverrides(header: Array(text.utf8)).applied(to: HookSettings())
    }

    @Test func `without a header a hook gets incoming messages, one after the other`() throws {
        let settings = try header("#!/bin/sh\necho\n")
        #expect(settings == HookSettings())
        #expect(settings.types == [.message] && !settings.outgoing)
        #expect(settings.parallel == 1 && settings.timeout == 30)
    }

    @Test func `a header is a comment near the beginning of a script`() throws {
        let settings = try header(
            """
            #!/usr/bin/python3
            # imd-hook: types=message,presence parallel=2 timeout=10 attempts=3 retry=7
            #   imd-hook: outgoing=true account=a@example.org chat=b@example.org
            """)
        #expect(settings.types == [.message, .presence] && settings.parallel == 2)
        #expect(settings.timeout == 10 && settings.attempts == 3 && settings.retry == 7)
        #expect(settings.outgoing && settings.account?.description == "a@example.org")
        #expect(settings.chat?.description == "b@example.org")
    }

    @Test func `other files have none`() throws {
        try #expect(header("\u{7f}ELF\n# imd-hook: timeout=1\n") == HookSettings())
        try #expect(header("#!/bin/sh\necho imd-hook: timeout=1\n") == HookSettings())
        let far = "#!/bin/sh\n" + String(repeating: "#\n", count: 2100) + "# imd-hook: timeout=1\n"
        try #expect(header(far) == HookSettings())
    }

    @Test(arguments: [
        "types=", "types=mesage", "parallel=0", "parallel=9", "timeout=0", "timeout=3601", "timeout=1.5",
        "attempts=101", "retry=0", "colour=red", "outgoing=yes", "chat=a@b/c", "message",
    ])
    func `what makes no sense is an error`(_ word: String) {
        #expect(throws: HookSettingsError.self) { try header("#!/bin/sh\n# imd-hook: \(word)\n") }
    }

    @Test func `the configuration goes before the header, key by key`() throws {
        let config = try Config(
            text: """
                [hook.mail]
                types = ["presence", "error"]
                timeout = 5
                [hook."a.sh"]
                enabled = false
                types = "message,state"
                """, path: "config.toml")
        let header = try header("#!/bin/sh\n# imd-hook: parallel=2 timeout=9\n")
        let mail = try #require(config.hooks["mail"]).applied(to: header)
        #expect(mail.types == [.presence, .error] && mail.timeout == 5 && mail.parallel == 2)
        let other = try #require(config.hooks["a.sh"]).applied(to: HookSettings())
        #expect(!other.enabled && other.types == [.message, .state])
    }

    @Test(arguments: [
        "timeout = 0", "types = [1]", "types = []", "speed = 1", "enabled = 1.5", "parallel = true",
    ])
    func `an error in the configuration names its line`(_ line: String) {
        let error = #expect(throws: UserError.self) {
            try Config(text: "[hook.mail]\n\(line)\n", path: "config.toml")
        }
        #expect(error?.code == .configuration)
        #expect(error?.message.hasPrefix("config.toml:2:1: ") == true)
    }

    @Test func `the wait doubles up to an hour`() {
        let settings = HookSettings(retry: 5)
        #expect([1, 2, 3, 4].map { settings.wait(after: $0) } == [5000, 10_000, 20_000, 40_000])
        #expect(settings.wait(after: 60) == 3_600_000)
    }
}

/// Threat row 37.
struct HookEnvironmentTests {
    @Test func `little of the daemon's environment is passed on`() {
        let base = HookEnvironment.base([
            "PATH": "/bin", "HOME": "/home/a", "XDG_RUNTIME_DIR": "/run/a", "SECRET": "x",
            "CREDENTIALS_DIRECTORY": "/run/c", "LD_PRELOAD": "x.so", "NOTIFY_SOCKET": "/run/n",
        ])
        #expect(base == ["HOME=/home/a", "PATH=/bin", "XDG_RUNTIME_DIR=/run/a"])
    }

    @Test func `only ids that are well formed are told`() {
        let event: JSONValue = [
            "number": .integer(7), "type": "message", "account": "me@example.org", "chat": "bob@example.org",
            "body": "$(touch x)",
        ]
        #expect(
            HookEnvironment.ids(of: event) == [
                "IMD_EVENT_NUMBER=7", "IMD_EVENT_TYPE=message", "IMD_ACCOUNT=me@example.org",
                "IMD_CHAT=bob@example.org",
            ])
    }

    @Test(arguments: [
        "$(id)@example.org", "`id`@example.org", "a;b@example.org", "a b@example.org", "a\nb@example.org",
        "-n@example.org", "a@example.org/x", "", "a|b@example.org", "a*@example.org",
    ])
    func `an id that could mean something to a shell is left out`(_ jid: String) {
        #expect(HookEnvironment.ids(of: ["chat": .string(jid), "type": "x;y", "number": "1"]).isEmpty)
    }
}

struct HookResultTests {
    @Test func `a failure says how it ended, and the end of what it said on one line`() {
        let said = Array("one\n\ttwo\n".utf8)
        #expect(HookResult(ending: .exited(0), errors: said).failure == nil)
        #expect(HookResult(ending: .exited(3), errors: said).failure == "exit status 3: one two")
        #expect(HookResult(ending: .killed(9)).failure == "ended by signal 9")
        #expect(HookResult(ending: .timedOut).failure == "not done within its time limit")
        let long = HookResult(ending: .exited(1), errors: [UInt8](repeating: 0x61, count: 9000))
        #expect((long.failure?.utf8.count ?? 0) < 400)
    }
}
