// A database that is older than what this device has done since: an old copy was put back (fault row F7).
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

/// The ratchets of such a copy have been used beyond what it remembers. Using them again would encrypt two texts with
/// one key, and the contacts' devices would refuse both; so they are given up, and new sessions take their place.
struct Restoration {
    let own: OwnIdentity
    let now: Int64

    /// Ids count up from 1, so one beyond this was not made by us.
    private static let highestBelievableID: UInt32 = 1 << 30

    /// Looks at the bundle that is published under our name. Where it holds keys that only a later state of this
    /// database can have made, gives up the sessions and makes keys with ids beyond.
    ///
    /// A server can make that up, as pre-keys are not signed: it gains new sessions, and that its later bundles are not
    /// believed.
    func compare(with published: Bundle, _ tx: Transaction) throws {
        guard published.identityKey.curve25519 == own.identity.publicKey.curve25519,
            published.signedPreKeyID <= Self.highestBelievableID,
            let account = try tx.account(id: own.account)
        else { return }
        let signed = try tx.highestSignedPreKeyID(account: own.account)
        let believable = published.preKeys.map(\.id).filter { $0 <= Self.highestBelievableID }
        let next = (believable.max() ?? 0) + 1
        guard published.signedPreKeyID > signed || next > account.nextPreKeyID else { return }
        try abandonSessions(tx)
        try tx.setNextPreKeyID(max(next, account.nextPreKeyID), account: own.account)
        var random = SystemRandomNumberGenerator()
        try tx.add(
            .generate(
                after: max(published.signedPreKeyID, signed), identity: own.identity, at: now, using: &random),
            account: own.account)
    }

    func abandonSessions(_ tx: Transaction) throws {
        try tx.removeSessions(account: own.account)
        let error = UserError(
            .storage, "the database is older than what this device has sent: a backup was put back",
            hint: "all sessions were given up and new ones begin with the next messages; "
                + "what was sent to us meanwhile may be unreadable")
        try tx.append(.error(error), account: own.account, chat: nil, now: now)
    }
}
