// Databases of earlier imds: opened, brought up to date, nothing lost.
import Foundation
import IMCrypto
import OMEMO
import Testing
import XMPP

@testable import Store

@Suite struct MigrationTests {
    /// What a schema 0001 held of an account in use.
    private static func rows(_ account: NewAccount, preKey: PreKey) -> String {
        func blob(_ bytes: Bytes) -> String { "x'" + bytes.map { String(format: "%02x", $0) }.joined() + "'" }
        func blob(_ secret: SecretBytes) -> String { secret.withUnsafeBytes { blob(Bytes($0)) } }
        var identity = Checksum(of: "account")
        identity.add(Int64(1))
        identity.add(Int64(account.device))
        identity.add(account.identity.seed)
        var key = Checksum(of: "preKey")
        key.add(Int64(1))
        key.add(Int64(preKey.id))
        key.add(preKey.keyPair.privateKey)
        return """
            INSERT INTO account (id, jid, tls, allowPlain, enabled, device, identitySeed, nextPreKeyID, checksum,
                archivePosition, createdAt)
              VALUES (1, '\(account.jid.bare)', 'starttls', 0, 1, \(account.device), \(blob(account.identity.seed)),
                42, \(blob(identity.value)), 'a1', 5);
            INSERT INTO preKey VALUES (1, \(preKey.id), \(blob(preKey.keyPair.privateKey)), \(blob(key.value)));
            INSERT INTO chat VALUES (1, '\(juliet)', 7);
            INSERT INTO message VALUES
              (1, 1, 'i1', '\(juliet)', '\(juliet)/balcony', 'in', 'hello', 'eu.siacs.conversations.axolotl', 7, 'ab',
                'blind', 0, 'received', NULL, 0, NULL, 's1', 10, 11),
              (2, 1, 'o1', '\(juliet)', 'romeo@example.net', 'out', 'sent once', NULL, NULL, NULL, NULL, 0, 'server',
                NULL, 0, 'job-1', NULL, 12, 12),
              (3, 1, 'o2', '\(juliet)', 'romeo@example.net', 'out', 'to be sent', NULL, NULL, NULL, NULL, 0, 'queued',
                NULL, 0, NULL, NULL, 13, 13),
              (4, 1, 'i2', 'nurse@example.com', 'nurse@example.com/x', 'in', 'long ago', NULL, NULL, NULL, NULL, 1,
                'received', NULL, 0, NULL, 's2', 9, 9);
            INSERT INTO outbox VALUES (8, 1, 3, x'3c6d2f3e', 13), (9, 1, NULL, x'3c722f3e', 14);
            INSERT INTO event VALUES (1, 1, 'message', '\(juliet)', 1, NULL, 11), (2, 1, 'state', '\(juliet)', 2, '{}', 12);
            INSERT INTO consumer VALUES ('bot', 1, '{}', 3);
            INSERT INTO rosterItem VALUES (1, '\(juliet)', 'Juliet', 'both', NULL, 0, '["Friends"]');
            """
    }

    /// - Returns: the path of a database with schema 0001 in a folder of its own.
    private func database(_ account: NewAccount, _ preKey: PreKey) throws -> String {
        let folder = temporaryFolder()
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        let path = folder + "/imd.db"
        try Migrations.makeDatabase(at: path, schema: 1, rows: Self.rows(account, preKey: preKey))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        return path
    }

    @Test func `a database of schema 0001 keeps everything and goes on`() async throws {
        var random = SystemRandomNumberGenerator()
        let (new, preKey) = (
            try newAccount("romeo@example.net"), PreKey(id: 41, keyPair: .generate(using: &random))
        )
        let path = try database(new, preKey)
        defer { try? FileManager.default.removeItem(atPath: (path as NSString).deletingLastPathComponent) }
        let store = try Store.open(at: path)
        defer { try? store.close() }
        let seed = new.identity.seed
        try await store.write { tx in
            let account = try #require(try tx.account(id: 1))
            #expect(account.identity.seed == seed && account.nextPreKeyID == 42)
            #expect(account.archivePosition == "a1" && account.archivePositionAt == nil)
            try #expect(tx.chats(account: 1).map(\.unread) == [0, 0], "what is old counts as read")
            try #expect(tx.allPreKeys(account: 1).map(\.id) == [41] && tx.preKeyCount(account: 1) == 1)
            let messages = try tx.messages(account: 1, chat: JID(juliet), limit: 9)
            #expect(messages.map(\.body) == ["hello", "sent once", "to be sent"])
            #expect(messages.allSatisfy { !$0.isDamaged && !$0.markable })
            #expect(messages.first?.encryption?.device == 7 && messages.first?.stanzaID == "s1")
            try #expect(tx.isEncrypted(account: 1, chat: JID(juliet)))
            try #expect(tx.roster(account: 1).map(\.name) == ["Juliet"])
            try #expect(tx.events(after: 0, limit: 9).map { $0.message?.id } == [1, 2])
            try #expect(tx.consumer("bot")?.acknowledged == 1 && tx.droppedThrough() == 0)
            try #expect(tx.resumption(account: 1) == nil && tx.presences(account: 1).isEmpty)
        }
        try await #expect(store.check() == [])
        try await store.write { tx in
            let batch = try tx.takeOutbox(account: 1, after: 0, limit: 9, now: 20)
            #expect(batch.entries.map(\.id) == [8, 9] && batch.moved == [3] && batch.damaged == 0)
            try #expect(tx.acknowledge(account: 1, through: 2, now: 21) == [3])
            try #expect(tx.enqueue(account: 1, stanza: [1], message: nil, now: 22) == 10)
            try #expect(tx.insertIncoming(incoming(1, stanzaID: "s1")) == nil)
            try #expect(tx.insertOutgoing(outgoing(1, id: "x", clientID: "job-1")).messageID == "o1")
            try #expect(tx.prune(before: 99, limit: 100) == (1, false))
        }
        try await #expect(store.check() == [])
    }

    @Test func `an old database that is opened and closed opens again`() throws {
        var random = SystemRandomNumberGenerator()
        let path = try database(
            newAccount("romeo@example.net"), PreKey(id: 1, keyPair: .generate(using: &random)))
        defer { try? FileManager.default.removeItem(atPath: (path as NSString).deletingLastPathComponent) }
        for _ in 1...2 { try Store.open(at: path).close() }
    }
}
