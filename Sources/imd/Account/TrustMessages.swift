// Automatic trust management (XEP-0450): what other devices say about keys, and what they are told.
import IMCrypto
import OMEMO
import Store
import XMPP

/// Carries out `TrustMessageRules` inside a transaction.
struct TrustMessages {
    let own: OwnIdentity
    let policies: Policies
    let now: Int64

    // MARK: In

    /// Applies what a device says about keys, or keeps it until that device's own key is authenticated.
    ///
    /// - Parameter sentAt: the time in the message's envelope, Unix milliseconds; without it the message undoes no
    ///   refusal.
    /// - Returns: whose keys were decided about now.
    func receive(
        _ message: TrustMessage, from sender: DeviceAddress, sentAt: Int64? = nil, _ tx: Transaction
    ) throws -> Set<JID> {
        guard let device = try tx.device(account: own.account, sender), let key = device.identityKey,
            device.trust != .distrusted
        else { return [] }
        let words = TrustMessageRules.words(of: message, from: sender.jid, account: own.jid)
        guard device.trust == .verified else {
            for word in words {
                try tx.addPendingTrust(
                    account: own.account, senderKey: key.ed25519,
                    PendingTrust(owner: word.owner, key: word.key, level: word.level), now: now)
            }
            return []
        }
        // A clock that is ahead must not make its word the last one.
        let at = sentAt.map { min($0, now) }
        let decisions = Decisions(own: own, now: now)
        var people: Set<JID> = []
        for word in words {
            guard let key = try? IdentityKey(ed25519: word.key) else { continue }
            let said = KeyDecision(jid: word.owner, key: key.curve25519, level: word.level)
            guard try decisions.counts(said, saidAt: at, tx) else { continue }
            people.formUnion(try decisions.apply([said], source: .trustMessage, at: at, tx).people)
        }
        return people
    }

    // MARK: Out

    /// Tells the devices that have to know about decisions of the user, which are stored already.
    ///
    /// - Parameters:
    ///   - bundles: of those without a session; such a device is left out if its bundle is missing.
    ///   - at: when it was decided, Unix milliseconds; nil for now.
    func send(
        about decisions: [KeyDecision], bundles: [BundleKey: OMEMO.Bundle], at: Int64? = nil,
        _ tx: Transaction
    ) throws {
        var usable: [BundleKey: OMEMO.Bundle] = [:]
        for (key, bundle) in bundles {
            let policy = try policies.policy(for: key.address.jid, account: own, tx).policy
            let identity = try Identification(own: own, now: now).learn(
                bundle.identityKey, of: key.address, policy, tx)
            guard identity == .same || identity == .new else { continue }
            usable[key] = bundle
        }
        let outbound = Outbound(own: own, policies: policies, now: now, bundles: usable)
        for notice in notices(about: decisions, try endpoints(tx)) {
            let people = Dictionary(grouping: notice.recipients, by: \.jid)
            for (jid, devices) in people.sorted(by: { $0.key.description < $1.key.description }) {
                _ = try outbound.sendContent(
                    [notice.message.element], to: jid, devices: devices, at: at, tx)
            }
        }
    }

    /// Devices that will be told of these decisions, or that they are about, and have no session in omemo:2 yet. The
    /// bundle of a device that a decision is about also shows its whole key: legacy does not.
    func withoutSession(about decisions: [KeyDecision], _ tx: Transaction) throws -> [BundleKey] {
        let endpoints = try endpoints(tx).map { $0.decided(by: decisions) }
        let told = notices(about: decisions, endpoints).flatMap(\.recipients)
        let meant = endpoints.filter { $0.readsTrustMessages && $0.isMeant(by: decisions) }.map(\.address)
        return try Set(told + meant).map { BundleKey($0, .omemo2) }.filter { key in
            let session = try tx.usableSession(with: key.address, .omemo2, account: own.account, now: now)
            return session?.isEmpty != false
        }
    }

    private func notices(
        about decisions: [KeyDecision], _ endpoints: [TrustMessageRules.Endpoint]
    ) -> [TrustMessageRules.Notice] {
        let rules = TrustMessageRules(account: own.jid, endpoints: endpoints)
        return endpoints.filter { $0.isMeant(by: decisions) }.flatMap(rules.notices)
    }

    private func endpoints(_ tx: Transaction) throws -> [TrustMessageRules.Endpoint] {
        try tx.devices(account: own.account).compactMap { device in
            guard device.address != own.address, !device.isDamaged, let key = device.identityKey else {
                return nil
            }
            return TrustMessageRules.Endpoint(
                address: device.address, key: key, level: device.trust,
                readsTrustMessages: device.versions.contains(.omemo2))
        }
    }
}

extension TrustMessageRules.Endpoint {
    fileprivate func isMeant(by decisions: [KeyDecision]) -> Bool {
        decisions.contains { $0.jid == address.jid && $0.key == key.curve25519 }
    }

    /// As it will be after the decisions.
    fileprivate func decided(by decisions: [KeyDecision]) -> Self {
        let decision = decisions.first { $0.jid == address.jid && $0.key == key.curve25519 }
        guard let decision else { return self }
        return Self(
            address: address, key: key, level: decision.level, readsTrustMessages: readsTrustMessages)
    }
}
