// Policies, links, and who is told of a decision (threat row 30; XEP-0450).
import IMCrypto
import Testing
import XMPP

@testable import OMEMO

@Suite struct TrustTests {
    @Test(arguments: [
        (TrustPolicy.btbv, [TrustLevel.blind, .verified]), (.tofu, [.blind, .verified]),
        (.verifiedOnly, [.verified]), (.always, [.undecided, .blind, .verified]),
    ])
    func `a policy says who receives`(_ policy: TrustPolicy, _ receiving: [TrustLevel]) {
        #expect(TrustLevel.allCases.filter(policy.receives) == receiving)
    }

    @Test func `C30 after one verification nothing is trusted blindly`() {
        let policy = TrustPolicy.btbv
        #expect(policy.levelForNewDevice(among: [], isFirstContact: true) == .blind)
        #expect(
            policy.levelForNewDevice(among: [.blind, .undecided, .distrusted], isFirstContact: false)
                == .blind)
        #expect(policy.levelForNewDevice(among: [.blind, .verified], isFirstContact: false) == .undecided)
    }

    @Test func `a link comes back as it was made`() throws {
        let key = identity(1).curve25519
        let link = VerificationURI(
            jid: try JID("bob@example.org"), keys: [31415: key, 7: identity(2).curve25519])
        #expect(try VerificationURI(link.text) == link)
        #expect(link.text.hasPrefix("xmpp:bob@example.org?omemo-sid-7="))
        #expect(link.text.hasSuffix(";omemo-sid-31415=\(key.fingerprint)"))
    }

    @Test func `links of other clients are read`() throws {
        let key = identity(1).curve25519
        let hex = key.fingerprint
        for text in [
            "xmpp:bob@example.org?omemo-sid-7=\(hex)",
            "XMPP:bob@example.org?message;omemo-sid-7=\(hex.uppercased())",
            "xmpp:bob@example.org?omemo-sid-7=\(hex)&body=x", "xmpp:b%6fb@example.org?omemo-sid-7=\(hex)",
        ] {
            let link = try VerificationURI(text)
            #expect(link.jid.description == "bob@example.org" && link.keys == [7: key])
        }
    }

    @Test(arguments: [
        "", "bob@example.org", "xmpp:bob@example.org", "xmpp:bob@example.org?message",
        "xmpp:?omemo-sid-7=HEX",
        "xmpp:bob@example.org?omemo-sid-7=00", "xmpp:bob@example.org?omemo-sid-0=HEX",
        "xmpp:bob@example.org?omemo-sid-x=HEX", "xmpp:bob@example.org?omemo-sid-7=HEX;omemo-sid-7=HEX",
        "xmpp:b%zzb@example.org?omemo-sid-7=HEX", "http:bob@example.org?omemo-sid-7=HEX",
    ])
    func `what is no link is refused`(_ text: String) throws {
        let text = text.replacing("HEX", with: identity(1).curve25519.fingerprint)
        #expect(throws: CodecError.self) { try VerificationURI(text) }
    }

    @Test func `fingerprints are read in groups and in capitals`() {
        let key = identity(1).curve25519
        let groups = stride(from: 0, to: 64, by: 8).map { String(key.fingerprint.dropFirst($0).prefix(8)) }
        #expect(PublicKey(fingerprint: groups.joined(separator: " ").uppercased()) == key)
        #expect(PublicKey(fingerprint: groups.joined(separator: ":")) == key)
        #expect(PublicKey(fingerprint: String(key.fingerprint.dropLast())) == nil)
        #expect(PublicKey(fingerprint: key.fingerprint + "0") == nil)
        #expect(PublicKey(fingerprint: "x" + key.fingerprint.dropFirst()) == nil)
    }

    private func identity(_ seed: UInt64) -> IdentityKey {
        var random = Seeded(seed)
        return IdentityKeyPair.generate(using: &random).publicKey
    }
}

/// Alice has this device, A2 and A3; Bob has B1 and B2, as in the examples of XEP-0450.
@Suite struct TrustMessageRulesTests {
    private let alice: JID
    private let bob: JID

    init() throws {
        alice = try JID("alice@example.org")
        bob = try JID("bob@example.com")
    }

