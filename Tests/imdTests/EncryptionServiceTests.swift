// How a chat is encrypted, as a person sets it over the API, and what waits for a decision (threat rows 29 and 30).
import LocalAPI
import OMEMO
import Store
import Testing
import XMPP

@testable import imd

struct EncryptionServiceTests {
    @Test func `a chat that was encrypted is cleared by a person and by the next message set again`()
        async throws
    {
        let (alice, bob) = (try await Party("alice@example.org"), try await Party("bob@example.org"))
        try await alice.meet(bob)
        let account = try await alice.account()
        #expect(try await account.encryption(of: "bob@example.org").required == false)
        _ = try await alice.encrypt("hello", to: bob)
        let encrypted = try await account.encryption(of: "bob@example.org")
        #expect(encrypted.required)
        #expect(encrypted.since == Timestamp(milliseconds: Party.now))
        let cleared = try await account.setEncryption(
            EncryptionSet.Params(jid: "bob@example.org", required: false))
        #expect(!cleared.required)
        #expect(cleared.since == nil)
        _ = try await alice.encrypt("hello again", to: bob)
        #expect(try await account.encryption(of: "bob@example.org").required)
    }

    @Test(arguments: [true, false])
    func `an opt-out is answered by a person, either way`(_ required: Bool) async throws {
        let alice = try await Party("alice@example.org")
        let bob = try JID("bob@example.org")
        let account = try await alice.account()
        try await alice.write { [own = alice.own] tx in
            try tx.setOptOut(account: own.account, chat: bob, reason: "no keys here", now: Party.now)
        }
        let asked = try await account.encryption(of: "bob@example.org")
        #expect(asked.optedOut == OptedOut(reason: "no keys here", at: Timestamp(milliseconds: Party.now)))
        let answered = try await account.setEncryption(
            EncryptionSet.Params(jid: "bob@example.org", required: required))
        #expect(answered.optedOut == nil)
        #expect(answered.required == required)
    }

    @Test func `policies are set and taken back`() async throws {
        let alice = try await Party("alice@example.org")
        let account = try await alice.account()
        var now = try await account.setEncryption(EncryptionSet.Params(policy: .verifiedOnly))
        #expect((now.policy, now.policySource) == (.verifiedOnly, .account))
        now = try await account.setEncryption(EncryptionSet.Params(jid: "bob@example.org", policy: .always))
        #expect((now.policy, now.policySource) == (.always, .contact))
        now = try await account.setEncryption(
            EncryptionSet.Params(jid: "bob@example.org", clearPolicy: true))
        #expect((now.policy, now.policySource) == (.verifiedOnly, .account))
        #expect(try await account.exportTrust().policies == [PolicyEntry(policy: .verifiedOnly)])
        #expect(try await alice.outbox().isEmpty)
    }

    @Test func `what the configuration file fixes cannot be set`() async throws {
        let alice = try await Party("alice@example.org")
        let account = try await alice.account(
            "[account.'alice@example.org'.trust]\npolicy = 'verified-only'\n")
        await expect(.conflict) {
            try await account.setEncryption(EncryptionSet.Params(policy: .always))
        }
        await expect(.conflict) {
            try await account.importTrust(
                TrustImport.Params(
                    entries: [
                        TrustEntry(
                            jid: "bob@example.org", fingerprint: alice.own.identity.publicKey.fingerprint,
                            trust: .verified)
                    ], policies: [PolicyEntry(policy: .always)]))
        }
        #expect(try await account.exportTrust() == TrustExport.Result(entries: [], policies: []))
        // A contact is more special than the account.
        let now = try await account.setEncryption(
            EncryptionSet.Params(jid: "bob@example.org", policy: .always))
        #expect((now.policy, now.policySource) == (.always, .contact))
    }

    // MARK: Messages that wait

    @Test(arguments: [TrustLevel.verified, .distrusted])
    func `C30 what is held goes out after a verification and fails after a refusal`(_ level: TrustLevel)
        async throws
    {
        let (alice, bob) = (try await Party("alice@example.org"), try await Party("bob@example.org"))
        try await alice.meet(bob)
        let account = try await alice.account()
        _ = try await account.setEncryption(
            EncryptionSet.Params(jid: "bob@example.org", policy: .verifiedOnly))
        let outbound = alice.outbound([BundleKey(bob.address, .legacy): try await bob.bundle()])
        let request = SendRequest(chat: bob.jid, body: "secret", clientID: nil, plaintext: false)
        let held = try await alice.write { try outbound.accept(request, mayEncrypt: true, $0).message }
        #expect(held.state == .held)
        _ = try await account.trust(
            DeviceTrust.Params(jid: "bob@example.org", trust: Trust(level), device: bob.own.device))
        _ = try await alice.write { try outbound.encryptWaiting(in: bob.jid, $0) }
        let now = try await alice.write { try $0.message(row: held.id) }
        #expect(now?.state == (level == .verified ? .queued : .failed))
        #expect(now?.reason == (level == .verified ? nil : "no-trusted-device"))
        #expect(try await alice.outbox().count == (level == .verified ? 1 : 0))
    }
}
