// Accounts, their roster and their chats.
import Foundation
import IMCrypto
import OMEMO
import Testing
import XMPP

@testable import Store

@Suite struct AccountTests {
    @Test func `an account comes back as it was added`() async throws {
        let test = try await TestStore()
        let settings = AccountSettings(
            password: SecretBytes(Array("p'w\0".utf8)), host: "xmpp.example.org", port: 5223, tls: .direct,
            caFile: "/ca.pem", allowPlain: true, resource: "desk", enabled: false)
        let new = try newAccount("romeo@example.org/ignored", settings)
        let account = try await test.store.write { tx in
            let id = try tx.addAccount(new)
            try tx.setPinnedMechanism("SCRAM-SHA-256-PLUS", account: id)
            try tx.setArchivePosition("a1", at: 77, account: id)
            return try tx.account(id: id)
        }
        #expect(account?.jid.description == "romeo@example.org")
        #expect(account?.password == settings.password && account?.tls == .direct && account?.port == 5223)
        #expect(
            account?.host == "xmpp.example.org" && account?.caFile == "/ca.pem" && account?.allowPlain == true
        )
        #expect(account?.resource == "desk" && account?.enabled == false && account?.passwordCommand == nil)
        #expect(account?.pinnedMechanism == "SCRAM-SHA-256-PLUS" && account?.archivePosition == "a1")
        #expect(account?.archivePositionAt == 77)
        #expect(account?.device == 27_183 && account?.identity.seed == new.identity.seed)
        #expect(account?.nextPreKeyID == 1)
    }

    @Test func `a JID has one account`() async throws {
        let test = try await TestStore()
        await #expect(throws: StoreError.constraint("UNIQUE constraint failed: account.jid")) {
            try await test.store.write { try $0.addAccount(newAccount("romeo@example.net")) }
        }
    }

    @Test func `settings change, the device does not`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            var record = try #require(try tx.account(id: account))
            record.passwordCommand = "pass romeo"
            record.enabled = false
            try tx.updateAccount(record)
            let changed = try tx.account(jid: record.jid)
            #expect(changed?.passwordCommand == "pass romeo" && changed?.enabled == false)
            #expect(changed?.identity.seed == record.identity.seed)
            try tx.setEnabled(true, account: account)
            try #expect(tx.account(id: account)?.enabled == true)
        }
    }

    @Test func `a removed account takes everything with it and its row is not used again`() async throws {
        let test = try await TestStore()
        let record = try sessionRecord()
        try await test.write { tx, account in
            let address = DeviceAddress(jid: try JID(juliet), device: 1)
            try tx.save(record, account: account, address, .legacy)
            _ = try tx.setDeviceList(account: account, jid: address.jid, list([1]), now: 1)
            let message = try tx.insertOutgoing(outgoing(account))
            try tx.enqueue(account: account, stanza: [1], message: message.id, now: 1)
            try tx.markEncrypted(account: account, chat: address.jid, now: 1)
            try tx.applyRosterItem(RosterItem(address.jid), version: nil, account: account)
            try #expect(tx.removeAccount(account))
            for table in [
                "session", "device", "deviceList", "message", "outbox", "chat", "rosterItem", "event",
            ] {
                try #expect(tx.first("SELECT count(*) FROM \(table)") { $0.integer(0) } == 0, "\(table)")
            }
            try #expect(tx.addAccount(newAccount("romeo@example.net")) > account)
        }
    }

    @Test func `a new device starts without keys and sessions`() async throws {
        let test = try await TestStore()
        var random = SystemRandomNumberGenerator()
        let device = OwnDevice.generate(avoiding: [], at: 1, using: &random)
        let record = try sessionRecord()
        try await test.write { tx, account in
            let address = DeviceAddress(jid: try JID(juliet), device: 1)
            try tx.save(record, account: account, address, .legacy)
            try tx.addPreKeys(device.preKeys, account: account)
            try tx.add(device.signedPreKey, account: account)
            try tx.replaceDevice(account: account, device: device.id, identity: device.identity)
            try #expect(tx.preKeyCount(account: account) == 0)
            try #expect(tx.signedPreKeys(account: account).isEmpty)
            try #expect(tx.session(account: account, address, .legacy) == nil)
            let own = try tx.account(id: account)
            #expect(own?.device == device.id && own?.nextPreKeyID == 1)
            #expect(own?.identity.publicKey == device.identity.publicKey)
        }
    }

    // MARK: Roster

    @Test func `the roster is replaced as a whole and changed one by one`() async throws {
        let test = try await TestStore()
        let items = [
            RosterItem(
                try JID(juliet), name: "Juliet", subscription: .both, isApproved: true,
                groups: ["Friends", "a \"b\" \\ c"]),
            RosterItem(try JID("nurse@example.com"), subscription: .none, isPending: true),
        ]
        try await test.write { tx, account in
            try tx.applyRosterItem(RosterItem(JID("old@example.com")), version: "v0", account: account)
            try tx.replaceRoster(account: account, items: items, version: "v1")
            try #expect(tx.roster(account: account) == items)
            try #expect(tx.account(id: account)?.rosterVersion == "v1")
            var changed = items[0]
            changed.subscription = .remove
            try tx.applyRosterItem(changed, version: "v2", account: account)
            changed = items[1]
            changed.name = "Nurse"
            try tx.applyRosterItem(changed, version: "v3", account: account)
            try #expect(tx.roster(account: account) == [changed])
            try #expect(tx.rosterItem(account: account, jid: JID(juliet)) == nil)
            try #expect(tx.account(id: account)?.rosterVersion == "v3")
        }
    }

    // MARK: Chats

    @Test func `an encrypted chat stays encrypted until a person says otherwise`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let chat = try JID(juliet)
            try #expect(!tx.isEncrypted(account: account, chat: chat))
            try tx.markEncrypted(account: account, chat: chat, now: 1)
            try tx.markEncrypted(account: account, chat: chat, now: 2)
            try #expect(tx.isEncrypted(account: account, chat: chat))
            try tx.clearEncrypted(account: account, chat: chat)
            try #expect(!tx.isEncrypted(account: account, chat: chat))
        }
    }

    @Test func `whether something was sent is known without reading what came in`() async throws {
        let test = try await TestStore()
        let plan = try await test.read { tx, _ in
            try tx.rows("EXPLAIN QUERY PLAN \(Transaction.selectSent)", Int64(1), juliet) { $0.text(3) }
        }
        #expect(plan.count == 1 && plan[0].contains("INDEX messageSent (account=? AND chat=?)"), "\(plan)")
    }

    @Test func `only a message of ours counts as sent`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let chat = try JID(juliet)
            _ = try tx.insertIncoming(incoming(account))
            try #expect(!tx.hasSent(account: account, chat: chat))
            try tx.insertOutgoing(outgoing(account))
            try #expect(tx.hasSent(account: account, chat: chat))
        }
    }
}
