// A device that goes for good: off the lists, so that nobody encrypts to keys that are no more (XEP-0384 §5.3).
import LocalAPI
import OMEMO
import XMPP

extension Account {
    /// How long a server may take for all of it.
    private static let farewell = Duration.seconds(5)

    /// As far as the connection allows; without one the account's other devices can do it.
    ///
    /// - Returns: what the server may still have.
    func unpublish() async -> AccountRemove.Result {
        guard isOnline else { return remains([]) }
        isLeaving = true
        let (gone, going) = AsyncStream<PublishedPart>.makeStream()
        let work = Task {
            for part in PublishedPart.all where !Task.isCancelled {
                if await takeBack(part) { going.yield(part) }
            }
            going.finish()
        }
        // A request that is under way then ends with the connection; nobody waits for it.
        let alarm = Task {
            try await Task.sleep(for: Self.farewell)
            going.finish()
        }
        defer {
            work.cancel()
            alarm.cancel()
        }
        // In a task of its own: a caller that goes away does not shorten it.
        return remains(await Task { await gone.reduce(into: []) { $0.append($1) } }.value)
    }

    private func remains(_ gone: [PublishedPart]) -> AccountRemove.Result {
        let left = PublishedPart.all.filter { !gone.contains($0) }
        return AccountRemove.Result(
            device: own.device, listed: left.filter(\.isListed).map { DeviceVersion($0.version) },
            keys: left.filter { !$0.isListed }.map { DeviceVersion($0.version) })
    }

    /// - Returns: whether the server has it no more.
    private func takeBack(_ part: PublishedPart) async -> Bool {
        let (device, version) = (own.device, part.version)
        do {
            switch (part.isListed, version) {
            case (true, _): try await editOwnList(version) { $0.devices.removeAll { $0.id == device } }
            case (false, .legacy): try await set(PubSub.delete(Bundle.node(version, device: device)))
            case (false, .omemo2):
                try await set(
                    PubSub.retract(
                        Bundle.itemID(version, device: device), from: Bundle.node(version, device: device)))
            }
            return true
        } catch let error as StanzaError {
            return error.condition == .itemNotFound
        } catch {
            return false
        }
    }
}

/// Something of a device that a server has: its place on a list, or its keys.
private struct PublishedPart: Equatable {
    var isListed: Bool
    var version: ProtocolVersion

    /// First what has others encrypt to the device.
    static let all = [true, false].flatMap { isListed in
        ProtocolVersion.allCases.map { PublishedPart(isListed: isListed, version: $0) }
    }
}

extension DeviceVersion {
    init(_ version: ProtocolVersion) {
        switch version {
        case .legacy: self = .legacy
        case .omemo2: self = .omemo2
        }
    }
}
