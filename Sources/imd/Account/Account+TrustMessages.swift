// What it takes to send trust messages: sessions in omemo:2 with the devices that have to know (XEP-0450).
import OMEMO
import Store
import XMPP

extension Account {
    /// The bundles of devices that will be told of these decisions and have no session in omemo:2 yet.
    ///
    /// Empty without a connection: who cannot be reached then is told by nobody, and has to be verified there.
    func bundlesForTrustMessages(about decisions: [KeyDecision]) async throws -> [BundleKey: OMEMO.Bundle] {
        guard isOnline, !decisions.isEmpty else { return [:] }
        let messages = TrustMessages(own: own, policies: policies, now: Clock.now())
        let failures = recentFailures()
        let missing = try await store.read { try messages.withoutSession(about: decisions, $0) }
        let keys = missing.filter { failures[$0] == nil }
        return (try? await fetchBundles(keys)) ?? [:]
    }
}
