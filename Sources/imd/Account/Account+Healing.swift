// Sessions that were lost on one side: replaced, but never in a loop (XEP-0384 §7, threat row 31).
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

extension Account {
    /// Replaces the sessions in which something could not be read: once everything is here that may still come for
    /// the old ones, of devices that are listed and not refused, each at most once a day.
    func heal() async {
        guard isOnline, archive.isDone, !isHealing else { return }
        isHealing = true
        defer { isHealing = false }
        // A server that does not answer keeps nobody else's broken.
        var silent: Set<JID> = []
        for _ in 0..<1000 where isOnline {
            guard let next = try? await nextBroken(besides: silent) else { return }
            do {
                try await heal(next)
            } catch {
                // That was no attempt: it stays noted.
                silent.insert(next.address.jid.domain)
                log.debug("a session is not replaced yet", metadata: ["reason": "\(error)"])
            }
        }
    }

    /// - Returns: nil where nothing is left to be replaced; what will not be is forgotten.
    private func nextBroken(besides silent: Set<JID>) async throws -> BrokenSession? {
        let (own, now) = (own, Clock.now())
        return try await persist { tx in
            var due: [BrokenSession] = []
            for session in try tx.brokenSessions(account: own.account) {
                if try tx.mayHeal(session, own: own, now: now) {
                    due.append(session)
                } else {
                    try tx.removeBroken(session, account: own.account)
                }
            }
            return due.first { !silent.contains($0.address.jid.domain) }
        }
    }

    private func heal(_ broken: BrokenSession) async throws {
        let (id, now) = (id, Clock.now())
        _ = try await renew([BundleKey(broken.address, broken.version)]) { tx in
            try tx.removeBroken(broken, account: id)
            try tx.noteHealed(account: id, broken.address, at: now)
        }
    }

    /// Starts new sessions with these devices, as their owners' clients would after a reset.
    ///
    /// - Returns: those that have a new one.
    /// - Throws: where nothing can be known at the moment.
    func renewSessions(_ addresses: [DeviceAddress]) async throws -> [DeviceAddress] {
        let id = id
        let keys = try await store.read { tx in
            try addresses.compactMap { address in
                try tx.device(account: id, address)?.preferredVersions.first.map { BundleKey(address, $0) }
            }
        }
        return try await renew(keys)
    }

    /// - Parameter also: what belongs to the same transaction.
    private func renew(
        _ keys: [BundleKey], also: @escaping @Sendable (Transaction) throws -> Void = { _ in }
    ) async throws -> [DeviceAddress] {
        for key in keys { bundleFailures[key] = nil }
        let bundles = try await fetchBundles(keys)
        let renewal = Renewal(own: own, policies: policies, now: Clock.now())
        let renewed = try await persist { tx in
            try also(tx)
            return try keys.filter { key in
                guard let bundle = bundles[key] else { return false }
                return try renewal.renew(key, with: bundle, tx)
            }
        }
        flush()
        return renewed.map(\.address)
    }
}

extension Transaction {
    /// How long a device is left alone after its session was replaced by itself, in milliseconds.
    private static var healingPeriod: Int64 { 24 * 3_600_000 }

    /// Whether a broken session is replaced by itself: of a device that is listed and not refused, once a day.
    func mayHeal(_ session: BrokenSession, own: OwnIdentity, now: Int64) throws -> Bool {
        guard session.address != own.address,
            let device = try device(account: own.account, session.address), !device.isDamaged
        else { return false }
        // A clock may have been ahead.
        return device.versions.contains(session.version) && device.trust != .distrusted
            && (now - (device.healedAt ?? 0)).magnitude >= Self.healingPeriod.magnitude
    }
}

/// A new session in the place of one that does not work.
struct Renewal {
    let own: OwnIdentity
    let policies: Policies
    let now: Int64

    /// The old one is kept, archived, for what is still on its way. An empty message makes the new one known.
    ///
    /// - Returns: false where the bundle is not this device's or is of no use.
    func renew(_ key: BundleKey, with bundle: Bundle, _ tx: Transaction) throws -> Bool {
        let policy = try policies.policy(for: key.address.jid, account: own, tx).policy
        let identity = try Identification(own: own, now: now).learn(
            bundle.identityKey, of: key.address, policy, tx)
        guard identity == .new || identity == .same,
            let device = try tx.device(account: own.account, key.address), device.trust != .distrusted
        else { return false }
        var record =
            try tx.usableSession(with: key.address, key.version, account: own.account, now: now)
            ?? SessionRecord(key.version, expecting: device.identityKey)
        var random = SystemRandomNumberGenerator()
        do throws(EncryptionError) {
            try record.initiate(with: bundle, own: own.identity, ownDevice: own.device, using: &random)
        } catch {
            return false
        }
        let outbound = Outbound(own: own, policies: policies, now: now)
        try outbound.sendEmpty(record, to: key.address, tx)
        try tx.append(
            .device(DeviceDetail(device, .sessionRenewed)), account: own.account, chat: key.address.jid,
            now: now)
        return true
    }
}
