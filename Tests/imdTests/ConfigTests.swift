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

struct DispatcherTests {
    @Test func `every declared method has a handler`() async throws {
        let party = try await Party("alice@example.org")
        var dispatcher = Dispatcher(log: .init(label: "test"))
        let accounts = Accounts(
            store: party.store, group: .singletonMultiThreadedEventLoopGroup, log: .init(label: "test"))
        Handlers(accounts: accounts, store: party.store, feed: EventFeed(), startedAt: 0).register(
            in: &dispatcher)
        #expect(dispatcher.methods == Set(allMethods.map { $0.name }))
    }
}
