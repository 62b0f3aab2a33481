// Flipped bytes in rows: found, told, and nobody else's loss (fault row F7).
import IMCrypto
import OMEMO
import Testing
import XMPP

@testable import Store

@Suite struct DamageTests {
    private let address: DeviceAddress

    init() throws { address = DeviceAddress(jid: try JID(juliet), device: 31_415) }

    // MARK: Messages

    static let messageDamage = [
        "body = 'jello'", "body = CAST(x'FF6C6C6F' AS TEXT)", "body = ''", "messageID = 'm2'",
        "chat = 'juliet@example.net'",
        "chat = '@'", "sender = '@'", "sender = 'x@example.com'", "direction = 'out'", "direction = 'ix'",
        "protocol = 'x'",
        "protocol = NULL", "device = 5", "device = -1", "fingerprint = 'x'", "trust = 'verified'",
        "trust = 'x'",
        "plaintext = 1", "clientID = 'x'", "sentAt = 0", "storedAt = 0", "markable = 1", "checksum = x''",
        "state = 'recejved'",
    ]

    @Test(arguments: messageDamage)
    func `a damaged message is marked and hides no other`(_ damage: String) async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            for id in ["a", "m1", "c"] {
                var message = try incoming(account, id: id)
                message.encryption = MessageEncryption(
                    version: .legacy, device: 7, fingerprint: "ab", trust: .blind)
                let stored = try #require(try tx.insertIncoming(message))
                #expect(!stored.isDamaged)
                try tx.appendEvent(
                    type: "message", account: account, chat: stored.chat, message: stored.id, detail: nil,
                    at: 1)
            }
            try tx.run("UPDATE message SET \(damage) WHERE id = 2")
            let events = try tx.events(after: 0, limit: 9)
            #expect(events.map { $0.message?.isDamaged } == [false, true, false])
            try #expect(tx.message(row: 2)?.isDamaged == true)
            let chat = try tx.messages(account: account, chat: JID(juliet), limit: 9)
            #expect(chat.filter { !$0.isDamaged }.map(\.messageID) == ["a", "c"])
        }
    }

    @Test func `what may change in a message is not damage`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let chat = try JID(juliet)
            let ours = try tx.insertOutgoing(outgoing(account, id: "o", clientID: "k"))
            try tx.setAwaitsKeys(true, message: ours.id)
            try tx.attachStanzaID("s1", account: account, chat: chat, messageID: "o")
            try tx.setState(ours.id, .failed, reason: "x", now: 1)
            try tx.requeue(ours.id, now: 2)
            try tx.setState(ours.id, .displayed, now: 3)
            let theirs = try tx.insertIncoming(incoming(account, id: "i"))
            _ = try tx.insertIncoming(incoming(account, id: "i", stanzaID: "s2", mayBeCopy: true))
            let stored = try tx.messages(account: account, chat: chat, limit: 9)
            #expect(stored.map(\.isDamaged) == [false, false] && stored.map(\.stanzaID) == ["s1", "s2"])
            #expect(stored.last?.id == theirs?.id)
        }
    }

    @Test func `a missing text is not an empty one`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let message = try tx.insertOutgoing(outgoing(account, clientID: ""))
            try #expect(tx.message(row: message.id)?.isDamaged == false)
            try tx.run("UPDATE message SET clientID = NULL")
            try #expect(tx.message(row: message.id)?.isDamaged == true)
        }
    }

    @Test func `an event whose chat cannot be read does not hold up the log`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            for _ in 1...3 {
                try tx.appendEvent(
                    type: "presence", account: account, chat: JID(juliet), message: nil, detail: nil, at: 1)
            }
            try tx.run("UPDATE event SET chat = '@' WHERE number = 2")
            let events = try tx.events(after: 0, limit: 9)
            #expect(events.map { $0.chat?.description } == [juliet, nil, juliet])
        }
    }

    // MARK: Devices

    static let deviceDamage = [
        "trust = 'distrusted'", "trust = 'verifjed'", "identityKey = zeroblob(32)", "identityKey = NULL",
        "curve25519 = zeroblob(32)", "checksum = x''",
    ]

    @Test(arguments: deviceDamage)
    func `a damaged device has no key and nobody's trust, the others keep theirs`(_ damage: String)
        async throws
    {
        let test = try await TestStore()
        let sibling = DeviceAddress(jid: address.jid, device: 1)
        try await test.write { [address] tx, account in
            for address in [sibling, address] {
                try tx.setIdentity(account: account, address, identity().publicKey, trust: .verified, now: 1)
            }
            _ = try tx.setDeviceList(account: account, jid: address.jid, list([1, address.device]), now: 2)
            try tx.touchReceived(account: account, address, at: 9)
            try tx.run("UPDATE device SET \(damage) WHERE device = 31415")
            let device = try tx.device(account: account, address)
            #expect(device?.isDamaged == true && device?.trust == .undecided && device?.identityKey == nil)
            #expect(device?.isActive == true && device?.firstSeenAt == 1 && device?.lastReceivedAt == 9)
            let devices = try tx.devices(account: account, jid: address.jid)
            #expect(
                devices.map(\.isDamaged) == [false, true] && devices.map(\.trust) == [.verified, .undecided])
            try #expect(tx.devices(account: account).map(\.isDamaged) == [false, true])
        }
    }

    @Test func `a damaged device becomes whole with its key, but never trusted by itself`() async throws {
        let test = try await TestStore()
        let key = identity().publicKey
        try await test.write { [address] tx, account in
            try tx.setIdentity(account: account, address, key, trust: .distrusted, now: 1)
            try tx.run("UPDATE device SET trust = 'blind'")
            try #expect(
                !tx.setTrust(.verified, account: account, address, source: .person, now: 1),
                "there is no key to compare")
            let next = DeviceAddress(jid: address.jid, device: 2)
            try tx.setIdentity(account: account, next, identity().publicKey, policy: .btbv, now: 2)
            try #expect(tx.device(account: account, next)?.trust == .undecided)
            try #expect(tx.setIdentity(account: account, address, key, policy: .btbv, now: 3) == .new)
            let device = try tx.device(account: account, address)
            #expect(device?.isDamaged == false && device?.identityKey == key && device?.trust == .undecided)
            try #expect(tx.setTrust(.verified, account: account, address, source: .person, now: 1))
            try tx.run("UPDATE device SET trust = 'blind' WHERE device = 31415")
            try #expect(tx.setTrust(.distrusted, account: account, address, source: .person, now: 1))
            try #expect(tx.device(account: account, address)?.trust == .distrusted)
        }
    }

    @Test func `new devices do not push out a damaged one`() async throws {
        let test = try await TestStore()
        try await test.write { [address] tx, account in
            try tx.setIdentity(account: account, address, identity().publicKey, trust: .verified, now: 1)
            try tx.run("UPDATE device SET trust = 'blind'")
            let ids = (1...100).map { UInt32($0) }
            try #expect(
                tx.setDeviceList(account: account, jid: address.jid, list(ids), now: 2).added.count == 99)
            try #expect(tx.device(account: account, address)?.isDamaged == true)
        }
    }

    @Test func `a device whose address cannot be read is left out`() async throws {
        let test = try await TestStore()
        try await test.write { [address] tx, account in
            for id in 1...4 {
                try tx.setIdentity(
                    account: account, DeviceAddress(jid: address.jid, device: UInt32(id)),
                    identity().publicKey,
                    trust: .blind, now: 1)
            }
            try tx.run("UPDATE device SET jid = '@' WHERE device = 2")
            try tx.run("UPDATE device SET device = -3 WHERE device = 3")
            try tx.run("UPDATE device SET device = 5 WHERE device = 4")
            try #expect(tx.devices(account: account).map(\.address.device) == [1, 5])
            try #expect(tx.devices(account: account, jid: address.jid).map(\.isDamaged) == [false, true])
        }
    }

    // MARK: Pre-keys

    @Test func `damaged pre-keys are deleted by name, so that the others can be published`() async throws {
        let test = try await TestStore()
        var random = SystemRandomNumberGenerator()
        let device = OwnDevice.generate(avoiding: [], at: 1, using: &random)
        try await test.write { tx, account in
            try tx.addPreKeys(Array(device.preKeys.prefix(3)), account: account)
            try tx.add(device.signedPreKey, account: account)
            try #expect(tx.removeDamagedPreKeys(account: account).isEmpty)
            try tx.run("UPDATE preKey SET privateKey = zeroblob(32) WHERE id = 2")
            #expect(throws: StoreError.corrupt("seal of preKey \(account)/2")) {
                try tx.allPreKeys(account: account)
            }
            try #expect(tx.removeDamagedPreKeys(account: account) == ["preKey \(account)/2"])
            try #expect(tx.allPreKeys(account: account).map(\.id) == [1, 3])
            try tx.run("UPDATE signedPreKey SET id = 77")
            try #expect(tx.removeDamagedPreKeys(account: account) == ["signedPreKey \(account)/77"])
            try #expect(tx.signedPreKeys(account: account).isEmpty)
        }
    }
}
