// What a person decides over the API: devices, links, files of decisions, policies, chats.
import IMCrypto
import LocalAPI
import Logging
import NIOPosix
import OMEMO
import Store
import Testing
import XMPP

@testable import imd

struct TrustServiceTests {
    // MARK: device.trust

    @Test func `a decision is about keys that were named, a device, or a fingerprint`() async throws {
        let (alice, first, second) = try await known()
        let account = try await alice.account()
        var result = try await account.trust(
            DeviceTrust.Params(
                jid: "bob@example.org", trust: .verified, fingerprints: [first.spoken, second.spoken]))
        #expect(Set(result.devices.map(\.device)) == [first.own.device, second.own.device])
        #expect(result.devices.allSatisfy { $0.trust == .verified && $0.receives })
        result = try await account.trust(
            DeviceTrust.Params(jid: "bob@example.org", trust: .distrusted, device: first.own.device))
        #expect(result.devices.map(\.device) == [first.own.device])
        #expect(result.devices.map(\.receives) == [false])
        result = try await account.trust(
            DeviceTrust.Params(jid: "bob@example.org", trust: .blind, fingerprint: first.spoken))
        #expect(result.devices.map(\.trust) == [.blind])
        #expect(try await alice.levels() == [.blind, .verified].sorted(like: [first, second]))
    }

    @Test func `a device that came after a person had looked is not trusted with others`() async throws {
        let (alice, first, second) = try await known()
        let account = try await alice.account()
        let seen = try await account.deviceList(of: first.jid).devices.compactMap(\.fingerprint)
        let sneak = try await Party("bob@example.org")
        try await alice.meet(first, second, sneak)
        try await alice.know(sneak)
        let result = try await account.trust(
            DeviceTrust.Params(jid: "bob@example.org", trust: .verified, fingerprints: seen))
        #expect(Set(result.devices.map(\.device)) == [first.own.device, second.own.device])
        #expect(try await alice.level(of: sneak) != .verified)
        for level in [Trust.verified, .blind] {
            await expect(.invalidParams) {
                try await account.trust(DeviceTrust.Params(jid: "bob@example.org", trust: level))
            }
        }
        await expect(.noSuchDevice) {
            try await account.trust(
                DeviceTrust.Params(
                    jid: "bob@example.org", trust: .verified, fingerprints: [sneak.spoken, alice.spoken]))
        }
        #expect(try await alice.level(of: sneak) != .verified, "all that were named or none")
    }

    @Test func `a verification names the devices that read on unverified`() async throws {
        let (alice, first, second) = try await known()
        let account = try await alice.account()
        var result = try await account.verify(
            DeviceVerify.Params(jid: "bob@example.org", fingerprint: first.spoken))
        #expect(result.jid == "bob@example.org")
        #expect(result.unverified?.map(\.device) == [second.own.device])
        #expect(result.unverified?.allSatisfy { $0.trust == .blind && $0.receives } == true)
        result = try await account.trust(
            DeviceTrust.Params(jid: "bob@example.org", trust: .distrusted, device: second.own.device))
        #expect(result.unverified == nil, "a refusal is no verification")
        result = try await account.verify(
            DeviceVerify.Params(jid: "bob@example.org", fingerprint: first.spoken))
        #expect(result.unverified == nil)
    }

