// What is kept of a stream for a restart: the resumption's row, and who is online.
import Foundation
import Testing
import XMPP

@testable import Store

@Suite struct ResumptionTests {
    private func record(handled: UInt32 = 7) throws -> ResumptionRecord {
        ResumptionRecord(
            id: "sm-'1", jid: try JID("romeo@example.net/desk"), location: "[2001:db8::1]:9222",
            maxSeconds: 600, handled: handled, acknowledged: 3, caughtUp: false)
    }

    @Test func `a resumption comes back as it was stored, after a restart too`() async throws {
        let test = try await TestStore()
        let record = try record(handled: .max)
        try await test.write { tx, account in
            try #expect(tx.resumption(account: account) == nil)
            try tx.setResumption(record, account: account)
            try #expect(tx.resumption(account: account) == record)
        }
        let account = test.account
        let again = try test.reopen()
        defer { try? again.close() }
        try await again.write { tx in
            try #expect(tx.resumption(account: account) == record)
            let plain = ResumptionRecord(id: "2", jid: record.jid)
            try tx.setResumption(plain, account: account)
            try #expect(tx.resumption(account: account) == plain)
            try tx.removeResumption(account: account)
            try #expect(tx.resumption(account: account) == nil)
        }
    }

    @Test func `its counts move on, and without one nothing is counted`() async throws {
        let test = try await TestStore()
        let record = try record()
        try await test.write { tx, account in
            try tx.setHandled(1, account: account)
            try tx.setCaughtUp(account: account)
            try tx.acknowledge(account: account, through: 1, now: 1)
            try #expect(tx.resumption(account: account) == nil)
            try tx.setResumption(record, account: account)
            try tx.setHandled(.max, account: account)
            try tx.setHandled(0, account: account)
            try tx.setCaughtUp(account: account)
            try tx.acknowledge(account: account, through: 9, now: 1)
            try tx.acknowledge(account: account, through: 5, now: 1)
            let now = try tx.resumption(account: account)
            #expect(now?.handled == 0 && now?.caughtUp == true && now?.acknowledged == 9)
            #expect(now?.id == record.id && now?.location == record.location)
        }
    }

    @Test(
        arguments: [
            "handled = handled + 1", "handled = -1", "streamID = 'x'", "jid = 'mallory@example.net/desk'",
            "jid = '@'",
            "acknowledged = 4", "caughtUp = 1", "location = NULL", "maxSeconds = 6000", "checksum = x''",
        ])
    func `a damaged resumption is none`(_ damage: String) async throws {
        let test = try await TestStore()
        let record = try record()
        try await test.write { tx, account in
            try tx.setResumption(record, account: account)
            try tx.run("UPDATE resumption SET \(damage)")
            try #expect(tx.resumption(account: account) == nil)
            // Nothing makes it whole again but a new stream.
            try tx.setHandled(8, account: account)
            try tx.setCaughtUp(account: account)
            try tx.acknowledge(account: account, through: 4, now: 1)
            try #expect(tx.resumption(account: account) == nil)
            try tx.setResumption(record, account: account)
            try #expect(tx.resumption(account: account) == record)
        }
    }

    @Test func `who is online is known per resource`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let nurse = try JID("nurse@example.com")
            let balcony = StoredPresence(
                jid: try JID(juliet), resource: "balcony", show: "away", status: "'; --", priority: -128)
            let chamber = StoredPresence(
                jid: try JID(juliet + "/x"), resource: "chamber", show: "online", status: nil, priority: 127)
            let bare = StoredPresence(jid: nurse, resource: "", show: "online", status: nil, priority: 0)
            for presence in [bare, chamber, balcony] { try tx.setPresence(presence, account: account) }
            try #expect(tx.presences(account: account) == [balcony, chamber, bare])
            var changed = chamber
            changed.status = "back soon"
            try tx.setPresence(changed, account: account)
            try #expect(tx.presences(account: account) == [balcony, changed, bare])
            try tx.removePresence(account: account, jid: balcony.jid, resource: "balcony")
            try #expect(tx.presences(account: account) == [changed, bare])
            try tx.removePresences(account: account, jid: nurse)
            try #expect(tx.presences(account: account) == [changed])
            try tx.removePresences(account: account)
            try #expect(tx.presences(account: account).isEmpty)
        }
    }

    @Test func `a presence that cannot be read hides no other`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            for resource in ["a", "b", "c"] {
                try tx.setPresence(
                    StoredPresence(
                        jid: JID(juliet), resource: resource, show: "online", status: nil, priority: 0),
                    account: account)
            }
            try tx.run("UPDATE presence SET jid = '@' WHERE resource = 'a'")
            try tx.run("UPDATE presence SET priority = 1000 WHERE resource = 'b'")
            try #expect(tx.presences(account: account).map(\.resource) == ["c"])
        }
    }

    @Test func `they go with the account`() async throws {
        let test = try await TestStore()
        let record = try record()
        try await test.write { tx, account in
            try tx.setResumption(record, account: account)
            try tx.setPresence(
                StoredPresence(jid: JID(juliet), resource: "a", show: "online", status: nil, priority: 0),
                account: account)
            try tx.removeAccount(account)
            for table in ["resumption", "presence"] {
                try #expect(tx.first("SELECT count(*) FROM \(table)") { $0.integer(0) } == 0)
            }
        }
    }
}
