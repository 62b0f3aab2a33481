// Automatic trust management between devices (XEP-0450, with the steps of its use cases), and whose word counts.
import IMCrypto
import LocalAPI
import OMEMO
import Store
import Testing
import XMPP

@testable import imd

struct TrustMessagesTests {
    // MARK: The use cases

    @Test func `an own device learns the key of a contact that was verified on another`() async throws {
        let net = try await Network(alice: 2, bob: 1)
        let (a1, a2, b1) = (net.alice[0], net.alice[1], net.bob[0])
        try await net.verify(a2, on: a1)
        try await net.verify(a1, on: a2)
        try await net.verify(b1, on: a1)
        #expect(try await a2.trust(of: b1) == .verified)
        let detail = try #require(try await a2.events(.device).last?.detail)
        for part in [#""change":"trust-changed""#, #""source":"trust-message""#, #""jid":"bob@example.org""#]
        {
            #expect(detail.contains(part))
        }
    }

    @Test func `the word of a device counts once its own key is authenticated`() async throws {
        let net = try await Network(alice: 2, bob: 1)
        let (a1, a2, b1) = (net.alice[0], net.alice[1], net.bob[0])
        try await net.verify(a2, on: a1)
        try await net.verify(b1, on: a1)
        #expect(try await a2.trust(of: b1) == .blind)
        #expect(try await b1.trust(of: a2) == .blind)
        try await net.verify(a1, on: a2)
        #expect(try await a2.trust(of: b1) == .verified)
        try await net.verify(a1, on: b1)
        #expect(try await b1.trust(of: a2) == .verified)
    }

    @Test func `verifying once carries over to two devices on each side`() async throws {
        let net = try await Network(alice: 2, bob: 2)
        let (a1, a2, b1, b2) = (net.alice[0], net.alice[1], net.bob[0], net.bob[1])
        for (one, other) in [(a1, a2), (a1, b1), (b1, b2)] {
            try await net.verify(one, on: other)
            try await net.verify(other, on: one)
        }
        for party in net.all {
            for other in net.all where other !== party {
                let trust = try await party.trust(of: other)
                #expect(trust == .verified, "\(other.own.address) on \(party.own.address)")
            }
        }
    }

    @Test func `a refusal is told to own devices, and of an own device to everybody`() async throws {
        let net = try await Network(alice: 3, bob: 1)
        let (a1, a2, a3, b1) = (net.alice[0], net.alice[1], net.alice[2], net.bob[0])
        for (one, other) in [(a1, a2), (a1, b1), (a1, a3)] {
            try await net.verify(one, on: other)
            try await net.verify(other, on: one)
        }
        try await net.decide(.distrusted, about: a3, on: a1)
        #expect(try await a2.trust(of: a3) == .distrusted)
        #expect(try await b1.trust(of: a3) == .distrusted)
        try await net.decide(.distrusted, about: b1, on: a1)
        #expect(try await a2.trust(of: b1) == .distrusted)
        #expect(try await a3.trust(of: b1) == .verified, "a device that was refused is told nothing")
    }

    // MARK: What goes out

    @Test func `only authenticated devices that are listed for omemo 2 are told`() async throws {
        let net = try await Network(alice: 3, bob: 1)
        let (a1, a2, b1) = (net.alice[0], net.alice[1], net.bob[0])
        try await net.verify(a2, on: a1)
        let before = try await a1.outbox().count
        try await net.verify(b1, on: a1)
        let stanzas = try await a1.outbox().dropFirst(before)
        #expect(stanzas.map { $0["to"] } == ["alice@example.org", "bob@example.org"])
        for (stanza, device) in zip(stanzas, [a2, b1]) {
            let message = try encrypted(stanza)
            #expect(message.keys.map(\.rid) == [device.own.device])
            #expect(message.keys.map(\.jid) == [device.jid])
        }
    }

    @Test func `a device of the legacy version alone is told nothing`() async throws {
        let net = try await Network(alice: 2, bob: 1, versions: [.legacy])
        try await net.verify(net.alice[1], on: net.alice[0])
        try await net.verify(net.bob[0], on: net.alice[0])
        #expect(try await net.alice[0].outbox().isEmpty)
    }

    @Test func `on the way it is a message without body that servers keep`() async throws {
        let net = try await Network(alice: 1, bob: 1)
        let (a1, b1) = (net.alice[0], net.bob[0])
        try await net.verify(b1, on: a1)
        #expect(try await a1.outbox().isEmpty, "nobody else is there to be told of")
        let other = try await Party("alice@example.org")
        try await net.join(other)
        try await net.verify(other, on: a1)
        for stanza in try await a1.outbox() {
            #expect(stanza.type == "chat")
            #expect(stanza.child("body", in: Namespace.client) == nil)
            #expect(stanza.child("store", in: "urn:xmpp:hints") != nil)
            #expect(!String(decoding: stanza.xml(), as: UTF8.self).contains("trust-message"))
        }
        #expect(try await a1.outbox().count == 2)
    }

    @Test func `it is no message to anybody`() async throws {
        let net = try await Network(alice: 2, bob: 1)
        try await net.verify(net.alice[1], on: net.alice[0])
        try await net.verify(net.bob[0], on: net.alice[0])
        for party in net.all {
            #expect(try await party.bodies().isEmpty)
            #expect(try await party.events(.undecryptable).isEmpty)
        }
    }

    @Test func `the whole key is told, also of a device that showed only half of it`() async throws {
        // The legacy form leaves out one bit: several tries make sure that both values of it are among them.
        for _ in 0..<6 {
            let net = try await Network(alice: 2, bob: 1)
            let (a1, a2, b1) = (net.alice[0], net.alice[1], net.bob[0])
            let half = try IdentityKey(curve25519: b1.own.identity.publicKey.curve25519, signBit: false)
            try await a1.write { [own = a1.own, address = b1.address] tx in
                try tx.forgetDevice(account: own.account, address)
                _ = try tx.setIdentity(account: own.account, address, half, policy: .btbv, now: Party.now)
            }
            try await a1.learn(.omemo2, [b1.own.device], of: b1.jid)
            try await net.verify(a2, on: a1)
            try await net.verify(a1, on: a2)
            try await net.verify(b1, on: a1)
            let told = try await a1.write { [own = a1.own, address = b1.address] tx in
                try tx.device(account: own.account, address)?.identityKey
            }
            #expect(told == b1.own.identity.publicKey)
            #expect(try await a2.trust(of: b1) == .verified)
        }
    }

    /// Everything that left is in the archive too; what no table knows is a sign of an old database only if it is text.
    @Test func `what was sent to other devices comes back from the archive without harm`() async throws {
        let net = try await Network(alice: 2, bob: 1)
        let (a1, a2, b1) = (net.alice[0], net.alice[1], net.bob[0])
        try await net.verify(a2, on: a1)
        try await net.verify(b1, on: a1)
        let sent = try await a1.outbox()
        #expect(sent.count == 2)
        for (index, stanza) in sent.enumerated() {
            let effects = try await a1.read(("\(index)", stanza, from: a1.jid))
            #expect(!effects.isRestored)
        }
        #expect(try await a1.events(.undecryptable).isEmpty)
    }

    /// Servers copy what goes to one's own address, and it is in the archive; and it never is for every device.
    @Test func `a copy, or one for another device, is no reason to complain`() async throws {
        let net = try await Network(alice: 3, bob: 1)
        let (a1, a2, a3, b1) = (net.alice[0], net.alice[1], net.alice[2], net.bob[0])
        try await net.verify(a2, on: a1)
        try await net.verify(a1, on: a2)
        try await net.verify(b1, on: a1)
        let told = try #require(try await a1.outbox().first { $0["to"] == a1.jid.description })
        for party in [a2, a3] {
            let effects = try await party.receive(told, from: a1.jid)
            #expect(!effects.isUnaddressed)
            try await party.read(("7", told, from: a1.jid))
            #expect(try await party.events(.undecryptable).isEmpty)
        }
        #expect(try await a2.trust(of: b1) == .verified)
    }

    // MARK: Whose word counts

    @Test func `a contact speaks for its own devices and for nobody else's`() async throws {
        let net = try await Network(alice: 2, bob: 2)
        let (a1, a2, b1, b2) = (net.alice[0], net.alice[1], net.bob[0], net.bob[1])
        try await net.verify(b1, on: a1)
        try await a1.hear([(a2, .verified), (b2, .verified)], from: b1)
        #expect(try await a1.trust(of: a2) == .blind)
        #expect(try await a1.trust(of: b2) == .verified)
    }

    @Test func `nobody listens to a device that was refused, now or later`() async throws {
        let net = try await Network(alice: 1, bob: 2)
        let (a1, b1, b2) = (net.alice[0], net.bob[0], net.bob[1])
        try await a1.hear([(b2, .verified)], from: b1)
        try await net.decide(.distrusted, about: b1, on: a1)
        try await a1.hear([(b2, .verified)], from: b1)
        try await net.decide(.verified, about: b1, on: a1)
        #expect(try await a1.trust(of: b2) == .blind)
    }

    @Test func `what a person refused here no message accepts`() async throws {
        let net = try await Network(alice: 2, bob: 1)
        let (a1, a2, b1) = (net.alice[0], net.alice[1], net.bob[0])
        try await net.verify(a2, on: a1)
        try await net.decide(.distrusted, about: b1, on: a1)
        try await a1.hear([(b1, .verified)], from: a2, sentAt: Party.now + 1000, now: Party.now + 1000)
        #expect(try await a1.trust(of: b1) == .distrusted)
    }

    @Test func `a device refused before its key was known stays refused`() async throws {
        let net = try await Network(alice: 2, bob: 1)
        let (a1, a2, b1) = (net.alice[0], net.alice[1], net.bob[0])
        let stranger = try await Party("bob@example.org")
        try await a1.learn(.omemo2, [b1.own.device, stranger.own.device], of: b1.jid)
        try await a1.write { [own = a1.own, address = stranger.address] tx in
            _ = try Decisions(own: own, now: Party.now).refuse([address], .distrusted, tx)
        }
        try await a1.know(stranger)
        try await net.verify(a2, on: a1)
        try await a1.hear([(stranger, .verified)], from: a2, sentAt: Party.now)
        #expect(try await a1.trust(of: stranger) == .distrusted)
    }

    /// A server can deliver in any order it likes.
    @Test func `an older word does not undo a newer refusal`() async throws {
        let net = try await Network(alice: 2, bob: 1)
        let (a1, a2, b1) = (net.alice[0], net.alice[1], net.bob[0])
        try await net.verify(a2, on: a1)
        try await a1.hear([(b1, .distrusted)], from: a2, sentAt: Party.now - 1000)
        try await a1.hear([(b1, .verified)], from: a2, sentAt: Party.now - 2000)
        #expect(try await a1.trust(of: b1) == .distrusted)
        try await a1.hear([(b1, .verified)], from: a2, sentAt: nil)
        #expect(try await a1.trust(of: b1) == .distrusted)
        try await a1.hear([(b1, .verified)], from: a2, sentAt: Party.now - 500)
        #expect(try await a1.trust(of: b1) == .verified)
    }

    @Test func `a clock that is ahead does not have the last word`() async throws {
        let net = try await Network(alice: 2, bob: 1)
        let (a1, a2, b1) = (net.alice[0], net.alice[1], net.bob[0])
        try await net.verify(a2, on: a1)
        try await a1.hear([(b1, .distrusted)], from: a2, sentAt: Party.now + 1_000_000)
        try await a1.hear([(b1, .verified)], from: a2, sentAt: Party.now + 1000, now: Party.now + 1000)
        #expect(try await a1.trust(of: b1) == .verified)
    }

    @Test func `nothing is decided about our own key or about what is no key`() async throws {
        let net = try await Network(alice: 2, bob: 1)
        let (a1, a2) = (net.alice[0], net.alice[1])
        try await net.verify(a2, on: a1)
        let ours = a1.own.identity.publicKey.ed25519
        let none = Bytes(repeating: 0xff, count: 32)
        let message = TrustMessage(
            encryption: ProtocolVersion.omemo2.rawValue,
            owners: [
                TrustMessage.KeyOwner(jid: a1.jid, distrusted: [ours, none]),
                TrustMessage.KeyOwner(jid: net.bob[0].jid, trusted: [none, [1, 2, 3]]),
            ])
        let people = try await a1.hear(message, from: a2)
        #expect(people.isEmpty)
        let decided = try await a1.write { [own = a1.own] in try $0.decisions(account: own.account) }
        #expect(decided.map(\.key) == [a2.own.identity.publicKey.curve25519])
    }

    @Test func `a key that was never seen is trusted when it comes`() async throws {
        let net = try await Network(alice: 2, bob: 1)
        let (a1, a2, b1) = (net.alice[0], net.alice[1], net.bob[0])
        try await net.verify(a2, on: a1)
        try await net.verify(b1, on: a1)
        let new = try await Party("bob@example.org")
        try await a1.hear([(new, .verified)], from: a2, sentAt: Party.now)
        try await a1.learn(.omemo2, [b1.own.device, new.own.device], of: b1.jid)
        try await a1.know(new)
        #expect(try await a1.trust(of: new) == .verified)
    }

    @Test(arguments: ["urn:xmpp:atm:0", ""])
    func `another usage says nothing`(_ usage: String) async throws {
        let net = try await Network(alice: 2, bob: 1)
        let (a1, a2, b1) = (net.alice[0], net.alice[1], net.bob[0])
        try await net.verify(a2, on: a1)
        let message = TrustMessage(
            usage: usage, encryption: ProtocolVersion.omemo2.rawValue,
            owners: [TrustMessage.KeyOwner(jid: b1.jid, trusted: [b1.own.identity.publicKey.ed25519])])
        #expect(try await a1.hear(message, from: a2).isEmpty)
        #expect(try await a1.trust(of: b1) == .blind)
    }

    private func encrypted(_ stanza: Element) throws -> EncryptedMessage {
        let element = try #require(stanza.child("encrypted", in: ProtocolVersion.omemo2.rawValue))
        return try EncryptedMessage(element, .omemo2)
    }
}

/// Devices of alice and bob that know each other's lists and keys, and a server between them.
private final class Network {
    private(set) var alice: [Party] = []
    private(set) var bob: [Party] = []
    private let versions: [ProtocolVersion]
    /// How much of each party's outbox was delivered.
    private var delivered: [ObjectIdentifier: Int] = [:]

