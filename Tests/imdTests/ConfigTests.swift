// The configuration file and the folders.
import Foundation
import LocalAPI
import Testing

@testable import imd

struct ConfigTests {
    @Test func `an empty file changes nothing`() throws {
        #expect(try Config(text: "", path: "config.toml") == Config())
    }

    @Test func `the log level is read`() throws {
        #expect(try Config(text: "log-level = \"debug\"", path: "config.toml").logLevel == .debug)
    }

    @Test func `what is kept and fetched is read`() throws {
        let config = try Config(
            text: "event-days = 1\nevent-limit = 1_000\nfirst-login-history = 0\n", path: "config.toml")
        #expect(config.eventDays == 1 && config.eventLimit == 1000 && config.firstLoginHistory == 0)
        #expect(
            Config().eventDays == 30 && Config().eventLimit == 1_000_000 && Config().firstLoginHistory == 50)
    }

    @Test(arguments: [
        "event-days = 0", "event-days = 36501", "event-days = \"30\"", "event-limit = 999",
        "event-limit = 1000000001", "event-limit = 1e6", "first-login-history = -1",
        "first-login-history = 10001", "first-login-history = true",
    ])
    func `a number out of its range is refused, with its line and the range`(_ line: String) {
        let error = #expect(throws: UserError.self) {
            try Config(text: "# a comment\n\n\(line)\n", path: "config.toml")
        }
        #expect(error?.code == .configuration)
        #expect(error?.message.hasPrefix("config.toml:3:1: \(line.prefix { $0 != " " }) takes") == true)
        #expect(error?.message.contains(" to ") == true)
    }

    @Test func `an unknown key names its line`() {
        let error = #expect(throws: UserError.self) {
            try Config(text: "log-level = \"info\"\nevent-dayz = 3", path: "config.toml")
        }
        #expect(error?.message.hasPrefix("config.toml:2:1: ") == true)
    }

    @Test(arguments: ["log-level = 3", "log-level = \"loud\"", "lgo-level = \"info\"", "log-level", "= ="])
    func `what is wrong is said with the file's name`(_ text: String) {
        let error = #expect(throws: UserError.self) { try Config(text: text, path: "config.toml") }
        #expect(error?.code == .configuration)
        #expect(error?.message.contains("config.toml") == true)
    }

    @Test func `a syntax error names its line`() {
        let error = #expect(throws: UserError.self) {
            try Config(text: "\n\nlog-level = ", path: "config.toml")
        }
        #expect(error?.message.contains("config.toml:3") == true)
    }
}

/// Threat row 44.
struct PathsTests {
    private let base = FileManager.default.temporaryDirectory.path + "/imd-paths-\(UUID().uuidString)"

    @Test func `a folder is made private`() throws {
        defer { try? FileManager.default.removeItem(atPath: base) }
        try Paths.makePrivate(base + "/imd")
        let mode = try FileManager.default.attributesOfItem(atPath: base + "/imd")[.posixPermissions] as? Int
        #expect(mode == 0o700)
        try Paths.makePrivate(base + "/imd")
    }

    @Test func `an open folder, a link and a file are refused`() throws {
        defer { try? FileManager.default.removeItem(atPath: base) }
        try FileManager.default.createDirectory(
            atPath: base + "/open", withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        try FileManager.default.createSymbolicLink(
            atPath: base + "/link", withDestinationPath: base + "/open")
        _ = FileManager.default.createFile(atPath: base + "/file", contents: nil)
        for name in ["open", "link", "file"] {
            #expect(throws: UserError.self, "\(name)") { try Paths.makePrivate(base + "/" + name) }
        }
    }

    @Test func `a relative variable counts as not set`() throws {
        let paths = try Paths(environment: [
            "HOME": "/home/a", "XDG_DATA_HOME": "data", "XDG_RUNTIME_DIR": "/run/a",
        ])
        #expect(paths.data == "/home/a/.local/share/imd")
        #expect(throws: UserError.self) {
            try Paths(environment: ["HOME": "/home/a", "XDG_RUNTIME_DIR": "run"])
        }
    }
}
