// What a contact may do to the list of its devices: how many, whose keys, and whose trust.
import IMCrypto
import OMEMO
import Testing
import XMPP

@testable import Store

@Suite struct DeviceTests {
    private let address: DeviceAddress

    init() throws { address = DeviceAddress(jid: try JID(juliet), device: 31_415) }

    private func device(_ id: Int, of jid: String = juliet) throws -> DeviceAddress {
        DeviceAddress(jid: try JID(jid), device: UInt32(id))
    }

    @Test func `a device that shows another device's key is refused`() async throws {
        let test = try await TestStore()
        let key = identity().publicKey
        let stranger = try device(9, of: "mallory@example.com")
        let sibling = try device(9)
        try await test.write { [address] tx, account in
            try #expect(tx.setIdentity(account: account, address, key, policy: .btbv, now: 1) == .new)
            try #expect(tx.setIdentity(account: account, stranger, key, policy: .btbv, now: 2) == .taken)
            try #expect(tx.setIdentity(account: account, sibling, key, trust: .verified, now: 2) == .taken)
            try #expect(tx.device(account: account, stranger) == nil)
            // Also where the device list told of the device before.
            _ = try tx.setDeviceList(account: account, jid: stranger.jid, list([9]), now: 3)
            try #expect(tx.setIdentity(account: account, stranger, key, policy: .btbv, now: 4) == .taken)
            try #expect(tx.device(account: account, stranger)?.identityKey == nil)
            try #expect(tx.setIdentity(account: account, address, key, policy: .btbv, now: 5) == .same)
            let other = try tx.addAccount(newAccount("romeo@example.org"))
            try #expect(tx.setIdentity(account: other, stranger, key, policy: .btbv, now: 6) == .new)
        }
    }

    @Test func `the sign of the Edwards form does not make a taken key another`() async throws {
        let test = try await TestStore()
        let key = identity().publicKey
        let twin = try IdentityKey(curve25519: key.curve25519, signBit: key.ed25519[31] & 0x80 == 0)
        let stranger = try device(9, of: "mallory@example.com")
        try await test.write { [address] tx, account in
            try tx.setIdentity(account: account, address, key, policy: .btbv, now: 1)
            try #expect(tx.setIdentity(account: account, stranger, twin, policy: .btbv, now: 2) == .taken)
        }
    }

    @Test func `nobody else's device has our own key`() async throws {
        let test = try await TestStore()
        try await test.write { [address] tx, account in
            let own = try #require(try tx.account(id: account))
            let key = own.identity.publicKey
            let ours = DeviceAddress(jid: own.jid, device: own.device)
            let sibling = DeviceAddress(jid: own.jid, device: 5)
            try #expect(tx.setIdentity(account: account, address, key, policy: .btbv, now: 1) == .taken)
            try #expect(tx.setIdentity(account: account, sibling, key, policy: .btbv, now: 1) == .taken)
            try #expect(tx.setIdentity(account: account, ours, key, policy: .btbv, now: 1) == .new)
        }
    }

    @Test func `the holder of a key is found by an index`() async throws {
        let test = try await TestStore()
        let plan = try await test.read { tx, _ in
            try tx.rows(
                "EXPLAIN QUERY PLAN \(Transaction.selectHolder)", Int64(1), Bytes(), "", UInt32(1)
            ) { $0.text(3) }
        }
        let index = "INDEX deviceByKey (account=? AND curve25519=?)"
        #expect(plan.count == 1 && plan[0].contains(index), "\(plan)")
    }

