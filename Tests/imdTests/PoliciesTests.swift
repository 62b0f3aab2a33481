// Which policy holds: the precedence of file and API, contact and account.
import LocalAPI
import OMEMO
import Store
import Testing
import XMPP

@testable import imd

struct PoliciesTests {
    @Test func `without any word it is blind trust before verification`() async throws {
        let alice = try await Party("alice@example.org")
        let (policy, source) = try await alice.policy(for: "bob@example.org", "")
        #expect(policy == .btbv)
        #expect(source == .default)
    }

    /// Each line of the file or call of the API wins over those before it.
    @Test func `the more special wins, and the file before the API`() async throws {
        let alice = try await Party("alice@example.org")
        let bob = try JID("bob@example.org")
        var file = "[trust]\npolicy = 'tofu'\n"
        #expect(try await alice.policy(for: "bob@example.org", file) == (.tofu, .configuration))
        try await alice.set(.always, for: nil)
        #expect(try await alice.policy(for: "bob@example.org", file) == (.always, .account))
        file += "[account.'alice@example.org'.trust]\npolicy = 'verified-only'\n"
        #expect(try await alice.policy(for: "bob@example.org", file) == (.verifiedOnly, .configuration))
        try await alice.set(.btbv, for: bob)
        #expect(try await alice.policy(for: "bob@example.org", file) == (.btbv, .contact))
        file += "[account.'alice@example.org'.trust.contacts]\n'bob@example.org' = 'always'\n"
        #expect(try await alice.policy(for: "bob@example.org", file) == (.always, .configuration))
    }

    @Test func `what is said for one contact or account holds for no other`() async throws {
        let alice = try await Party("alice@example.org")
        try await alice.set(.always, for: try JID("bob@example.org"))
        let file = "[account.'other@example.org'.trust]\npolicy = 'verified-only'\n"
        #expect(try await alice.policy(for: "carol@example.org", file) == (.btbv, .default))
        #expect(try await alice.policy(for: "bob@example.org", file) == (.always, .contact))
    }

    @Test func `a policy is taken back`() async throws {
        let alice = try await Party("alice@example.org")
        let bob = try JID("bob@example.org")
        try await alice.set(.always, for: nil)
        try await alice.set(.tofu, for: bob)
        try await alice.set(nil, for: bob)
        #expect(try await alice.policy(for: "bob@example.org", "") == (.always, .account))
        try await alice.set(nil, for: nil)
        #expect(try await alice.policy(for: "bob@example.org", "") == (.btbv, .default))
    }

    @Test func `only what the file says for the same contact or account is fixed`() throws {
        let file = """
            [trust]
            policy = 'tofu'
            [account.'alice@example.org'.trust.contacts]
            'bob@example.org' = 'always'
            """
        let policies = Policies(try Config(text: file, path: "config.toml").trust)
        let (alice, bob) = (try JID("alice@example.org"), try JID("bob@example.org"))
        #expect(policies.fixed(for: bob, account: alice) == .always)
        #expect(policies.fixed(for: try JID("carol@example.org"), account: alice) == nil)
        #expect(policies.fixed(for: nil, account: alice) == nil)
    }
}

extension Party {
    fileprivate func policy(for jid: String, _ file: String) async throws -> (TrustPolicy, Policies.Source) {
        let policies = Policies(try Config(text: file, path: "config.toml").trust)
        let jid = try JID(jid)
        return try await write { [own] tx in
            let (policy, source) = try policies.policy(for: jid, account: own, tx)
            return (policy, source)
        }
    }

    fileprivate func set(_ policy: TrustPolicy?, for contact: JID?) async throws {
        try await write { [own] tx in try tx.setPolicy(policy, account: own.account, jid: contact) }
    }
}
