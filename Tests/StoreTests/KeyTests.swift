// Rows that hold keys: sessions, pre-keys, devices, our identity; and changed bytes in them.
import Foundation
import IMCrypto
import OMEMO
import Testing
import XMPP

@testable import Store

@Suite struct KeyTests {
    private let address: DeviceAddress

    init() throws { address = DeviceAddress(jid: try JID(juliet), device: 31_415) }

    // MARK: Sessions

    @Test func `a session comes back as it was saved, per device and version`() async throws {
        let test = try await TestStore()
        let (first, second) = (try sessionRecord(), try sessionRecord())
        try await test.write { [address] tx, account in
            try #expect(tx.session(account: account, address, .legacy) == nil)
            try tx.save(first, account: account, address, .legacy)
            try tx.save(second, account: account, address, .legacy)
            try tx.save(first, account: account, address, .omemo2)
            try #expect(tx.session(account: account, address, .legacy)?.serialized() == second.serialized())
            try #expect(tx.session(account: account, address, .omemo2)?.serialized() == first.serialized())
            try tx.removeSessions(account: account, address, .omemo2)
            try #expect(tx.session(account: account, address, .omemo2) == nil)
            try #expect(tx.session(account: account, address, .legacy) != nil)
            try tx.removeSessions(account: account, address)
            try #expect(tx.session(account: account, address, .legacy) == nil)
        }
    }