    var all: [Party] { alice + bob }

    init(
        alice: Int, bob: Int, versions: [ProtocolVersion] = ProtocolVersion.allCases
    ) async throws {
        self.versions = versions
        for _ in 0..<alice { self.alice.append(try await Party("alice@example.org")) }
        for _ in 0..<bob { self.bob.append(try await Party("bob@example.org")) }
        try await introduce()
    }

    /// One more device of alice.
    func join(_ party: Party) async throws {
        alice.append(party)
        try await introduce()
    }

    private func introduce() async throws {
        for party in all {
            for person in [alice, bob] {
                for version in versions {
                    try await party.learn(version, person.map(\.own.device), of: person[0].jid)
                }
                for other in person where other !== party { try await party.know(other) }
                if person[0].jid != party.jid { try await party.befriend(person[0].jid) }
            }
        }
    }

    func verify(_ other: Party, on party: Party) async throws {
        try await decide(.verified, about: other, on: party)
    }

    /// A person decides on `party`; everything that is sent then arrives.
    func decide(_ level: TrustLevel, about other: Party, on party: Party) async throws {
        let decisions = [
            KeyDecision(jid: other.jid, key: other.own.identity.publicKey.curve25519, level: level)
        ]
        let messages = TrustMessages(own: party.own, policies: party.policies, now: Party.now)
        let missing = try await party.write { try messages.withoutSession(about: decisions, $0) }
        var bundles: [BundleKey: OMEMO.Bundle] = [:]
        for key in missing {
            let device = all.first { $0.address == key.address }
            bundles[key] = try await device?.bundle(key.version)
        }
        let known = bundles
        try await party.write { [own = party.own] tx in
            _ = try Decisions(own: own, now: Party.now).apply(decisions, source: .person, tx)
            try messages.send(about: decisions, bundles: known, tx)
        }
        try await deliver()
    }

