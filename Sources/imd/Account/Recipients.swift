// Which devices a message goes to, in which version of the protocol, and which not.
import LocalAPI
import OMEMO
import Store
import XMPP

/// A device in one version of the protocol: what has a bundle and a session.
struct BundleKey: Hashable, Sendable {
    let address: DeviceAddress
    let version: ProtocolVersion

    init(_ address: DeviceAddress, _ version: ProtocolVersion) {
        self.address = address
        self.version = version
    }
}

extension DeviceRecord {
    /// The versions in which it can be written to, the best first: omemo:2 only where it has shown that it reads
    /// that, because some announce it and cannot.
    var preferredVersions: [ProtocolVersion] {
        let order: [ProtocolVersion] = sendsOmemo2 ? [.omemo2, .legacy] : [.legacy, .omemo2]
        return order.filter(versions.contains)
    }
}

extension Outbound {
    struct Recipients {
        /// Those that carry what is to be sent.
        let versions: [ProtocolVersion]
        /// With their sessions, by version.
        var sessions: [ProtocolVersion: [Recipient]] = [:]
        var delivery = Delivery()
        /// Their bundles are needed and not known.
        var missing: [BundleKey] = []
        /// Whether any device of the contact will read it.
        var reachesContact = false
        /// Whether a person's decision could let a device of the contact read it.
        var awaitsDecision = false
        fileprivate var ignored: [DeviceAddress] = []
        fileprivate var stale: [(device: DeviceRecord, version: ProtocolVersion, record: SessionRecord)] = []

        init(versions: [ProtocolVersion]) { self.versions = versions }
    }

    /// All listed devices of the contact and every other one of our own, in these versions.
    func recipients(
        for chat: JID, in versions: [ProtocolVersion], _ tx: Transaction
    ) throws -> Recipients {
        var recipients = Recipients(versions: versions)
        try add(devicesOf: chat, to: &recipients, tx)
        recipients.awaitsDecision = recipients.delivery.excluded.contains {
            $0.reason == ExclusionReason.untrusted.rawValue
        }
        if recipients.sessions.isEmpty {
            // Better a device that perhaps nobody reads any more than none.
            for (device, version, record) in recipients.stale { recipients.add(device, version, record) }
            recipients.stale = []
        }
        recipients.reachesContact = !recipients.sessions.isEmpty
        if chat != own.jid { try add(devicesOf: own.jid, to: &recipients, tx) }
        for (device, _, _) in recipients.stale { recipients.exclude(device.address, .stale) }
        // Behind the others, about which a person can do something.
        for address in recipients.ignored { recipients.exclude(address, .tooMany) }
        return recipients
    }

    private func add(devicesOf jid: JID, to recipients: inout Recipients, _ tx: Transaction) throws {
        let devices = try tx.devices(account: own.account, jid: jid)
        guard devices.contains(where: \.isActive) else { return }
        if devices.count >= Transaction.maxDevices {
            recipients.ignored += try tx.ignoredDevices(account: own.account, jid: jid)
                .map { DeviceAddress(jid: jid, device: $0) }.filter { $0 != own.address }
        }
        let policy = try policies.policy(for: jid, account: own, tx).policy
        for device in devices where device.isActive && device.address != own.address {
            guard !device.isDamaged else {
                recipients.exclude(device.address, .damaged)
                continue
            }
            // No decision about its key would help.
            guard !device.versions.isDisjoint(with: recipients.versions) else {
                recipients.exclude(device.address, .legacyOnly)
                continue
            }
            // Trust is decided about a key; a device whose key is not known yet has a bundle to show it.
            guard device.identityKey == nil || policy.receives(device.trust) else {
                recipients.refuse(device)
                continue
            }
            try add(device, policy, to: &recipients, tx)
        }
    }

    private func add(
        _ device: DeviceRecord, _ policy: TrustPolicy, to recipients: inout Recipients, _ tx: Transaction
    ) throws {
        let address = device.address
        var reason = ExclusionReason.noBundle
        // Where only omemo:2 will do, a device that lists it gets it, even if it has not shown yet that it reads it: a
        // reaction that gets lost there is no text.
        for version in device.preferredVersions where recipients.versions.contains(version) {
            let record = try tx.usableSession(with: address, version, account: own.account, now: now)
            if let record, !record.isEmpty {
                if isStale(device, record) {
                    recipients.stale.append((device, version, record))
                } else {
                    recipients.add(device, version, record)
                }
                return
            }
            let key = BundleKey(address, version)
            if let failure = failures[key] {
                reason = failure
            } else if let bundle = bundles[key] {
                return try initiate(with: bundle, device, policy, &recipients, tx)
            } else {
                return recipients.missing.append(key)
            }
        }
        recipients.exclude(address, reason)
    }

    /// Nothing came from it for so long, and so much went there, that nobody seems to read it any more. It gets
    /// messages again once it writes.
    private func isStale(_ device: DeviceRecord, _ record: SessionRecord) -> Bool {
        record.unansweredCount >= 2000
            && now - max(device.lastReceivedAt ?? 0, device.firstSeenAt) > 90 * 24 * 3_600_000
    }

    /// Starts a session from a bundle, unless its identity key is not the one known for this device.
    private func initiate(
        with bundle: Bundle, _ device: DeviceRecord, _ policy: TrustPolicy, _ recipients: inout Recipients,
        _ tx: Transaction
    ) throws {
        let address = device.address
        let known = try Identification(own: own, now: now).learn(
            bundle.identityKey, of: address, policy, tx)
        guard known == .same || known == .new else { return recipients.exclude(address, .keyChanged) }
        guard let current = try tx.device(account: own.account, address) else { return }
        guard policy.receives(current.trust) else { return recipients.refuse(current) }
        var random = SystemRandomNumberGenerator()
        var record = SessionRecord(bundle.version, expecting: current.identityKey)
        do throws(EncryptionError) {
            try record.initiate(with: bundle, own: own.identity, ownDevice: own.device, using: &random)
        } catch {
            return recipients.exclude(address, .badBundle)
        }
        recipients.add(current, bundle.version, record)
    }
}

extension Outbound.Recipients {
    fileprivate mutating func add(
        _ device: DeviceRecord, _ version: ProtocolVersion, _ record: SessionRecord
    ) {
        sessions[version, default: []].append(Recipient(address: device.address, record: record))
        delivery.devices.append(
            AddressedDevice(device.address, device.identityKey?.fingerprint, device.trust))
    }

    fileprivate mutating func exclude(_ address: DeviceAddress, _ reason: ExclusionReason) {
        delivery.excluded.append(ExcludedDevice(address, reason))
    }

    /// Its trust does not let it read.
    fileprivate mutating func refuse(_ device: DeviceRecord) {
        exclude(device.address, device.trust == .distrusted ? .distrusted : .untrusted)
    }
}
