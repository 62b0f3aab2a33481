// The schema as it ships.
import Foundation
import IMCrypto
import Testing

@testable import Store

@Suite struct SchemaTests {
    /// Golden/schema.sql is what a reader of the database finds; a change of it is a migration.
    @Test func `a new database has the documented schema`() async throws {
        let test = try await TestStore()
        let schema = try await test.read { tx, _ in
            try tx.rows(
                """
                SELECT sql FROM sqlite_master
                WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'grdb%' ORDER BY rowid
                """
            ) { $0.text(0) + ";\n" }.joined(separator: "\n")
        }
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Golden/schema.sql")
        try #expect(String(contentsOf: file, encoding: .utf8) == schema)
    }

    /// Once released, a line is never changed, only added.
    @Test func `shipped migrations are frozen`() {
        let digests = Migrations.all.map { migration in
            let digest = Hash.sha256(Array(migration.sql.utf8)).prefix(8)
            return migration.name + " " + digest.map { String(format: "%02x", $0) }.joined()
        }
        #expect(
            digests == [
                "0001 accounts, keys, messages, events 704707b3ccfaf854",
                "0002 resumption, archive, retention 95702038e91ae4b1",
                "0003 versions, trust, sealing 9f9cf971a12680bb",
                "0004 what waits for later c1f913fe33a8cb97",
                "0005 dead letters 64d52a9af6c9f3f1",
                "0006 what was read c9c78df5f6dba9cb",
                "0007 reactions a7967b513f11bca5",
            ])
    }

    @Test func `opening again changes nothing`() async throws {
        let test = try await TestStore()
        let again = try test.reopen()
        defer { try? again.close() }
        try await #expect(again.read { try $0.accounts().map(\.jid.description) } == ["romeo@example.net"])
    }
}
