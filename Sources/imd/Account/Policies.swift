// Which trust policy holds for whom: what the configuration file fixes, what was set over the API, and the default.
import OMEMO
import Store
import XMPP

/// The policies of all accounts. The more special wins, and the file before the API: contact in the file, contact by
/// API, account in the file, account by API, `[trust] policy`, blind trust before verification.
struct Policies: Sendable {
    /// Who set a policy.
    enum Source: String, Sendable, CaseIterable {
        case `default`
        case account
        case contact
        case configuration
    }

    private let settings: TrustSettings

    init(_ settings: TrustSettings) { self.settings = settings }

    /// The policy for the devices of `jid`, which may be the account's own.
    func policy(
        for jid: JID, account: OwnIdentity, _ tx: Transaction
    ) throws -> (policy: TrustPolicy, source: Source) {
        if let policy = fixed(for: jid, account: account.jid) { return (policy, .configuration) }
        if let policy = try tx.policy(account: account.account, jid: jid.bare) { return (policy, .contact) }
        return try policy(of: account, tx)
    }

    /// The policy of an account for everybody for whom there is no other.
    func policy(of account: OwnIdentity, _ tx: Transaction) throws -> (policy: TrustPolicy, source: Source) {
        if let policy = fixed(for: nil, account: account.jid) { return (policy, .configuration) }
        if let policy = try tx.policy(account: account.account, jid: nil) { return (policy, .account) }
        if let policy = settings.policy { return (policy, .configuration) }
        return (.btbv, .default)
    }

    /// What the file says for a contact, or without one for an account: the API cannot set it.
    func fixed(for contact: JID?, account: JID) -> TrustPolicy? {
        settings.policy(account: account, contact: contact?.bare)
    }
}

/// Who decided about a key. The API's type of that name is a word on the wire; this file does not import it.
typealias DecisionSource = TrustSource
