// What it takes to send trust messages: sessions in omemo:2 with the devices that have to know (XEP-0450).
import OMEMO
import Store
import XMPP

extension Account {
    /// The bundles of devices that will be told of these decisions and have no session in omemo:2 yet.
    ///
    /// Empty while nothing may be encrypted: then `tellDecisions` follows.
    func bundlesForTrustMessages(about decisions: [KeyDecision]) async throws -> [BundleKey: OMEMO.Bundle] {
        guard mayEncrypt, !decisions.isEmpty else { return [:] }
        let messages = TrustMessages(own: own, policies: policies, now: Clock.now())
        let failures = recentFailures()
        let missing = try await store.read { try messages.withoutSession(about: decisions, $0) }
        let keys = missing.filter { failures[$0] == nil }
        return (try? await fetchBundles(keys)) ?? [:]
    }
    /// Tells of what was decided while nothing could be encrypted.
    func tellDecisions() async {
        let id = id
        guard mayEncrypt, let untold = try? await store.read({ try $0.untoldDecisions(account: id) }),
            !untold.isEmpty
        else { return }
        let decisions = untold.map { KeyDecision(jid: $0.jid, key: $0.key, level: $0.level) }
        guard let bundles = try? await bundlesForTrustMessages(about: decisions), mayEncrypt else { return }
        let messages = TrustMessages(own: own, policies: policies, now: Clock.now())
        _ = try? await persist { tx in
            try messages.send(about: decisions, bundles: bundles, tx)
            for decision in decisions {
                try tx.setUntold(false, account: id, jid: decision.jid, key: decision.key)
            }
        }
        flush()
    }
}
