// What `Store.check` finds, and that it finds nothing where nothing is.
import Foundation
import IMCrypto
import OMEMO
import Testing
import XMPP

@testable import Store

@Suite struct CheckTests {
    /// A row of everything that has a checksum.
    private func filled() async throws -> TestStore {
        let test = try await TestStore()
        var random = SystemRandomNumberGenerator()
        let device = OwnDevice.generate(avoiding: [], at: 1, using: &random)
        let record = try sessionRecord()
        try await test.write { tx, account in
            let address = DeviceAddress(jid: try JID(juliet), device: 7)
            try tx.addPreKeys(Array(device.preKeys.prefix(3)), account: account)
            try tx.replacePreKey(
                1, with: device.preKeys[4].keyPair, account: account, keepingUsed: true, now: 1)
            try tx.add(device.signedPreKey, account: account)
            try tx.setIdentity(account: account, address, identity().publicKey, trust: .blind, now: 1)
            try tx.save(record, account: account, address, .legacy)
            try tx.setResumption(
                ResumptionRecord(id: "sm", jid: JID("romeo@example.net/desk"), handled: 7), account: account)
            for number in 1...3 {
                let message = try tx.insertOutgoing(outgoing(account, id: "o\(number)", body: "secret"))
                try tx.enqueue(account: account, stanza: [1], message: message.id, now: 1)
                try tx.appendEvent(
                    type: "message", account: account, chat: message.chat, message: message.id, detail: nil,
                    at: 1)
            }
            _ = try tx.insertIncoming(incoming(account, body: "secret"))
            try tx.setAwaitsKeys(true, message: tx.insertOutgoing(outgoing(account, id: "w")).id)
        }
        return test
    }

    private func execute(_ sql: String, _ test: TestStore) throws {
        try test.store.pool.writeWithoutTransaction { try $0.execute(sql: sql) }
    }

    @Test func `nothing is wrong with a database in use`() async throws {
        let test = try await filled()
        try await #expect(test.store.check() == [])
        let empty = try await TestStore()
        try await #expect(empty.store.check() == [])
    }

    static let damage = [
        ("UPDATE account SET identitySeed = zeroblob(32)", "seal of account 1"),
        ("UPDATE preKey SET privateKey = zeroblob(32) WHERE id = 1", "seal of preKey 1/1"),
        ("UPDATE preKey SET id = 77 WHERE id = 2", "seal of preKey 1/77"),
        ("UPDATE signedPreKey SET signature = zeroblob(64), id = 5", "seal of signedPreKey 1/5"),
        ("UPDATE device SET trust = 'verified'", "checksum of device 1/juliet@example.com/7"),
        ("UPDATE device SET jid = '@'", "checksum of device 1/@/7"),
        ("UPDATE session SET record = zeroblob(9)", "seal of session 1/juliet@example.com/7"),
        ("UPDATE session SET version = 'x'", "seal of session 1/juliet@example.com/7"),
        ("UPDATE outbox SET stanza = x'02' WHERE id = 2", "checksum of outbox 1/2"),
        ("UPDATE message SET body = 'x' WHERE id = 3", "checksum of message 3"),
        ("UPDATE message SET state = 'x' WHERE id = 4", "checksum of message 4"),
        ("UPDATE resumption SET handled = 8", "checksum of resumption 1"),
        ("UPDATE event SET chat = '@' WHERE number = 2", "unreadable chat of event 2"),
        ("DELETE FROM outbox WHERE id = 3", "message 3 waits to be sent and has no stanza"),
    ]

    @Test(arguments: damage)
    func `damage is found and told by its place`(_ damage: String, _ told: String) async throws {
        let test = try await filled()
        try await test.write { tx, _ in _ = try tx.run(damage) }
        try await #expect(test.store.check() == [told])
    }

    @Test func `a row that refers to nothing is found`() async throws {
        let test = try await filled()
        try execute(
            "PRAGMA foreign_keys = OFF; DELETE FROM message WHERE id = 2; PRAGMA foreign_keys = ON", test)
        try await #expect(test.store.check() == ["outbox 2 refers to a missing message"])
    }

    @Test func `an index that lacks a row is found`() async throws {
        let test = try await filled()
        // The index now says of itself what it does not hold.
        try execute(
            """
            PRAGMA writable_schema = ON;
            UPDATE sqlite_master SET sql = 'CREATE INDEX messageFailed ON message (account)'
              WHERE name = 'messageFailed';
            PRAGMA writable_schema = OFF;
            """, test)
        let problems = try await test.store.check()
        #expect(
            problems.count == 6 && problems.allSatisfy { $0.contains("index messageFailed") }, "\(problems)")
    }

    @Test func `a damaged page is found, and what is whole is still looked at`() async throws {
        let test = try await filled()
        try await test.write { tx, account in
            for number in 0..<500 {
                try tx.appendEvent(
                    type: "presence", account: account, chat: nil, message: nil, detail: "{\"n\":\(number)}",
                    at: 1)
            }
            try tx.run("UPDATE message SET body = 'x' WHERE id = 3")
        }
        let page = try await test.read { tx, _ in
            try tx.first("SELECT max(pageno) FROM dbstat WHERE name = 'event'") { $0.integer(0) }
        }
        try execute("PRAGMA wal_checkpoint(TRUNCATE)", test)
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: test.path))
        try file.seek(toOffset: UInt64((try #require(page) - 1) * 4096))
        try file.write(contentsOf: Data(repeating: 0x5a, count: 96))
        // Not closed before the store: closing would drop the process's locks on the file.
        let problems = try await test.store.check()
        let structure = ["integrity_check", "event"].map { "\($0): database disk image is malformed" }
        #expect(structure.allSatisfy { problems.contains($0) }, "\(problems)")
        #expect(problems.contains("checksum of message 3"), "\(problems)")
        try test.store.close()
        try file.close()
    }

    @Test func `a hundred problems are enough, and no text is told`() async throws {
        let test = try await filled()
        try await test.write { tx, account in
            for number in 0..<2500 {
                _ = try tx.insertIncoming(incoming(account, id: "i\(number)", body: "secret"))
            }
            try tx.run("UPDATE message SET body = body || '!'")
        }
        let problems = try await test.store.check()
        #expect(problems.count == 100 && problems.last == "and more than are listed here")
        #expect(problems.first == "checksum of message 1" && !problems.contains { $0.contains("secret") })
    }

    @Test func `damage behind the first thousand rows is found`() async throws {
        let test = try await filled()
        try await test.write { tx, account in
            for number in 0..<2500 { _ = try tx.insertIncoming(incoming(account, id: "i\(number)")) }
            try tx.run("UPDATE message SET body = 'x' WHERE id IN (1000, 2001)")
        }
        try await #expect(test.store.check() == ["checksum of message 1000", "checksum of message 2001"])
    }

    @Test func `writes go on beside a check`() async throws {
        let test = try await filled()
        async let problems = test.store.check()
        for number in 0..<50 {
            try await test.write { tx, account in
                _ = try tx.insertIncoming(incoming(account, id: "x\(number)"))
            }
        }
        try await #expect(problems == [])
    }

    @Test func `closing ends a check`() async throws {
        for _ in 0..<20 {
            let test = try await filled()
            let check = Task { try await test.store.check() }
            await Task.yield()
            try test.store.close()
            do {
                try await #expect(check.value == [])
            } catch {
                #expect(error as? StoreError == .closed)
            }
            await #expect(throws: StoreError.closed) { try await test.store.check() }
        }
    }
}
