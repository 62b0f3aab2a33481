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
        var bundles: [BundleKey: OMEMO.Bundle] = [:]
        for (_, keys) in Dictionary(grouping: keys, by: \.address.jid) {
            bundles.merge((try? await fetchBundles(keys)) ?? [:]) { $1 }
        }
        return bundles
    }

    /// Tells of what was decided while nothing could be encrypted.
    func tellDecisions() async {
        let id = id
        guard mayEncrypt, let untold = try? await store.read({ try $0.untoldDecisions(account: id) }),
            !untold.isEmpty
        else { return }
        let decisions = untold.map { ($0.decidedAt, KeyDecision(jid: $0.jid, key: $0.key, level: $0.level)) }
        let bundles = try? await bundlesForTrustMessages(about: decisions.map(\.1))
        guard let bundles, mayEncrypt else { return }
        let messages = TrustMessages(own: own, policies: policies, now: Clock.now())
        _ = try? await persist { tx in
            for (at, decision) in decisions {
                // With its own time: it undoes nothing that somebody decided since.
                try messages.send(about: [decision], bundles: bundles, at: at, tx)
                try tx.setUntold(false, account: id, jid: decision.jid, key: decision.key)
            }
        }
        flush()
    }
}
