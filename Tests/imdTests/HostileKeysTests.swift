// Somebody who floods us with key exchanges or devices: bounded work, bounded growth (fault rows F16 and F17).
import Foundation
import IMCrypto
import OMEMO
import Store
import Testing
import XMPP

@testable import imd

struct HostileKeysTests {
    /// The long form is `make torture`'s.
    static let count = ProcessInfo.processInfo.environment["IMD_TORTURE"] == nil ? 300 : 10_000

    @Test(arguments: ProtocolVersion.allCases)
    func `F16 key exchanges of invented devices empty no bundle and fill no disk`(
        _ version: ProtocolVersion
    ) async throws {
        let bob = try await Party("bob@example.org")
        let mallory = try JID("m@evil.example")
        var bundle = try await bob.bundle(version)
        let before = try size(of: bob)
        for number in 1...Self.count {
            if number % 50 == 0 {
                bundle = try await bob.bundle(version)
                #expect(bundle.preKeys.count == 100)
            }
            let message = try exchange(with: bundle, device: UInt32(number), bob)
            try await bob.receive(message, from: mallory)
        }
        let devices = try await bob.write { [own = bob.own] in
            try $0.devices(account: own.account, jid: mallory)
        }
        #expect(devices.count <= Transaction.maxDevices)
        #expect(try await bob.outbox().isEmpty, "a stranger gets no answer")
        let growth = try size(of: bob) - before
        #expect(growth < 20 * 1024 * 1024, "\(growth) bytes")
    }

    @Test func `F17 of a list with a thousand devices a hundred are taken`() async throws {
        let (alice, bob) = (try await Party("alice@example.org"), try JID("bob@example.org"))
        try await alice.learn(.legacy, Array(1...1000), of: bob)
        try await alice.learn(.omemo2, Array(1001...2000), of: bob)
        let devices = try await alice.write { [own = alice.own] in
            try $0.devices(account: own.account, jid: bob)
        }
        #expect(devices.count == Transaction.maxDevices)
    }

    private func exchange(with bundle: OMEMO.Bundle, device: UInt32, _ bob: Party) throws -> Element {
        var random = SystemRandomNumberGenerator()
        let identity = IdentityKeyPair.generate(using: &random)
        var record = SessionRecord(bundle.version)
        try record.initiate(with: bundle, own: identity, ownDevice: device, using: &random)
        var recipients = [Recipient(address: bob.address, record: record)]
        let payload = MessageStanza.payload(
            "hello", bundle.version, from: try JID("m@evil.example"), to: bob.jid, using: &random)
        let message = try Fanout.encrypt(
            payload, bundle.version, from: device, to: &recipients, using: &random)
        return MessageStanza.encrypted(message, to: bob.jid, id: StanzaID.random(using: &random))
    }

    /// Bytes of the database and its log.
    private func size(of party: Party) throws -> Int {
        ["", "-wal"].reduce(0) { sum, suffix in
            let path = party.folder + "/imd.sqlite" + suffix
            let attributes = try? FileManager.default.attributesOfItem(atPath: path)
            return sum + (attributes?[.size] as? Int ?? 0)
        }
    }
}