    @Test func `every change of trust is an event that says who decided`() async throws {
        let (alice, first, _) = try await known()
        let account = try await alice.account()
        let params = DeviceTrust.Params(jid: "bob@example.org", trust: .verified, device: first.own.device)
        _ = try await account.trust(params)
        _ = try await account.trust(params)
        let events = try await alice.events(.device).compactMap(\.detail)
        let changes = events.filter { $0.contains(#""change":"trust-changed""#) }
        #expect(changes.count == 1, "the second time nothing changes")
        #expect(changes.first?.contains(#""source":"person""#) == true)
        #expect(changes.first?.contains(#""trust":"verified""#) == true)
    }

    @Test func `who is not known cannot be decided about`() async throws {
        let (alice, _, _) = try await known()
        let account = try await alice.account()
        for params in [
            DeviceTrust.Params(jid: "carol@example.org", trust: .distrusted),
            DeviceTrust.Params(jid: "bob@example.org", trust: .distrusted, device: 77),
            DeviceTrust.Params(
                jid: "bob@example.org", trust: .verified, fingerprint: String(repeating: "0", count: 64)),
        ] {
            await expect(.noSuchDevice) { try await account.trust(params) }
        }
        let both = DeviceTrust.Params(
            jid: "bob@example.org", trust: .verified, device: 1,
            fingerprint: String(repeating: "0", count: 64))
        await expect(.invalidParams) { try await account.trust(both) }
    }

    @Test func `a device whose key is not known can be refused and not verified`() async throws {
        let (alice, bob) = (try await Party("alice@example.org"), try await Party("bob@example.org"))
        try await alice.meet(bob)
        let account = try await alice.account()
        await expect(.noSuchDevice) {
            try await account.trust(
                DeviceTrust.Params(jid: "bob@example.org", trust: .verified, device: bob.own.device))
        }
        let result = try await account.trust(DeviceTrust.Params(jid: "bob@example.org", trust: .distrusted))
        #expect(result.devices.map(\.trust) == [.distrusted])
        try await alice.know(bob)
        #expect(try await alice.levels() == [.distrusted])
    }

    // MARK: device.verify

    @Test func `a fingerprint is verified as people read it out`() async throws {
        let (alice, first, _) = try await known()
        let result = try await alice.account().verify(
            DeviceVerify.Params(jid: "bob@example.org", fingerprint: first.spoken))
        #expect(result.devices.map(\.device) == [first.own.device])
        #expect(result.devices.map(\.trust) == [.verified])
    }

    @Test func `a fingerprint that no device has changes nothing`() async throws {
        let (alice, _, _) = try await known()
        let account = try await alice.account()
        let stranger = try await Party("carol@example.org").key.fingerprint
        // The second is beyond the prime: no key at all.
        for wrong in [stranger, String(repeating: "f", count: 64)] {
            await expect(.fingerprintMismatch) {
                try await account.verify(DeviceVerify.Params(jid: "bob@example.org", fingerprint: wrong))
            }
        }
        let ours = alice.own.identity.publicKey.fingerprint
        await expect(.fingerprintMismatch) {
            try await account.verify(DeviceVerify.Params(jid: "alice@example.org", fingerprint: ours))
        }
        await expect(.invalidParams) {
            try await account.verify(DeviceVerify.Params(jid: "bob@example.org", fingerprint: "c0ffee"))
        }
        #expect(try await alice.levels() == [.blind, .blind])
    }

    @Test func `a link verifies all its keys, those never seen before they are seen`() async throws {
        let (alice, first, _) = try await known()
        let account = try await alice.account()
        let new = try await Party("bob@example.org")
        let link = VerificationURI(
            jid: first.jid,
            keys: [first.own.device: first.key, new.own.device: new.key])
        let result = try await account.verify(DeviceVerify.Params(uri: "  \(link.text)\n"))
        #expect(result.devices.map(\.device) == [first.own.device])
        try await alice.know(new)
        let level = try await alice.write { [own = alice.own] in
            try $0.device(account: own.account, new.address)?.trust
        }
        #expect(level == .verified)
    }

    /// Somebody between us and the server gave us another key than the device shows.
    @Test func `C21 one wrong key in a link and none of it counts`() async throws {
        let (alice, first, second) = try await known()
        let mallory = try await Party("m@evil.example")
        let link = VerificationURI(
            jid: first.jid, keys: [first.own.device: first.key, second.own.device: mallory.key])
        let account = try await alice.account()
        await expect(.fingerprintMismatch) {
            try await account.verify(DeviceVerify.Params(uri: link.text))
        }
        #expect(try await alice.levels() == [.blind, .blind])
        let decided = try await alice.write { [own = alice.own] in try $0.decisions(account: own.account) }
        #expect(decided.isEmpty)
    }

    @Test func `a link for somebody else, or none, is refused`() async throws {
        let (alice, first, _) = try await known()
        let account = try await alice.account()
        let link = VerificationURI(jid: first.jid, keys: [first.own.device: first.key]).text
        await expect(.fingerprintMismatch) {
            try await account.verify(DeviceVerify.Params(jid: "carol@example.org", uri: link))
        }
        for text in ["", "xmpp:bob@example.org", "https://example.org", link + "0"] {
            await expect(.invalidParams) { try await account.verify(DeviceVerify.Params(uri: text)) }
        }
        #expect(try await alice.levels() == [.blind, .blind])
    }

    // MARK: device.uri

    @Test func `our link holds this device and the others that are verified`() async throws {
        let alice = try await Party("alice@example.org")
        let (second, third) = (try await Party("alice@example.org"), try await Party("alice@example.org"))
        try await alice.meet(alice, second, third)
        for other in [second, third] { try await alice.know(other) }
        let account = try await alice.account()
        _ = try await account.verify(
            DeviceVerify.Params(jid: "alice@example.org", fingerprint: second.spoken))
        let result = try await account.uri(DeviceURI.Params(qr: true))
        let link = try VerificationURI(result.uri)
        #expect(link.jid == alice.jid)
        #expect(link.keys == [alice.own.device: alice.key, second.own.device: second.key])
        #expect(result.qr == QRCode(result.uri)?.rows)
    }

    @Test func `a contact's link holds the listed devices that are verified`() async throws {
        let (alice, first, second) = try await known()
        try await alice.learn(.legacy, [first.own.device, 77], of: first.jid)
        let account = try await alice.account()
        await expect(.noSuchDevice) { try await account.uri(DeviceURI.Params(jid: "bob@example.org")) }
        for key in [first.key, second.key] {
            try await alice.write { [own = alice.own] tx in
                _ = try tx.decide(
                    .verified, account: own.account, jid: first.jid, key: key, source: .person, now: 1)
            }
        }
        let result = try await account.uri(DeviceURI.Params(jid: "bob@example.org"))
        #expect(try VerificationURI(result.uri).keys == [first.own.device: first.key])
        #expect(result.qr == nil)
        #expect(second.own.device != first.own.device)
        await expect(.noSuchDevice) { try await account.uri(DeviceURI.Params(jid: "carol@example.org")) }
    }

    // MARK: Sessions and lists

    @Test func `sessions and lists are not touched without a connection`() async throws {
        let (alice, first, _) = try await known()
        let account = try await alice.account()
        await expect(.notConnected) {
            try await account.reset(DeviceReset.Params(jid: "bob@example.org", forget: true))
        }
        await expect(.notConnected) { try await account.removeDevice(first.own.device) }
        await expect(.noSuchDevice) { try await account.removeDevice(alice.own.device) }
        #expect(try await alice.levels() == [.blind, .blind])
    }

    // MARK: trust.export and trust.import

    @Test func `what was exported makes the same decisions elsewhere, before a device was seen`() async throws
    {
        let (alice, first, second) = try await known()
        let source = try await alice.account()
        _ = try await source.verify(DeviceVerify.Params(jid: "bob@example.org", fingerprint: first.spoken))
        _ = try await source.trust(
            DeviceTrust.Params(jid: "bob@example.org", trust: .distrusted, device: second.own.device))
        _ = try await source.setEncryption(EncryptionSet.Params(policy: .tofu))
        _ = try await source.setEncryption(
            EncryptionSet.Params(jid: "bob@example.org", policy: .verifiedOnly))
        let file = try await source.exportTrust()
        #expect(file.entries.count == 2)
        #expect(file.policies.map(\.jid) == [nil, "bob@example.org"])

        let other = try await Party("alice@example.org")
        let account = try await other.account()
        let params = TrustImport.Params(entries: file.entries, policies: file.policies)
        #expect(try await account.importTrust(params).changed == 4)
        #expect(try await account.exportTrust() == file)
        #expect(try await account.importTrust(params).changed == 0)
        for party in [first, second] { try await other.know(party) }
        #expect(try await other.levels() == [.verified, .distrusted].sorted(like: [first, second]))
    }

    @Test func `an import with one wrong line changes nothing`() async throws {
        let (alice, first, _) = try await known()
        let account = try await alice.account()
        let good = TrustEntry(
            jid: "bob@example.org", fingerprint: first.own.identity.publicKey.fingerprint, trust: .verified)
        for bad in [
            TrustEntry(jid: "bob@", fingerprint: good.fingerprint, trust: .verified),
            TrustEntry(jid: "bob@example.org", fingerprint: "00", trust: .verified),
        ] {
            await #expect(throws: UserError.self) {
                try await account.importTrust(TrustImport.Params(entries: [good, bad]))
            }
        }
        #expect(try await alice.levels() == [.blind, .blind])
    }

    @Test func `an imported decision says so`() async throws {
        let (alice, first, _) = try await known()
        let entry = TrustEntry(
            jid: "bob@example.org", fingerprint: first.own.identity.publicKey.fingerprint, trust: .verified)
        _ = try await alice.account().importTrust(TrustImport.Params(entries: [entry]))
        let detail = try await alice.events(.device).compactMap(\.detail).last
        #expect(detail?.contains(#""source":"imported""#) == true)
        #expect(try await alice.outbox().isEmpty, "other devices are not told")
    }

    @Test func `undecided takes a decision back`() async throws {
        let (alice, first, second) = try await known()
        let account = try await alice.account()
        _ = try await account.verify(DeviceVerify.Params(jid: "bob@example.org", fingerprint: first.spoken))
        _ = try await account.trust(
            DeviceTrust.Params(jid: "bob@example.org", trust: .undecided, device: first.own.device))
        #expect(try await account.exportTrust().entries.isEmpty)
        #expect(try await alice.levels() == [.undecided, .blind].sorted(like: [first, second]))
    }

    // MARK: Parts

    /// Alice knows two devices of bob, both trusted at first sight.
    private func known() async throws -> (Party, Party, Party) {
        let alice = try await Party("alice@example.org")
        let (first, second) = (try await Party("bob@example.org"), try await Party("bob@example.org"))
        try await alice.meet(first, second)
        for other in [first, second] { try await alice.know(other) }
        return (alice, first, second)
    }
}

/// That something is refused with this code.
func expect(
    _ code: ErrorCode, _ body: () async throws -> some Any, at location: SourceLocation = #_sourceLocation
) async {
    do {
        _ = try await body()
        Issue.record("nothing was refused", sourceLocation: location)
    } catch {
        #expect((error as? UserError)?.code == code, "\(error)", sourceLocation: location)
    }
}

extension Party {
    /// The account without a connection.
    func account(_ file: String = "") async throws -> Account {
        let jid = jid
        guard let record = try await store.read({ try $0.account(jid: jid) }) else {
            throw StoreError.io("no account")
        }
        return Account(
            record, store: store, group: MultiThreadedEventLoopGroup.singleton,
            config: try Config(text: file, path: "config.toml"), log: Logger(label: "test"))
    }

