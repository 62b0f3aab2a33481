// What an account's server says it can do (XEP-0030), as far as imd uses it.
import XMPP

struct ServerFeatures: Equatable, Sendable {
    /// Whether the server answered at all.
    var areKnown = false
    /// It marks messages with their id in the account's archive, and removes ids that others made up (XEP-0359 §5).
    var stanzaIDs = false
    /// It keeps an archive of the account's messages (XEP-0313).
    var archive = false
    /// It copies messages to all clients of the account (XEP-0280).
    var carbons = false
    /// It stores what the account publishes (XEP-0163).
    var pep = false

    init() {}

    /// - Parameters:
    ///   - account: what the account's bare JID answered.
    ///   - server: what the domain answered.
    init(account: DiscoInfo?, server: DiscoInfo?) {
        func offers(_ feature: String) -> Bool {
            account?.supports(feature) == true || server?.supports(feature) == true
        }
        areKnown = account != nil
        // These two are the archive's to say, not the server's.
        stanzaIDs = account?.supports(Namespace.stanzaIDs) == true
        archive = account?.supports(Namespace.archive) == true
        carbons = offers(Namespace.carbons)
        pep = account?.identities.contains { $0.category == "pubsub" && $0.type == "pep" } == true
    }
}
