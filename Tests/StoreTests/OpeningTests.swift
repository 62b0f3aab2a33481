// What opening makes sure of: permissions, durability, schema; and what it refuses without touching it.
import Foundation
import IMCrypto
import Synchronization
import Testing

@testable import Store

@Suite struct OpeningTests {
    @Test func `file and companions are 0600 in a folder 0700`() async throws {
        let test = try await TestStore()
        try #expect(mode(test.folder) == 0o700)
        for path in [test.path, test.path + "-wal", test.path + "-shm"] { try #expect(mode(path) == 0o600) }
    }

    @Test func `a folder that others can enter is refused`() throws {
        let folder = temporaryFolder()
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o755])
        defer { try? FileManager.default.removeItem(atPath: folder) }
        #expect(throws: StoreError.permissions("\(folder) is open to other users; chmod 700 it")) {
            try Store.open(at: folder + "/imd.db")
        }
        #expect(!FileManager.default.fileExists(atPath: folder + "/imd.db"))
    }

    @Test(arguments: ["", "-wal", "-shm"])
    func `a file that others can read is refused`(_ suffix: String) throws {
        let path = try closedDatabase()
        defer { try? FileManager.default.removeItem(atPath: (path as NSString).deletingLastPathComponent) }
        if !suffix.isEmpty { try Data().write(to: URL(fileURLWithPath: path + suffix)) }
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path + suffix)
        #expect(throws: StoreError.permissions("\(path)\(suffix) is open to other users; chmod 600 it")) {
            try Store.open(at: path)
        }
    }

    @Test func `a symbolic link in place of the file is refused`() throws {
        let path = try closedDatabase()
        let folder = (path as NSString).deletingLastPathComponent
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.createSymbolicLink(atPath: folder + "/link.db", withDestinationPath: path)
        #expect(throws: StoreError.permissions("\(folder)/link.db is a symbolic link")) {
            try Store.open(at: folder + "/link.db")
        }
    }

    @Test func `commits are synced before they count`() async throws {
        let test = try await TestStore()
        try #expect(
            test.store.settings() == Store.Settings(synchronous: 2, journalMode: "wal", foreignKeys: true)
        )
    }

    @Test func `a database from a newer imd is refused and not changed`() throws {
        let path = try closedDatabase()
        defer { try? FileManager.default.removeItem(atPath: (path as NSString).deletingLastPathComponent) }
        let supported = Migrations.all.count
        try execute("PRAGMA user_version = \(supported + 1)", path)
        let before = try contents(path)
        #expect(throws: StoreError.newer(found: supported + 1, supported: supported)) {
            try Store.open(at: path)
        }
        try #expect(contents(path) == before)
    }

    @Test func `a migration nobody knows means a newer imd`() throws {
        let path = try closedDatabase()
        defer { try? FileManager.default.removeItem(atPath: (path as NSString).deletingLastPathComponent) }
        let supported = Migrations.all.count
        try execute("INSERT INTO grdb_migrations VALUES ('9999 from the future')", path)
        #expect(throws: StoreError.newer(found: supported, supported: supported)) { try Store.open(at: path) }
    }

    @Test(arguments: ["not a database at all", "short", String(repeating: "x", count: 10_000)])
    func `a file that is no database is refused and kept as it is`(_ text: String) throws {
        let folder = temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = folder + "/imd.db"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        #expect(throws: StoreError.corrupt("\(path) is not an SQLite database")) { try Store.open(at: path) }
        try #expect(contents(path) == Data(text.utf8))
        try #expect(FileManager.default.contentsOfDirectory(atPath: folder) == ["imd.db"])
    }

    @Test func `another program's database is refused and kept as it is`() throws {
        let path = try closedDatabase()
        defer { try? FileManager.default.removeItem(atPath: (path as NSString).deletingLastPathComponent) }
        try execute("PRAGMA application_id = 1", path)
        let before = try contents(path)
        #expect(throws: StoreError.corrupt("\(path) is a database of another program")) {
            try Store.open(at: path)
        }
        try #expect(contents(path) == before)
    }

    @Test func `a damaged page is found at the start and the file kept as it is`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            for number in 0..<500 {
                try tx.appendEvent(
                    type: "presence", account: account, chat: nil, message: nil, detail: "{\"n\":\(number)}",
                    at: 1)
            }
        }
        try test.store.close()
        var data = try contents(test.path)
        data.replaceSubrange(
            (data.count - 4096)..<(data.count - 4000), with: Data(repeating: 0x5a, count: 96))
        try data.write(to: URL(fileURLWithPath: test.path), options: [])
        #expect {
            try Store.open(at: test.path)
        } throws: { error in
            if case .corrupt? = error as? StoreError { true } else { false }
        }
        try #expect(contents(test.path) == data)
    }

    @Test func `what was written is there after the process dies`() async throws {
        let test = try await TestStore()
        for number in 0..<20 {
            try await test.write { tx, account in
                try tx.appendEvent(
                    type: "presence", account: account, chat: nil, message: nil, detail: nil,
                    at: Int64(number))
                try tx.createConsumer("c\(number)", at: 0, now: 1)
            }
        }
        // The files as a kill would leave them: nothing was checkpointed, nothing closed.
        let folder = temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        for suffix in ["", "-wal"] {
            try FileManager.default.copyItem(atPath: test.path + suffix, toPath: folder + "/imd.db" + suffix)
        }
        let after = try Store.open(at: folder + "/imd.db")
        defer { try? after.close() }
        try await #expect(after.read { try $0.events(after: 0, limit: 99).map(\.at) } == (0..<20).map { $0 })
        try await #expect(after.read { try $0.consumers().count } == 20)
    }

    @Test func `a closed database is one file`() async throws {
        let test = try await TestStore()
        _ = try await test.read { tx, _ in try tx.lastEventNumber() }
        try test.store.close()
        try test.store.close()
        for suffix in ["-wal", "-shm"] where FileManager.default.fileExists(atPath: test.path + suffix) {
            try #expect(suffix == "-shm" || contents(test.path + suffix).isEmpty)
        }
        try #expect(contents(test.path).count > 4096)
    }

    @Test func `a closed store says so`() async throws {
        let test = try await TestStore()
        try test.store.close()
        await #expect(throws: StoreError.closed) { try await test.store.write { _ in } }
        await #expect(throws: StoreError.closed) { try await test.store.read { _ in } }
    }

    @Test func `somebody's open read does not keep the store from closing`() async throws {
        let test = try await TestStore()
        let other = try Store.open(at: test.path)
        try close(test.store, besideReadOf: other)
        try other.close()
        await #expect(throws: StoreError.closed) { try await test.store.write { _ in } }
    }

    private func close(_ store: Store, besideReadOf other: Store) throws {
        try other.pool.unsafeRead { database in
            try database.execute(sql: "BEGIN; SELECT * FROM account")
            try store.pool.writeWithoutTransaction {
                try $0.execute(sql: "PRAGMA busy_timeout = 0; DELETE FROM account")
            }
            try store.close()
            try database.execute(sql: "COMMIT")
        }
    }

    private final class Flag: Sendable {
        let value = Atomic(false)
    }

    @Test func `no read runs beside or after the closing`() async throws {
        for _ in 0..<20 {
            let test = try await TestStore()
            let closed = Flag()
            await withTaskGroup(of: Void.self) { tasks in
                for _ in 0..<8 {
                    tasks.addTask {
                        while true {
                            await Task.yield()
                            do {
                                try await test.read { tx, _ in
                                    _ = try tx.accounts()
                                    let isClosed = closed.value.load(ordering: .sequentiallyConsistent)
                                    #expect(!isClosed)
                                }
                            } catch {
                                #expect(error as? StoreError == .closed)
                                return
                            }
                        }
                    }
                }
                tasks.addTask {
                    #expect(throws: Never.self) { try test.store.close() }
                    closed.value.store(true, ordering: .sequentiallyConsistent)
                }
            }
        }
    }

    @Test func `reads cannot write`() async throws {
        let test = try await TestStore()
        await #expect(throws: StoreError.readOnly) {
            try await test.read { tx, account in try tx.removeAccount(account) }
        }
    }

    /// The path of a fresh database that nobody has open.
    private func closedDatabase() throws -> String {
        let path = temporaryFolder() + "/imd.db"
        try Store.open(at: path).close()
        return path
    }

    /// Changes a database behind the store's back, keeping its mode.
    private func execute(_ sql: String, _ path: String) throws {
        let store = try Store.open(at: path)
        try store.pool.writeWithoutTransaction { try $0.execute(sql: sql) }
        try store.close()
    }
}