    fileprivate var key: PublicKey { own.identity.publicKey.curve25519 }

    /// The fingerprint in groups and capitals.
    fileprivate var spoken: String {
        let digits = Array(key.fingerprint.uppercased())
        return stride(from: 0, to: 64, by: 8).map { String(digits[$0..<($0 + 8)]) }.joined(separator: " ")
    }

    /// Has fetched the other's keys.
    func know(_ other: Party) async throws {
        let key = other.own.identity.publicKey
        _ = try await write { [own] tx in
            try Identification(own: own, now: Self.now).learn(key, of: other.address, .btbv, tx)
        }
    }

    fileprivate func level(of other: Party) async throws -> TrustLevel? {
        try await write { [own] in try $0.device(account: own.account, other.address)?.trust }
    }

    /// What was decided about bob's devices, in the order of their ids.
    fileprivate func levels() async throws -> [TrustLevel] {
        let bob = try JID("bob@example.org")
        return try await write { [own] in try $0.devices(account: own.account, jid: bob).map(\.trust) }
    }
}

extension [TrustLevel] {
    /// In the order of the ids of the devices that they are the levels of.
    fileprivate func sorted(like parties: [Party]) -> [TrustLevel] {
        zip(self, parties).sorted { $0.1.own.device < $1.1.own.device }.map(\.0)
    }
}
