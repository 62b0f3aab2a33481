// An account's own device, published and kept published, in both versions of the protocol (XEP-0384 §5.3).
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

extension Account {
    /// Publishes the bundles where they differ from what the server has, then the device in the lists: whoever reads
    /// a list finds a bundle.
    ///
    /// - Throws: where the stream ended meanwhile, or the store failed.
    func publishDevice() async throws {
        publishAgain = true
        guard !isPublishing, !isLeaving else { return }
        isPublishing = true
        defer {
            isPublishing = false
            awaitRotation()
        }
        while publishAgain, !isLeaving {
            publishAgain = false
            do {
                try await publishKeys()
            } catch {
                // Whoever asked meanwhile, on a new stream perhaps, is not answered by the end of an old one.
                if publishAgain, bound != nil { continue }
                throw error
            }
        }
    }

    /// A stream may live for months, and the signed pre-key has had its time after a week.
    func awaitRotation() {
        rotation?.cancel()
        guard bound != nil, !isStopping else { return }
        rotation = Task {
            // Also where it is due: what could not be published is not tried all the time.
            try await Task.sleep(for: .milliseconds(max(10_000, await rotationDelay())))
            while case let delay = await rotationDelay(), delay > 0 {
                try await Task.sleep(for: .milliseconds(delay))
            }
            if bound != nil { try? await publishDevice() }
        }
    }

    private func rotationDelay() async -> Int64 {
        let id = id
        let newest = try? await store.read { try $0.signedPreKeys(account: id).first }
        return OwnDevice.signedPreKeyDelay(createdAt: newest?.createdAt ?? 0, now: Clock.now())
    }

    /// In each version for itself: a server that refuses the nodes of one may take those of the other.
    private func publishKeys() async throws {
        let (own, now) = (own, Clock.now())
        var published: [ProtocolVersion: Element] = [:]
        for version in ProtocolVersion.allCases {
            do {
                published[version] = try await item(
                    of: Bundle.node(version, device: own.device), jid,
                    id: Bundle.itemID(version, device: own.device))
            } catch is StanzaError {
                // Publishing it will say what is wrong.
            } catch is CodecError {
                // It will be replaced.
            }
        }
        let known = published.compactMap { try? Bundle($0.value, $0.key) }
        let bundles = try await persist { tx in
            for bundle in known { try Restoration(own: own, now: now).compare(with: bundle, tx) }
            return try tx.currentBundles(of: own, now: now)
        }
        var isRefused = false
        for bundle in bundles {
            do {
                if published[bundle.version] != bundle.element { try await publish(bundle) }
                try await publishList(bundle.version)
            } catch let error as StanzaError {
                // A server without PEP still carries messages; encryption towards us will not work there.
                log.error(
                    "the device could not be published",
                    metadata: [
                        "version": "\(bundle.version.rawValue)", "condition": "\(error.condition.rawValue)",
                    ])
                isRefused = true
            }
        }
        guard isRefused else { return }
        await append(.error(UserError(.notSupported, "the server does not publish this device's keys")))
    }

    private func publish(_ bundle: Bundle) async throws {
        let version = bundle.version
        let item = PubSubItem(Bundle.itemID(version, device: own.device), bundle.element)
        let node = Bundle.node(version, device: own.device)
        switch version {
        case .legacy: try await publish(item, to: node, PubSubOptions(.open))
        case .omemo2: try await publishAmongOthers(item, to: node)
        }
    }

    /// In omemo:2 all devices of an account share a node (§5.3.2), which has to keep an item for each. Servers that do
    /// not know this as a publish option, such as ejabberd 23, may know it as a setting of the node.
    private func publishAmongOthers(_ item: PubSubItem, to node: String) async throws {
        do {
            try await publish(item, to: node, PubSubOptions(.open, maxItems: "max"))
        } catch is StanzaError {
            // A node that is not there yet is made by publishing.
            let isThere = await makeRoom(in: node)
            try await publish(item, to: node, PubSubOptions(.open))
            if !isThere { await makeRoom(in: node) }
        }
    }

    /// Lets a node keep as many items as the server allows, never fewer than it does: those of other devices would be
    /// lost.
    ///
    /// - Returns: whether the node is there.
    @discardableResult
    private func makeRoom(in node: String) async -> Bool {
        guard let answer = try? await get(PubSub.configuration(of: node)) else { return false }
        let kept = PubSub.configuration(answer)?["pubsub#max_items"]
        guard kept != "max" else { return true }
        let more = [1000, 100, 10].filter { $0 > kept.flatMap { Int($0) } ?? .max }
        for count in ["max"] + more.map({ String($0) }) {
            let options = PubSubOptions(.open, maxItems: count)
            if (try? await set(PubSub.configure(node, options))) != nil { break }
        }
        return true
    }

    private func publishList(_ version: ProtocolVersion) async throws {
        let device = OMEMO.DeviceList.device(
            own.device, label: label.isEmpty ? nil : label, signedBy: own.identity)
        try await editOwnList(version) { list in
            guard !isLeaving else { return }
            if let place = list.devices.firstIndex(where: { $0.id == device.id }) {
                // In legacy there is no label to change.
                if version == .omemo2 { list.devices[place] = device }
            } else {
                list.devices.append(device)
            }
        }
    }

    /// Publishes a device list of the account with a change, if it is one.
    func editOwnList(
        _ version: ProtocolVersion, _ change: (inout OMEMO.DeviceList) -> Void
    ) async throws {
        var list: OMEMO.DeviceList
        var before: OMEMO.DeviceList?
        do {
            list = try await publishedList(version, of: jid)
            before = list
        } catch is CodecError {
            list = try await knownOwnList(version)
            await append(.security(SecurityDetail(kind: .listDamaged, chat: jid.description)))
        }
        change(&list)
        if list != before {
            try await publish(
                PubSubItem("current", list.element), to: OMEMO.DeviceList.node(version), PubSubOptions(.open))
        }
        try await remember(list, of: jid)
    }

    /// What stood on the list before somebody made it unreadable.
    private func knownOwnList(_ version: ProtocolVersion) async throws -> OMEMO.DeviceList {
        let (id, jid) = (id, jid)
        let devices = try await store.read { try $0.devices(account: id, jid: jid) }
        var list = OMEMO.DeviceList(version)
        list.devices = devices.filter { $0.versions.contains(version) }.map(\.published)
        return list
    }

    /// Publishes under these options; a node that exists with others is reconfigured first.
    private func publish(_ item: PubSubItem, to node: String, _ options: PubSubOptions) async throws {
        let publish = PubSub.publish(item, to: node, options: options)
        do {
            try await set(publish)
        } catch let error as StanzaError where PubSub.isPreconditionNotMet(error) {
            try await set(PubSub.configure(node, options))
            try await set(publish)
        }
    }

    /// How often within a minute our device is put back on a list at once.
    private static let repairLimit = 3

    /// Another client published a list without our device. Two clients that each repair what the other wrote must
    /// not do so for ever: after some times it waits.
    func repairList() {
        guard !isLeaving else { return }
        listRepairs.removeAll { $0 < .now - .seconds(60) }
        let isWar = listRepairs.count >= Self.repairLimit
        guard listRepairs.count <= Self.repairLimit else { return }
        listRepairs.append(.now)
        Task {
            await append(.security(SecurityDetail(kind: .listDamaged, chat: jid.description)))
            if isWar { try? await Task.sleep(for: .seconds(60)) }
            try? await publishDevice()
        }
    }
}
