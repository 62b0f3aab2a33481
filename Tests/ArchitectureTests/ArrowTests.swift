// The arrows of docs/ARCHITECTURE.md hold: SwiftPM lets a target import what it never declared.
import Foundation
import Testing

private let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

/// A source file, by its path below the package.
struct Source {
    let path: String
    let lines: [Substring]

    static func all(below folder: String) throws -> [Source] {
        let base = root.appending(path: folder)
        let files = FileManager.default.enumerator(at: base, includingPropertiesForKeys: nil)
        return try (files?.allObjects as? [URL] ?? []).filter { $0.pathExtension == "swift" }.map { file in
            let text = try String(contentsOf: file, encoding: .utf8)
            return Source(
                path: String(file.path.dropFirst(root.path.count + 1)),
                lines: text.split(separator: "\n", omittingEmptySubsequences: false))
        }
    }

    var imports: Set<String> {
        Set(
            lines.compactMap { line in
                let words = line.split(separator: " ").filter { !$0.hasPrefix("@") }
                guard let index = words.firstIndex(of: "import"), index <= 1, index + 1 < words.count else {
                    return nil
                }
                return String(words[index + 1].prefix { $0 != "." })
            })
    }
}

struct ArrowTests {
    /// What each target may import of the package and of its dependencies.
    static let arrows: [String: Set<String>] = [
        "Crypto": ["CSodium", "Crypto", "CryptoExtras"],
        "XMPP": ["IMCrypto", "CExpat"],
        "OMEMO": ["IMCrypto", "XMPP"],
        "Store": ["IMCrypto", "XMPP", "OMEMO", "GRDB", "GRDBSQLite"],
        "LocalAPI": [],
        "imctl": ["LocalAPI", "ArgumentParser"],
        "imd": [
            "CLinux", "CQRencode", "IMCrypto", "XMPP", "OMEMO", "Store", "LocalAPI", "NIOCore", "NIOPosix",
            "NIOSSL", "NIOTLS", "NIOConcurrencyHelpers", "Crypto", "SwiftASN1", "Logging", "ServiceLifecycle",
            "UnixSignals",
            "ArgumentParser",
            "TOMLKit",
        ],
    ]
    static let system: Set<String> = [
        "Dispatch", "Foundation", "FoundationEssentials", "Glibc", "Musl", "Synchronization",
    ]

    @Test(arguments: arrows.keys.sorted())
    func `a target imports only what lies to its right`(_ target: String) throws {
        let sources = try Source.all(below: "Sources/\(target)")
        #expect(!sources.isEmpty)
        for source in sources {
            let others = source.imports.subtracting(Self.arrows[target] ?? []).subtracting(Self.system)
            #expect(others.isEmpty, "\(source.path)")
        }
    }

    @Test func `every Swift target has its arrows`() throws {
        let folders = try FileManager.default.contentsOfDirectory(
            atPath: root.appending(path: "Sources").path)
        #expect(Set(folders.filter { !$0.hasPrefix("C") || $0 == "Crypto" }) == Set(Self.arrows.keys))
    }

    @Test func `imctl and LocalAPI stay without the full Foundation`() throws {
        for target in ["imctl", "LocalAPI"] {
            for source in try Source.all(below: "Sources/\(target)") {
                #expect(!source.imports.contains("Foundation"), "\(source.path)")
            }
        }
    }

    @Test func `the network has one way in`() throws {
        for source in try Source.all(below: "Sources/imd") where source.imports.contains("NIOSSL") {
            #expect(source.path.hasPrefix("Sources/imd/Network/"), "\(source.path)")
        }
    }
}

struct HouseTests {
    @Test
    func `programs are started for a password, for a key, as hooks, as a bot and as imd, and nowhere else`()
        throws
    {
        try expect(
            ["posix_spawn", "Process()", "popen(", "system(", "execv", "fork("],
            only: [
                "imd/Account/Credentials.swift", "imd/Keys/SecretService.swift",
                "imd/Hooks/HookProcess.swift",
                "imctl/Bot/BotProcess.swift", "imctl/ConfigCommand.swift",
            ])
    }

    @Test func `files are made for database, key, lock and what the user names, and nowhere else`() throws {
        try expect(
            ["O_CREAT", "createFile(", "createDirectory(", ".write(to", "mkdir(", "fopen("],
            only: [
                "Store/DatabaseFile.swift", "imd/Keys/KeyFile.swift", "imd/InstanceLock.swift",
                "imd/Paths.swift", "imd/Backup/BackupFile.swift", "imd/Backup/Publication.swift",
                "imctl/FilePath.swift",
            ])
    }

    private func expect(_ ways: [String], only places: [String]) throws {
        for source in try Source.all(below: "Sources")
        where !places.contains(String(source.path.dropFirst("Sources/".count))) {
            for line in source.lines {
                #expect(!ways.contains { line.contains($0) }, "\(source.path): \(line)")
            }
        }
    }

    @Test func `every file says first what it owns, and stays small`() throws {
        for source in try Source.all(below: "Sources") + Source.all(below: "Tests") {
            #expect(source.lines.first?.hasPrefix("//") == true, "\(source.path)")
            #expect(source.lines.count <= 400, "\(source.path)")
        }
    }

    @Test func `nothing is forced on data from outside`() throws {
        for source in try Source.all(below: "Sources") {
            for line in source.lines where !line.drop(while: { $0 == " " }).hasPrefix("//") {
                #expect(!line.contains("try!") && !line.contains("as!"), "\(source.path): \(line)")
            }
        }
    }
}