    @Test func `a list of ten thousand devices is a list of its first hundred`() async throws {
        let test = try await TestStore()
        let ids = (1...10_000).map { UInt32($0) }
        try await test.write { [address] tx, account in
            let jid = address.jid
            let first = try tx.setDeviceList(account: account, jid: jid, list(ids), now: 1)
            #expect(first.added == Array(1...100) && first.ignored == Array(101...1_100) && first.ignoresMore)
            let again = try tx.setDeviceList(account: account, jid: jid, list(ids), now: 2)
            #expect(again.added.isEmpty && again.removed.isEmpty && again.ignored == first.ignored)
            #expect(!again.ignoresMore)
            try #expect(tx.ignoredDevices(account: account, jid: jid) == Array(101...1_100))
            let turned = try tx.setDeviceList(account: account, jid: jid, list(ids.reversed()), now: 3)
            #expect(turned.added.first == 10_000 && turned.added.count == 100 && turned.removed.count == 100)
            try #expect(tx.devices(account: account, jid: jid).count == 100)
            try #expect(
                tx.setIdentity(account: account, address, identity().publicKey, policy: .btbv, now: 4)
                    == .full)
            try #expect(tx.device(account: account, address) == nil)
            let other = try JID("nurse@example.com")
            try #expect(tx.setDeviceList(account: account, jid: other, list([1]), now: 5).ignored.isEmpty)
        }
    }

    @Test func `a device that is known or decided on is taken before any new one of a long list`()
        async throws
    {
        let test = try await TestStore()
        let (known, verified, stranger) = (try device(9_001), try device(9_002), try device(9_003))
        try await test.write { tx, account in
            _ = try tx.setDeviceList(account: account, jid: known.jid, list([9_001, 9_002, 9_003]), now: 1)
            for address in [known, verified] {
                try tx.setIdentity(account: account, address, identity().publicKey, policy: .btbv, now: 1)
            }
            try tx.setTrust(.verified, account: account, verified, source: .person, now: 1)
            let ids = (1...200).map { UInt32($0) } + [9_003, 9_001, 9_002]
            let change = try tx.setDeviceList(account: account, jid: known.jid, list(ids), now: 2)
            #expect(change.removed == [9_003] && change.ignored.contains(9_003))
            #expect(change.ignored.count == 103 && change.ignoresMore)
            try #expect(tx.device(account: account, known)?.isActive == true)
            try #expect(tx.device(account: account, verified)?.isActive == true)
            try #expect(tx.device(account: account, stranger)?.isActive != true)
            // In the other version's list it may be all the same; then it is written to.
            _ = try tx.setDeviceList(account: account, jid: known.jid, list([1]), now: 3)
            try #expect(tx.ignoredDevices(account: account, jid: known.jid).isEmpty)
        }
    }

    @Test func `ever new devices push out silent ones, never one that a person decided on`() async throws {
        let test = try await TestStore()
        let record = try sessionRecord()
        let (kept, refused, silent, heard) = (
            try device(1), try device(2), try device(3), try device(4)
        )
        try await test.write { tx, account in
            for address in [kept, refused, silent, heard] {
                try tx.setIdentity(account: account, address, identity().publicKey, policy: .btbv, now: 1)
                try tx.save(record, account: account, address, .legacy)
            }
            try tx.setTrust(.verified, account: account, kept, source: .person, now: 1)
            try tx.setTrust(.distrusted, account: account, refused, source: .person, now: 1)
            try tx.touchReceived(account: account, heard, at: 50)
            let change = try tx.setDeviceList(
                account: account, jid: kept.jid, list((11...107).map { UInt32($0) }), now: 60)
            #expect(change.added.count == 97 && change.ignored.isEmpty)
            try #expect(tx.device(account: account, silent) == nil)
            try #expect(tx.session(account: account, silent, .legacy) == nil)
            try #expect(tx.session(account: account, heard, .legacy) != nil)
            let second = try tx.setDeviceList(
                account: account, jid: kept.jid, list((201...300).map { UInt32($0) }), now: 70)
            #expect(second.added.count == 98 && second.ignored == [299, 300])
            try #expect(tx.device(account: account, kept)?.trust == .verified)
            try #expect(tx.device(account: account, refused)?.trust == .distrusted)
            try #expect(tx.devices(account: account, jid: kept.jid).count == 100)
        }
    }

    @Test(arguments: [TrustLevel.distrusted, .verified, .blind])
    func `a decision from before the key was known stands`(_ level: TrustLevel) async throws {
        let test = try await TestStore()
        try await test.write { [address] tx, account in
            _ = try tx.setDeviceList(account: account, jid: address.jid, list([address.device, 7]), now: 1)
            try tx.setTrust(level, account: account, address, source: .person, now: 1)
            try #expect(
                tx.setIdentity(account: account, address, identity().publicKey, policy: .btbv, now: 2) == .new
            )
            try #expect(tx.device(account: account, address)?.trust == level)
            let other = DeviceAddress(jid: address.jid, device: 7)
            try tx.setTrust(level, account: account, other, source: .person, now: 1)
            try tx.setIdentity(account: account, other, identity().publicKey, trust: .undecided, now: 2)
            try #expect(tx.device(account: account, other)?.trust == level)
        }
    }
}