    @Test func `a changed byte of a session is found, wherever it is`() async throws {
        let test = try await TestStore()
        let record = try sessionRecord()
        let count = record.serialized().count
        for offset in stride(from: 1, through: count, by: 37) {
            try await test.write { [address] tx, account in
                try tx.save(record, account: account, address, .legacy)
                // SQLite's own checks do not see this.
                try tx.run(
                    """
                    UPDATE session SET record = CAST(substr(record, 1, ?1 - 1)
                      || CASE WHEN substr(record, ?1, 1) = x'00' THEN x'01' ELSE x'00' END
                      || substr(record, ?1 + 1) AS BLOB)
                    """, offset)
                #expect(throws: StoreError.corrupt("seal of session \(account)/\(juliet)/31415")) {
                    try tx.session(account: account, address, .legacy)
                }
            }
        }
    }

    @Test func `a session under another device's key is found`() async throws {
        let test = try await TestStore()
        let record = try sessionRecord()
        try await test.write { [address] tx, account in
            try tx.save(record, account: account, address, .legacy)
            try tx.run("UPDATE session SET device = 1")
            #expect(throws: StoreError.self) {
                try tx.session(account: account, DeviceAddress(jid: address.jid, device: 1), .legacy)
            }
        }
    }

    // MARK: Pre-keys

    @Test func `a pre-key is there until it is used, and its id does not come again`() async throws {
        let test = try await TestStore()
        var random = SystemRandomNumberGenerator()
        let device = OwnDevice.generate(avoiding: [], at: 1, using: &random)
        let fresh = KeyPair.generate(using: &random)
        try await test.write { tx, account in
            try tx.addPreKeys(device.preKeys, account: account)
            try #expect(tx.preKeyCount(account: account) == 100)
            let store = tx.preKeys(account: account)
            try #expect(store.preKey(100)?.privateKey == device.preKeys[99].keyPair.privateKey)
            try #expect(store.preKey(101) == nil)
            let next = try tx.replacePreKey(100, with: fresh, account: account)
            #expect(next?.id == 101)
            try #expect(store.preKey(100) == nil)
            try #expect(store.preKey(101)?.privateKey == fresh.privateKey)
            try tx.removePreKey(101, account: account)
            try #expect(tx.replacePreKey(1, with: fresh, account: account)?.id == 102)
            try #expect(tx.allPreKeys(account: account).map(\.id) == Array(2...99) + [102])
            try #expect(tx.account(id: account)?.nextPreKeyID == 103)
        }
    }

    @Test func `a used pre-key that is kept opens messages, but is not published`() async throws {
        let test = try await TestStore()
        var random = SystemRandomNumberGenerator()
        let device = OwnDevice.generate(avoiding: [], at: 1, using: &random)
        let (first, second) = (KeyPair.generate(using: &random), KeyPair.generate(using: &random))
        try await test.write { tx, account in
            try tx.addPreKeys(Array(device.preKeys.prefix(3)), account: account)
            let keys = tx.preKeys(account: account)
            func replace(_ id: UInt32, keeping: Bool = true) throws -> UInt32? {
                try tx.replacePreKey(id, with: first, account: account, keepingUsed: keeping, now: 9)?.id
            }
            try #expect(replace(2) == 4)
            try #expect(keys.preKey(2)?.privateKey == device.preKeys[1].keyPair.privateKey)
            try #expect(tx.preKeyCount(account: account) == 3)
            try #expect(tx.allPreKeys(account: account).map(\.id) == [1, 3, 4])
            try #expect(replace(2) == nil, "who uses it again does not make the bundle grow")
            try #expect(tx.preKeyCount(account: account) == 3)
            try #expect(tx.replacePreKey(1, with: second, account: account)?.id == 5)
            try #expect(keys.preKey(1) == nil)
            try #expect(replace(3) == 6)
            try #expect(replace(3, keeping: false) == nil)
            try #expect(keys.preKey(3) == nil && keys.preKey(2) != nil)
            try #expect(replace(99) == nil, "spent long ago")
            try #expect(tx.removeUsedPreKeys(account: account) == 1)
            try #expect(tx.removeUsedPreKeys(account: account) == 0)
            try #expect(keys.preKey(2) == nil)
            try #expect(tx.allPreKeys(account: account).map(\.id) == [4, 5, 6])
            try #expect(tx.account(id: account)?.nextPreKeyID == 7)
        }
    }

    @Test func `pre-key ids return to 1 after the last`() async throws {
        let test = try await TestStore()
        var random = SystemRandomNumberGenerator()
        let last = PreKey(id: 0x7fff_ffff, keyPair: .generate(using: &random))
        try await test.write { tx, account in
            try tx.addPreKeys([last], account: account)
            try #expect(tx.replacePreKey(last.id, with: last.keyPair, account: account)?.id == 1)
        }
    }

    @Test func `a clock set back does not make an old signed pre-key the newest`() async throws {
        let test = try await TestStore()
        var random = SystemRandomNumberGenerator()
        let own = identity()
        let first = SignedPreKey.generate(after: nil, identity: own, at: 900, using: &random)
        let second = SignedPreKey.generate(after: first.id, identity: own, at: 100, using: &random)
        try await test.write { tx, account in
            try tx.add(first, account: account)
            try tx.add(second, account: account)
            try #expect(tx.signedPreKeys(account: account).map(\.id) == [second.id, first.id])
        }
    }

    @Test(
        arguments: [
            "privateKey = zeroblob(32)", "privateKey = x''", "privateKey = zeroblob(72)",
            "privateKey = x'00'",
        ])
    func `a damaged pre-key is unknown and stops nothing else`(_ damage: String) async throws {
        let test = try await TestStore()
        var random = SystemRandomNumberGenerator()
        let device = OwnDevice.generate(avoiding: [], at: 1, using: &random)
        try await test.write { [address] tx, account in
            try tx.addPreKeys(Array(device.preKeys.prefix(2)), account: account)
            try tx.add(device.signedPreKey, account: account)
            try tx.run("UPDATE preKey SET \(damage) WHERE id = 1")
            try tx.run("UPDATE signedPreKey SET \(damage)")
            let store = tx.preKeys(account: account)
            try #expect(store.preKey(1) == nil)
            try #expect(store.preKey(2)?.privateKey == device.preKeys[1].keyPair.privateKey)
            try #expect(store.signedPreKey(device.signedPreKey.id) == nil)
            try tx.markEncrypted(account: account, chat: address.jid, now: 1)
        }
    }

    @Test func `signed pre-keys are newest first`() async throws {
        let test = try await TestStore()
        var random = SystemRandomNumberGenerator()
        let own = identity()
        let first = SignedPreKey.generate(after: nil, identity: own, at: 100, using: &random)
        let second = SignedPreKey.generate(after: first.id, identity: own, at: 200, using: &random)
        try await test.write { tx, account in
            try tx.add(first, account: account)
            try tx.add(second, account: account)
            let kept = try tx.signedPreKeys(account: account)
            #expect(kept.map(\.id) == [second.id, first.id])
            #expect(kept[1].signature == first.signature && kept[1].createdAt == 100)
            try #expect(
                tx.preKeys(account: account).signedPreKey(first.id)?.publicKey == first.keyPair.publicKey)
            try tx.removeSignedPreKey(first.id, account: account)
            try #expect(tx.preKeys(account: account).signedPreKey(first.id) == nil)
        }
    }

    @Test(
        arguments: [
            "UPDATE preKey SET privateKey = zeroblob(32)", "UPDATE preKey SET id = 7",
            "UPDATE signedPreKey SET privateKey = zeroblob(32)",
            "UPDATE signedPreKey SET signature = zeroblob(64)",
            "UPDATE signedPreKey SET createdAt = 5", "UPDATE account SET identitySeed = zeroblob(32)",
            "UPDATE account SET device = 5",
        ])
    func `changed keys of ours are found`(_ damage: String) async throws {
        let test = try await TestStore()
        var random = SystemRandomNumberGenerator()
        let device = OwnDevice.generate(avoiding: [], at: 1, using: &random)
        let error = await #expect(throws: StoreError.self) {
            try await test.write { tx, account in
                try tx.addPreKeys(Array(device.preKeys.prefix(1)), account: account)
                try tx.add(device.signedPreKey, account: account)
                try tx.run(damage)
                _ = try tx.allPreKeys(account: account)
                _ = try tx.signedPreKeys(account: account)
                _ = try tx.accounts()
            }
        }
        if case .corrupt? = error {} else { Issue.record("\(String(describing: error))") }
    }

    // MARK: Devices

    @Test func `a device list tells who came and who left, and forgets nobody`() async throws {
        let test = try await TestStore()
        try await test.write { [address] tx, account in
            let jid = address.jid
            let first = try tx.setDeviceList(account: account, jid: jid, list([3, 1, 3]), now: 10)
            #expect(first == DeviceListChange(added: [3, 1], removed: []))
            let key = identity().publicKey
            try tx.setIdentity(
                account: account, DeviceAddress(jid: jid, device: 1), key, trust: .verified, now: 11)
            let second = try tx.setDeviceList(account: account, jid: jid, list([2, 3]), now: 20)
            #expect(second == DeviceListChange(added: [2], removed: [1]))
            let third = try tx.setDeviceList(account: account, jid: jid, list([1, 2, 3]), now: 30)
            #expect(third == DeviceListChange(added: [1], removed: []))
            let devices = try tx.devices(account: account, jid: jid)
            #expect(devices.map(\.address.device) == [1, 2, 3] && devices.allSatisfy(\.isActive))
            #expect(devices[0].identityKey == key && devices[0].trust == .verified)
            #expect(devices.map(\.firstSeenAt) == [10, 20, 10])
            try #expect(tx.deviceListFetchedAt(account: account, jid: jid, version: .legacy) == 30)
        }
    }

    @Test func `an identity key is kept until a person accepts another`() async throws {
        let test = try await TestStore()
        let (known, other) = (identity().publicKey, identity().publicKey)
        let record = try sessionRecord()
        try await test.write { [address] tx, account in
            try #expect(tx.setIdentity(account: account, address, known, policy: .btbv, now: 1) == .new)
            try #expect(tx.setIdentity(account: account, address, known, policy: .btbv, now: 2) == .same)
            try #expect(tx.setIdentity(account: account, address, other, policy: .btbv, now: 3) == .changed)
            let device = try tx.device(account: account, address)
            #expect(device?.identityKey == known && device?.trust == .blind && device?.isActive == false)
            try tx.save(record, account: account, address, .legacy)
            try tx.replaceIdentity(account: account, address, other, trust: .verified)
            try #expect(tx.device(account: account, address)?.identityKey == other)
            try #expect(tx.session(account: account, address, .legacy) == nil)
        }
    }

    @Test func `the sign that only a bundle tells is added, and is no change`() async throws {
        let test = try await TestStore()
        var key = identity().publicKey
        while key.ed25519[31] & 0x80 == 0 { key = identity().publicKey }
        let unsigned = try IdentityKey(curve25519: key.curve25519, signBit: false)
        try await test.write { [address, key] tx, account in
            try #expect(tx.setIdentity(account: account, address, unsigned, policy: .btbv, now: 1) == .new)
            try tx.setTrust(.verified, account: account, address, source: .person, now: 1)
            try #expect(tx.setIdentity(account: account, address, key, policy: .btbv, now: 2) == .same)
            try #expect(tx.device(account: account, address)?.identityKey?.ed25519 == key.ed25519)
            try #expect(tx.setIdentity(account: account, address, unsigned, policy: .btbv, now: 3) == .same)
            let device = try tx.device(account: account, address)
            #expect(device?.identityKey?.ed25519 == key.ed25519 && device?.trust == .verified)
        }
    }

    @Test func `after one device was verified, new ones are not trusted blindly`() async throws {
        let test = try await TestStore()
        try await test.write { [address] tx, account in
            let second = DeviceAddress(jid: address.jid, device: 2)
            let third = DeviceAddress(jid: address.jid, device: 3)
            try tx.setIdentity(account: account, address, identity().publicKey, policy: .btbv, now: 1)
            try tx.setIdentity(account: account, second, identity().publicKey, policy: .btbv, now: 1)
            try #expect(tx.devices(account: account, jid: address.jid).map(\.trust) == [.blind, .blind])
            try #expect(tx.setTrust(.verified, account: account, address, source: .person, now: 1))
            try tx.setIdentity(account: account, third, identity().publicKey, policy: .btbv, now: 1)
            try #expect(tx.device(account: account, third)?.trust == .undecided)
            try #expect(
                !tx.setTrust(
                    .verified, account: account, DeviceAddress(jid: address.jid, device: 9), source: .person,
                    now: 1))
            try tx.touchReceived(account: account, third, at: 77)
            try #expect(tx.device(account: account, third)?.lastReceivedAt == 77)
        }
    }
}
