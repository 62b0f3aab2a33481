// Our own bundles as they stand in the store, renewed where their time has come (XEP-0384 §5.3.2).
import IMCrypto
import LocalAPI
import OMEMO
import Store

extension Transaction {
    /// The bundles to publish, one for each version, with the same keys: as many pre-keys as there should be, and a
    /// signed pre-key that is not too old.
    func currentBundles(of own: OwnIdentity, now: Int64) throws -> [Bundle] {
        var random = SystemRandomNumberGenerator()
        let highest = try highestSignedPreKeyID(account: own.account)
        // One bad key must not keep the others from being published.
        if try !removeDamagedPreKeys(account: own.account).isEmpty {
            let error = UserError(
                .storage, "keys of this device were damaged and have been replaced",
                hint: "a first message that used one of them cannot be read; see: imctl doctor")
            try append(.error(error), account: own.account, chat: nil, now: now)
        }
        let count = try preKeyCount(account: own.account)
        if count < OwnDevice.publishedPreKeys {
            // Not after the highest that is left: the id of a spent key is never given again.
            let next = try account(id: own.account)?.nextPreKeyID ?? 1
            try addPreKeys(
                OwnDevice.makePreKeys(after: next > 1 ? next - 1 : nil, published: count, using: &random),
                account: own.account)
        }
        let signed = try currentSignedPreKey(of: own, after: highest, now: now, using: &random)
        let preKeys = try allPreKeys(account: own.account).map {
            Bundle.PreKey(id: $0.id, key: $0.keyPair.publicKey)
        }
        return ProtocolVersion.allCases.map {
            Bundle($0, identity: own.identity, signedPreKey: signed, preKeys: preKeys)
        }
    }

    private func currentSignedPreKey(
        of own: OwnIdentity, after highest: UInt32, now: Int64,
        using random: inout some RandomNumberGenerator
    ) throws -> SignedPreKey {
        let kept = try signedPreKeys(account: own.account)
        if let newest = kept.first, !OwnDevice.signedPreKeyIsDue(createdAt: newest.createdAt, now: now) {
            return newest
        }
        let next = SignedPreKey.generate(
            after: highest > 0 ? highest : nil, identity: own.identity, at: now, using: &random)
        try add(next, account: own.account)
        for old in kept.dropFirst(OwnDevice.keptSignedPreKeys - 1) {
            try removeSignedPreKey(old.id, account: own.account)
        }
        return next
    }
}
