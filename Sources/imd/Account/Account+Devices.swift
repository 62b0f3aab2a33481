// The devices of others, and our own other ones: their lists and bundles (XEP-0384 §5.3).
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

/// One person's devices in one version of the protocol.
struct ListKey: Hashable, Sendable {
    let owner: JID
    let version: ProtocolVersion
}

/// Why a device without a session is left out for the moment.
struct BundleFailure {
    let reason: ExclusionReason
    let at: Int64
}

extension Account {
    /// Whether a person's device lists are known as they are now.
    func isCurrent(_ person: JID) -> Bool {
        ProtocolVersion.allCases.allSatisfy { isCurrent(ListKey(owner: person, version: $0)) }
    }

    private func isCurrent(_ key: ListKey) -> Bool {
        guard let until = currentLists[key] else { return false }
        return until.map { $0 > .now } ?? true
    }

    /// The list came a moment ago. Whose presence we see pushes every change; of others it is soon outdated.
    func listArrived(_ key: ListKey) {
        let isPushed = ownPresence.show != .offline && (key.owner == jid || visible.contains(key.owner))
        currentLists[key] = .some(isPushed ? nil : .now + .seconds(60))
    }

    func forgetLists(of person: JID) {
        for version in ProtocolVersion.allCases {
            currentLists[ListKey(owner: person, version: version)] = nil
        }
    }

    /// Makes sure the device lists of these people are the current ones.
    ///
    /// - Throws: where that cannot be known at the moment. A server's final refusal leaves what is known.
    func refreshLists(of people: [JID]) async throws {
        for person in people {
            for version in ProtocolVersion.allCases
            where !isCurrent(ListKey(owner: person, version: version)) {
                do {
                    try await remember(publishedList(version, of: person), of: person)
                } catch let error as StanzaError where error.kind != .wait {
                    log.info(
                        "no device list",
                        metadata: ["jid": "\(person)", "condition": "\(error.condition.rawValue)"])
                }
            }
        }
    }

    /// - Throws: also for a list that cannot be read: it says nothing, least of all that there are no devices.
    func publishedList(_ version: ProtocolVersion, of person: JID) async throws -> OMEMO.DeviceList {
        guard let item = try await item(of: OMEMO.DeviceList.node(version), person) else {
            return OMEMO.DeviceList(version)
        }
        return try OMEMO.DeviceList(item, version)
    }

    func remember(_ list: OMEMO.DeviceList, of person: JID) async throws {
        let (lists, stream) = (DeviceLists(own: own, now: Clock.now()), connection)
        try await store.write { try lists.update(person, list, $0) }
        if let stream, stream === connection {
            listArrived(ListKey(owner: person, version: list.version))
        }
    }

    /// The bundles that could be had; for the others `recentFailures` knows the reason.
    ///
    /// - Throws: where the stream ended or a server asks to wait: nothing is known of the devices then.
    func fetchBundles(_ keys: [BundleKey]) async throws -> [BundleKey: OMEMO.Bundle] {
        var bundles: [BundleKey: OMEMO.Bundle] = [:]
        var left = keys[...]
        while !left.isEmpty {
            // A few at a time: a long list must not flood the server.
            let some = left.prefix(8)
            left = left.dropFirst(8)
            try await withThrowingTaskGroup(of: (BundleKey, OMEMO.Bundle?).self) { tasks in
                for key in some { tasks.addTask { (key, try await self.fetchBundle(key)) } }
                for try await case (let key, let bundle?) in tasks { bundles[key] = bundle }
            }
        }
        return bundles
    }

    private func fetchBundle(_ key: BundleKey) async throws -> OMEMO.Bundle? {
        var reason = ExclusionReason.noBundle
        let device = key.address.device
        do {
            let item = try await item(
                of: Bundle.node(key.version, device: device), key.address.jid,
                id: Bundle.itemID(key.version, device: device))
            if let item {
                reason = .badBundle
                return try Bundle(item, key.version)
            }
        } catch let error as StanzaError where error.kind == .wait {
            throw error
        } catch is StanzaError {
        } catch is CodecError {
        }
        bundleFailures[key] = BundleFailure(reason: reason, at: Clock.uptime())
        return nil
    }

    /// Failures of the last minute: a device without a bundle is not asked for at every message.
    func recentFailures() -> [BundleKey: ExclusionReason] {
        let since = Clock.uptime() - 60_000
        if !bundleFailures.isEmpty { bundleFailures = bundleFailures.filter { $0.value.at > since } }
        return bundleFailures.mapValues(\.reason)
    }

    /// The identity keys of a person's devices, fetched where they are not known yet.
    func devices(of person: JID) async throws -> [DeviceRecord] {
        let (id, own, policies) = (id, own, policies)
        if isOnline {
            try? await refreshLists(of: [person])
            let known = try await store.read { try $0.devices(account: id, jid: person) }
            let unknown = known.filter { $0.identityKey == nil && $0.address != own.address }
            let keys = unknown.compactMap { device in
                device.preferredVersions.first.map { BundleKey(device.address, $0) }
            }
            let bundles = (try? await fetchBundles(keys)) ?? [:]
            let now = Clock.now()
            try await store.write { tx in
                let policy = try policies.policy(for: person, account: own, tx).policy
                let identification = Identification(own: own, now: now)
                for (key, bundle) in bundles {
                    _ = try identification.learn(bundle.identityKey, of: key.address, policy, tx)
                }
            }
        }
        return try await store.read { try $0.devices(account: id, jid: person) }
    }

    /// The payload of an item.
    ///
    /// - Parameter id: its name where a node has several; without it a node's newest. Some clients name the only item
    ///   of a legacy bundle in their own way.
    /// - Returns: nil for a node that does not exist or has no such item.
    /// - Throws: `CodecError` where the answer or the item cannot be read: it is not an empty one.
    func item(of node: String, _ owner: JID, id: String? = nil) async throws -> Element? {
        let query =
            if let id, id != "current" { PubSub.items(of: node, ids: [id]) } else {
                PubSub.items(of: node, max: 1)
            }
        do {
            let answer = try await get(query, from: owner == jid ? nil : owner)
            guard let item = try PubSub.result(answer, node: node).last else { return nil }
            guard let payload = item.payload else { throw CodecError.missing("payload") }
            return payload
        } catch let error as StanzaError where error.condition == .itemNotFound {
            return nil
        }
    }
}
