// Lost sessions: what starts a new one, and what never does (threat rows 31 and 21).
import IMCrypto
import OMEMO
import Store
import Testing
import XMPP

@testable import imd

struct HealingTests {
    @Test(arguments: ProtocolVersion.allCases)
    func `a lost session is replaced and messages flow again`(_ version: ProtocolVersion) async throws {
        let (alice, bob) = try await talking(version)
        try await bob.write { [own = bob.own] in try $0.removeSessions(account: own.account, alice.address) }
        let effects = try await bob.receive(try await alice.encrypt("lost", to: bob), from: alice.jid)
        #expect(effects.isBroken)
        #expect(try await broken(bob) == [BrokenSession(alice.address, version)])
        #expect(try await bob.events(.undecryptable).count == 1)
        try await bob.meet(alice, versions: [version])
        let renewal = Renewal(own: bob.own, policies: bob.policies, now: Party.now)
        let bundle = try await alice.bundle(version)
        let isRenewed = try await bob.write {
            try renewal.renew(BundleKey(alice.address, version), with: bundle, $0)
        }
        #expect(isRenewed)
        try await alice.receive(try #require(try await bob.outbox().last), from: bob.jid)
        try await bob.receive(try await alice.encrypt("found", to: bob), from: alice.jid)
        #expect(try await bob.bodies().last == "found")
    }

    @Test func `C21 a bundle with another identity key heals nothing`() async throws {
        let (alice, bob) = try await talking(.legacy)
        let mallory = try await Party("m@evil.example")
        try await bob.meet(alice)
        let renewal = Renewal(own: bob.own, policies: bob.policies, now: Party.now)
        let bundle = try await mallory.bundle()
        let before = try await bob.outbox().count
        let isRenewed = try await bob.write {
            try renewal.renew(BundleKey(alice.address, .legacy), with: bundle, $0)
        }
        #expect(!isRenewed)
        #expect(try await bob.outbox().count == before)
    }

    @Test func `C31 a stranger's garbage breaks nothing`() async throws {
        let (alice, bob) = try await talking(.legacy)
        let message = try await alice.encrypt("hello", to: bob)
        let effects = try await bob.receive(message, from: try JID("m@evil.example"))
        #expect(!effects.isBroken)
        #expect(try await broken(bob).isEmpty)
    }

    private func broken(_ party: Party) async throws -> [BrokenSession] {
        try await party.write { [own = party.own] in try $0.brokenSessions(account: own.account) }
    }

    /// Two who have a session and know it.
    private func talking(_ version: ProtocolVersion) async throws -> (Party, Party) {
        let (alice, bob) = (try await Party("alice@example.org"), try await Party("bob@example.org"))
        try await alice.meet(bob, versions: [version])
        try await alice.befriend(bob.jid)
        try await bob.befriend(alice.jid)
        try await bob.receive(try await alice.encrypt("one", to: bob), from: alice.jid)
        try await alice.receive(try #require(try await bob.outbox().first), from: bob.jid)
        return (alice, bob)
    }
}
