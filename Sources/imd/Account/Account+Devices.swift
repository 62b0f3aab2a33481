// An account's own device, published and kept published, and the devices of others (XEP-0384 §5.3).
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

/// Why a device without a session is left out for the moment.
struct BundleFailure {
    let reason: ExclusionReason
    let at: Int64
}

extension Account {
    // MARK: Our own device

    /// Publishes the bundle where it differs from what the server has, then the device in the list: whoever
    /// reads the list finds a bundle.
    ///
    /// - Throws: where the stream ended meanwhile, or the store failed.
    func publishDevice() async throws {
        publishAgain = true
        guard !isPublishing else { return }
        isPublishing = true
        defer { isPublishing = false }
        while publishAgain {
            publishAgain = false
            do {
                try await publishBundle()
                try await publishList()
            } catch let error as StanzaError {
                // A server without PEP still carries messages; encryption towards us will not work there.
                log.error(
                    "the device could not be published",
                    metadata: ["condition": "\(error.condition.rawValue)"])
                await append(
                    .error(UserError(.notSupported, "the server does not publish this device's keys")))
            } catch {
                // Whoever asked meanwhile, on a new stream perhaps, is not answered by the end of an old one.
                if publishAgain, bound != nil { continue }
                throw error
            }
        }
    }

    private func publishBundle() async throws {
        let (own, now) = (own, Clock.now())
        let node = Bundle.node(device: own.device)
        let published = try await item(of: node, jid)
        let bundle = try await persist { tx in
            if let published, let known = try? Bundle(published) {
                try Restoration(own: own, now: now).compare(with: known, tx)
            }
            return try tx.currentBundle(of: own, now: now)
        }
        if published == bundle.element { return }
        try await publish(bundle.element, to: node)
    }

    private func publishList() async throws {
        var list = try await publishedList(of: jid)
        if !list.ids.contains(own.device) {
            list.ids.append(own.device)
            try await publish(list.element, to: OMEMO.DeviceList.node)
        }
        try await remember(list, of: jid)
    }

    /// Publishes with the open access model; a node that exists with another one is reconfigured first.
    private func publish(_ payload: Element, to node: String) async throws {
        let options = PubSubOptions(.open)
        let publish = PubSub.publish(PubSubItem("current", payload), to: node, options: options)
        do {
            try await set(publish)
        } catch let error as StanzaError where PubSub.isPreconditionNotMet(error) {
            try await set(PubSub.configure(node, options))
            try await set(publish)
        }
    }

    // MARK: Everybody's devices

    /// Whether a person's device list is known as it is now.
    func isCurrent(_ person: JID) -> Bool {
        guard let until = currentLists[person] else { return false }
        return until.map { $0 > .now } ?? true
    }

    /// The list came a moment ago. Whose presence we see pushes every change; of others it is soon outdated.
    func listArrived(of person: JID) {
        let isPushed = ownPresence.show != .offline && (person == jid || visible.contains(person))
        currentLists[person] = .some(isPushed ? nil : .now + .seconds(60))
    }

    /// Makes sure the device lists of these people are the current ones.
    ///
    /// - Throws: where that cannot be known at the moment. A server's final refusal leaves what is known.
    func refreshLists(of people: [JID]) async throws {
        for person in people where !isCurrent(person) {
            do {
                try await remember(publishedList(of: person), of: person)
            } catch let error as StanzaError where error.kind != .wait {
                log.info(
                    "no device list",
                    metadata: ["jid": "\(person)", "condition": "\(error.condition.rawValue)"])
            }
        }
    }

    /// - Throws: also for a list that cannot be read: it says nothing, least of all that there are no devices.
    private func publishedList(of person: JID) async throws -> OMEMO.DeviceList {
        guard let item = try await item(of: OMEMO.DeviceList.node, person) else {
            return OMEMO.DeviceList([])
        }
        return try OMEMO.DeviceList(item)
    }

    private func remember(_ list: OMEMO.DeviceList, of person: JID) async throws {
        let (lists, stream) = (DeviceLists(own: own, now: Clock.now()), connection)
        try await store.write { try lists.update(person, list, $0) }
        if let stream, stream === connection { listArrived(of: person) }
    }

    /// The bundles that could be had; for the others `recentFailures` knows the reason.
    ///
    /// - Throws: where the stream ended or a server asks to wait: nothing is known of the devices then.
    func fetchBundles(_ addresses: [DeviceAddress]) async throws -> [DeviceAddress: OMEMO.Bundle] {
        var bundles: [DeviceAddress: OMEMO.Bundle] = [:]
        var left = addresses[...]
        while !left.isEmpty {
            // A few at a time: a long list must not flood the server.
            let some = left.prefix(8)
            left = left.dropFirst(8)
            try await withThrowingTaskGroup(of: (DeviceAddress, OMEMO.Bundle?).self) { tasks in
                for address in some { tasks.addTask { (address, try await self.fetchBundle(address)) } }
                for try await case (let address, let bundle?) in tasks { bundles[address] = bundle }
            }
        }
        return bundles
    }

    private func fetchBundle(_ address: DeviceAddress) async throws -> OMEMO.Bundle? {
        var reason = ExclusionReason.noBundle
        do {
            if let item = try await item(of: Bundle.node(device: address.device), address.jid) {
                reason = .badBundle
                return try Bundle(item)
            }
        } catch let error as StanzaError where error.kind == .wait {
            throw error
        } catch is StanzaError {
        } catch is CodecError {
        }
        bundleFailures[address] = BundleFailure(reason: reason, at: Clock.uptime())
        return nil
    }

    /// Failures of the last minute: a device without a bundle is not asked for at every message.
    func recentFailures() -> [DeviceAddress: ExclusionReason] {
        let since = Clock.uptime() - 60_000
        if !bundleFailures.isEmpty { bundleFailures = bundleFailures.filter { $0.value.at > since } }
        return bundleFailures.mapValues(\.reason)
    }

    /// The identity keys of a person's devices, fetched where they are not known yet.
    func devices(of person: JID) async throws -> [DeviceRecord] {
        let id = id
        if isOnline {
            try? await refreshLists(of: [person])
            let known = try await store.read { try $0.devices(account: id, jid: person) }
            let unknown = known.filter {
                $0.isActive && $0.identityKey == nil && $0.address.device != own.device
            }
            let bundles = (try? await fetchBundles(unknown.map(\.address))) ?? [:]
            let now = Clock.now()
            try await store.write { tx in
                for (address, bundle) in bundles {
                    _ = try tx.setIdentity(account: id, address, bundle.identityKey, policy: .btbv, now: now)
                }
            }
        }
        return try await store.read { try $0.devices(account: id, jid: person) }
    }

    /// The payload of a node's newest item; nil for a node that does not exist or is empty.
    private func item(of node: String, _ owner: JID) async throws -> Element? {
        do {
            let answer = try await get(PubSub.items(of: node, max: 1), from: owner == jid ? nil : owner)
            return try? PubSub.result(answer, node: node).last?.payload
        } catch let error as StanzaError where error.condition == .itemNotFound {
            return nil
        }
    }
}