    private func deliver() async throws {
        for _ in 0..<10 {
            var isQuiet = true
            for party in all {
                let stanzas = try await party.outbox()
                let new = stanzas.dropFirst(delivered[ObjectIdentifier(party)] ?? 0)
                delivered[ObjectIdentifier(party)] = stanzas.count
                for stanza in new {
                    isQuiet = false
                    for other in all where other !== party && stanza["to"] == other.jid.description {
                        try await other.receive(stanza, from: party.jid)
                    }
                }
            }
            if isQuiet { return }
        }
        Issue.record("the devices do not stop talking")
    }
}

extension Party {
    fileprivate func trust(of other: Party) async throws -> TrustLevel? {
        try await write { [own] in try $0.device(account: own.account, other.address)?.trust }
    }

    @discardableResult
    fileprivate func hear(
        _ words: [(Party, TrustLevel)], from sender: Party, sentAt: Int64? = nil, now: Int64 = now
    ) async throws -> Set<JID> {
        let owners = words.map { party, level in
            let key = party.own.identity.publicKey.ed25519
            return level == .verified
                ? TrustMessage.KeyOwner(jid: party.jid, trusted: [key])
                : TrustMessage.KeyOwner(jid: party.jid, distrusted: [key])
        }
        let message = TrustMessage(encryption: ProtocolVersion.omemo2.rawValue, owners: owners)
        return try await hear(message, from: sender, sentAt: sentAt, now: now)
    }

    fileprivate func hear(
        _ message: TrustMessage, from sender: Party, sentAt: Int64? = nil, now: Int64 = now
    ) async throws -> Set<JID> {
        let messages = TrustMessages(own: own, policies: policies, now: now)
        return try await write { try messages.receive(message, from: sender.address, sentAt: sentAt, $0) }
    }
}