    private func endpoint(
        _ jid: JID, _ device: UInt32, _ level: TrustLevel, reads: Bool = true
    ) -> TrustMessageRules.Endpoint {
        var random = Seeded(UInt64(device) &+ (jid == bob ? 1000 : 0))
        return .init(
            address: DeviceAddress(jid: jid, device: device),
            key: IdentityKeyPair.generate(using: &random).publicKey, level: level, readsTrustMessages: reads)
    }

    private func notices(
        _ decided: TrustMessageRules.Endpoint, among others: [TrustMessageRules.Endpoint]
    ) -> [[DeviceAddress]: [TrustMessage.KeyOwner]] {
        let rules = TrustMessageRules(account: alice, endpoints: others + [decided])
        return Dictionary(
            uniqueKeysWithValues: rules.notices(about: decided).map { ($0.recipients, $0.message.owners) })
    }

    @Test func `5_1 a contact's key is told to own devices, and own keys to it`() {
        let (a2, a3) = (endpoint(alice, 2, .verified), endpoint(alice, 3, .blind))
        let b1 = endpoint(bob, 1, .verified)
        #expect(
            notices(b1, among: [a2, a3]) == [
                [a2.address]: [.init(jid: bob, trusted: [b1.key.ed25519])],
                [b1.address]: [.init(jid: alice, trusted: [a2.key.ed25519])],
            ])
    }

    @Test func `5_1 an own key is told to everybody, and all keys to it`() {
        let (a2, a3) = (endpoint(alice, 2, .verified), endpoint(alice, 3, .verified))
        let (b1, b2) = (endpoint(bob, 1, .verified), endpoint(bob, 2, .undecided))
        #expect(
            notices(a3, among: [a2, b1, b2]) == [
                [a2.address, b1.address]: [.init(jid: alice, trusted: [a3.key.ed25519])],
                [a3.address]: [
                    .init(jid: alice, trusted: [a2.key.ed25519]), .init(jid: bob, trusted: [b1.key.ed25519]),
                ],
            ])
    }

    @Test func `5_2 a refused own key is told to everybody, a contact's to own devices alone`() {
        let a2 = endpoint(alice, 2, .verified)
        let (b1, b2) = (endpoint(bob, 1, .verified), endpoint(bob, 2, .distrusted))
        #expect(
            notices(endpoint(alice, 3, .distrusted), among: [a2, b1]).keys.map { $0 } == [
                [a2.address, b1.address]
            ])
        #expect(
            notices(b2, among: [a2, b1]) == [[a2.address]: [.init(jid: bob, distrusted: [b2.key.ed25519])]])
    }

    @Test func `4 nobody is told whose key is not authenticated, or who cannot read it`() {
        let others = [
            endpoint(alice, 2, .blind), endpoint(alice, 3, .verified, reads: false),
            endpoint(bob, 2, .verified),
        ]
        let b1 = endpoint(bob, 1, .verified, reads: false)
        #expect(notices(b1, among: others).isEmpty)
        #expect(notices(endpoint(bob, 3, .blind), among: others).isEmpty)
    }

    @Test func `5 a contact speaks about his own devices alone, an own device about everybody`() {
        let message = TrustMessage(
            encryption: ProtocolVersion.omemo2.rawValue,
            owners: [
                .init(jid: alice, trusted: [Bytes(repeating: 1, count: 32)]),
                .init(
                    jid: bob, trusted: [Bytes(repeating: 2, count: 32)],
                    distrusted: [Bytes(repeating: 3, count: 32), [4]]),
            ])
        let fromBob = TrustMessageRules.words(of: message, from: bob, account: alice)
        #expect(fromBob.map(\.owner) == [bob, bob])
        #expect(fromBob.map(\.level) == [.verified, .distrusted], "a key of 1 byte is none")
        #expect(TrustMessageRules.words(of: message, from: alice, account: alice).count == 3)
    }

    @Test func `messages of another usage or encryption say nothing`() {
        for (usage, encryption) in [("other", "urn:xmpp:omemo:2"), (TrustMessage.automatic, "other")] {
            let message = TrustMessage(
                usage: usage, encryption: encryption,
                owners: [.init(jid: bob, trusted: [Bytes(repeating: 2, count: 32)])])
            #expect(TrustMessageRules.words(of: message, from: bob, account: alice).isEmpty)
        }
    }
}
