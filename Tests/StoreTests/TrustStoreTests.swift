// Decisions about keys, policies, two device lists, messages that are held, and backups of messages.
import IMCrypto
import OMEMO
import Testing
import XMPP

@testable import Store

@Suite struct TrustStoreTests {
    private let address: DeviceAddress

    init() throws { address = DeviceAddress(jid: try JID(juliet), device: 31_415) }

    @Test func `C21 a decision is about a key: a device that shows it later takes it`() async throws {
        let (test, key) = (try await TestStore(), identity().publicKey)
        try await test.write { [address] tx, account in
            try #expect(
                tx.decide(
                    .verified, account: account, jid: address.jid, key: key.curve25519, source: .imported,
                    now: 1
                ).isEmpty)
            try tx.setIdentity(account: account, address, key, policy: .verifiedOnly, now: 2)
            try #expect(tx.device(account: account, address)?.trust == .verified)
            try tx.forgetDevice(account: account, address)
            try tx.setIdentity(account: account, address, key, policy: .btbv, now: 3)
            try #expect(tx.device(account: account, address)?.trust == .verified)
            let changed = try tx.decide(
                .undecided, account: account, jid: address.jid, key: key.curve25519, source: .person, now: 4)
            #expect(changed.map(\.trust) == [.undecided])
            try #expect(tx.decisions(account: account).isEmpty)
        }
    }

    /// A server must not slip a device in because the verified one has not been seen yet, or was forgotten.
    @Test(arguments: [TrustPolicy.btbv, .tofu])
    func `C30 a verified key ends blind trust also before its device is known`(_ policy: TrustPolicy)
        async throws
    {
        let (test, pinned, foreign) = (try await TestStore(), identity().publicKey, identity().publicKey)
        try await test.write { [address] tx, account in
            try tx.decide(
                .verified, account: account, jid: address.jid, key: pinned.curve25519, source: .imported,
                now: 1)
            try tx.setIdentity(account: account, address, foreign, policy: policy, now: 2)
            try #expect(tx.device(account: account, address)?.trust == .undecided)
            let own = DeviceAddress(jid: address.jid, device: address.device + 1)
            try tx.setIdentity(account: account, own, pinned, policy: policy, now: 3)
            try #expect(tx.device(account: account, own)?.trust == .verified)
        }
    }

    @Test func `a decision is told once`() async throws {
        let (test, key) = (try await TestStore(), identity().publicKey.curve25519)
        try await test.write { [address] tx, account in
            for level in [TrustLevel.verified, .distrusted] {
                try tx.decide(level, account: account, jid: address.jid, key: key, source: .person, now: 1)
                try tx.setUntold(true, account: account, jid: address.jid, key: key)
                try #expect(tx.untoldDecisions(account: account).map(\.level) == [level])
            }
            try tx.setUntold(false, account: account, jid: address.jid, key: key)
            try #expect(tx.untoldDecisions(account: account).isEmpty)
        }
    }

    @Test func `a decision that is not what was stored is none, and the check tells it`() async throws {
        let (test, key) = (try await TestStore(), identity().publicKey)
        try await test.write { [address] tx, account in
            try tx.decide(
                .distrusted, account: account, jid: address.jid, key: key.curve25519, source: .person, now: 1)
            try tx.run("UPDATE trustDecision SET trust = 'verified'")
            try #expect(tx.decision(account: account, jid: address.jid, key.curve25519) == nil)
        }
        let account = test.account
        try await #expect(test.store.check() == ["checksum of trustDecision \(account)/\(juliet)"])
    }

    @Test(arguments: [
        (TrustPolicy.btbv, [TrustLevel.blind, .blind]), (.tofu, [.blind, .undecided]),
        (.verifiedOnly, [.undecided, .undecided]), (.always, [.blind, .blind]),
    ])
    func `a policy decides about the first device and a later one`(
        _ policy: TrustPolicy, _ expected: [TrustLevel]
    ) async throws {
        let (test, second) = (try await TestStore(), DeviceAddress(jid: address.jid, device: 2))
        try await test.write { [address] tx, account in
            try tx.setIdentity(account: account, address, identity().publicKey, policy: policy, now: 1)
            try tx.setIdentity(account: account, second, identity().publicKey, policy: policy, now: 2)
            let levels = try [address, second].map { try tx.device(account: account, $0)?.trust }
            #expect(levels == expected)
        }
    }

    @Test func `policies are kept for an account and for contacts`() async throws {
        let test = try await TestStore()
        try await test.write { [address] tx, account in
            try tx.setPolicy(.tofu, account: account, jid: nil)
            try tx.setPolicy(.always, account: account, jid: address.jid)
            try #expect(tx.policy(account: account, jid: nil) == .tofu)
            try #expect(tx.policies(account: account).map(\.policy) == [.tofu, .always])
            try tx.setPolicy(nil, account: account, jid: address.jid)
            try #expect(tx.policy(account: account, jid: address.jid) == nil)
        }
    }

    @Test func `what strangers say about keys does not grow beyond its bound`() async throws {
        let test = try await TestStore()
        try await test.write { [address] tx, account in
            for number in 0..<1100 {
                let key = Bytes(repeating: 0, count: 30) + [UInt8(number >> 8), UInt8(number & 255)]
                try tx.addPendingTrust(
                    account: account, senderKey: [1],
                    PendingTrust(owner: address.jid, key: key, level: .verified), now: 1)
            }
            try #expect(tx.takePendingTrust(account: account, senderKey: [1]).count == 1000)
            try #expect(tx.takePendingTrust(account: account, senderKey: [1]).isEmpty)
        }
    }

    @Test func `two lists are one set of devices`() async throws {
        let test = try await TestStore()
        @Sendable func list(_ version: ProtocolVersion, _ ids: [UInt32]) -> OMEMO.DeviceList {
            OMEMO.DeviceList(version, ids.map { OMEMO.DeviceList.Device(id: $0) })
        }
        try await test.write { [jid = address.jid] tx, account in
            let first = try tx.setDeviceList(account: account, jid: jid, list(.legacy, [1, 2]), now: 1)
            #expect(first.added == [1, 2])
            let second = try tx.setDeviceList(account: account, jid: jid, list(.omemo2, [2, 3]), now: 2)
            #expect(second.added == [3] && second.removed.isEmpty)
            let third = try tx.setDeviceList(account: account, jid: jid, list(.legacy, [1]), now: 3)
            #expect(third.removed.isEmpty && !third.emptied, "2 is still on the other list")
            let versions = try tx.devices(account: account, jid: jid).map(\.versions)
            #expect(versions == [[.legacy], [.omemo2], [.omemo2]])
            let fourth = try tx.setDeviceList(account: account, jid: jid, list(.omemo2, []), now: 4)
            #expect(fourth.removed == [2, 3] && !fourth.emptied)
            let fifth = try tx.setDeviceList(account: account, jid: jid, list(.legacy, []), now: 5)
            #expect(fifth.removed == [1] && fifth.emptied)
        }
    }

    @Test func `a label counts only with the signature of the device's own key`() async throws {
        let (test, own, other) = (try await TestStore(), identity(), identity())
        try await test.write { [address] tx, account in
            for (signer, label) in [(other, nil), (own, "Phone" as String?)] {
                let device = OMEMO.DeviceList.device(address.device, label: "Phone", signedBy: signer)
                _ = try tx.setDeviceList(
                    account: account, jid: address.jid, OMEMO.DeviceList(.omemo2, [device]), now: 1)
                try tx.setIdentity(account: account, address, own.publicKey, policy: .btbv, now: 1)
                try #expect(tx.device(account: account, address)?.label == label)
            }
        }
    }

    @Test func `a held message is released, cancelled or fails, and counts as pending`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let chat = try JID(juliet)
            let message = try tx.insertOutgoing(outgoing(account))
            try #expect(tx.hold(message.id, now: 2) && !tx.hold(message.id, now: 2))
            try #expect(tx.messagesHeld(account: account, chat: chat).map(\.state) == [.held])
            try #expect(tx.heldChats(account: account) == [chat] && tx.pendingCount(account: account) == 1)
            try #expect(
                tx.pending(account: account, failed: false, limit: 9).messages.map(\.id) == [message.id])
            try #expect(tx.release(message.id, now: 3) && !tx.release(message.id, now: 3))
            try #expect(tx.messagesWaiting(account: account, chat: chat).map(\.id) == [message.id])
            try #expect(tx.hold(message.id, now: 4) && tx.cancel(message.id, now: 5))
            try #expect(tx.message(row: message.id)?.reason == "cancelled")
            let states = try tx.events(after: 0, types: ["state"], limit: 9).compactMap(\.detail)
            #expect(states.count == 4 && states[0].contains("held") && states[1].contains("queued"))
        }
    }

    @Test func `a message of two stanzas is with the server when both are`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let message = try tx.insertOutgoing(outgoing(account))
            for _ in 1...2 { try tx.enqueue(account: account, stanza: [1], message: message.id, now: 1) }
            try #expect(tx.takeOutbox(account: account, after: 0, limit: 9, now: 2).moved == [message.id])
            try #expect(tx.acknowledge(account: account, through: 1, now: 3).isEmpty)
            try tx.resetPositions(account: account)
            try #expect(tx.takeOutbox(account: account, after: 0, limit: 9, now: 4).entries.count == 1)
            try #expect(tx.acknowledge(account: account, through: 1, now: 5) == [message.id])
        }
    }

    @Test func `messages of a backup are stored once and without events`() async throws {
        let test = try await TestStore()
        try await test.write { tx, account in
            let sent = try tx.insertOutgoing(outgoing(account, clientID: "job"))
            let saved = try tx.exportMessages(account: account, after: 0, limit: 9)
            #expect(saved.map(\.id) == [sent.id])
            let other = try tx.addAccount(newAccount("tybalt@example.net"))
            let before = try tx.lastEventNumber()
            let message = NewImported(
                account: other, messageID: "m1", chat: try JID(juliet), sender: saved[0].sender,
                direction: .out, body: "hello", encryption: nil, plaintext: false, state: .queued,
                reason: nil, clientID: "job", stanzaID: nil, sentAt: 20, storedAt: 21, downgraded: false)
            try #expect(tx.importMessage(message) && !tx.importMessage(message))
            let imported = try #require(tx.exportMessages(account: other, after: 0, limit: 9).first)
            #expect(imported.state == .failed && imported.reason == "imported" && imported.sentAt == 20)
            try #expect(tx.lastEventNumber() == before)
        }
    }
}
