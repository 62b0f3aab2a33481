// A device that goes for good: off the lists, so that nobody encrypts to keys that are no more (XEP-0384 §5.3).
import OMEMO
import XMPP

extension Account {
    /// How long a server may take for it, in seconds.
    private static let farewell = 5

    /// As far as the connection allows; without one the account's other devices can do it.
    func unpublish() async {
        guard isOnline else { return }
        isLeaving = true
        let device = own.device
        let work = Task {
            for version in ProtocolVersion.allCases {
                try? await editOwnList(version) { list in list.devices.removeAll { $0.id == device } }
            }
            _ = try? await set(PubSub.delete(Bundle.node(.legacy, device: device)))
            _ = try? await set(
                PubSub.retract(
                    Bundle.itemID(.omemo2, device: device), from: Bundle.node(.omemo2, device: device)))
        }
        let alarm = Task {
            try await Task.sleep(for: .seconds(Self.farewell))
            work.cancel()
        }
        await work.value
        alarm.cancel()
    }
}
