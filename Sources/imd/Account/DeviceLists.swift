// What a device list that arrived changes in the store (XEP-0384 §5.3.1).
import LocalAPI
import OMEMO
import Store
import XMPP

struct DeviceLists {
    let own: OwnIdentity
    let now: Int64

    /// Takes over `list`, and tells about devices that came or went since the list before it.
    func update(_ owner: JID, _ list: OMEMO.DeviceList, _ tx: Transaction) throws {
        let isNews = try isNews(list.version, of: owner, tx)
        let change = try tx.setDeviceList(account: own.account, jid: owner, list, now: now)
        if change.ignoresMore { try append(.tooManyDevices, owner, tx) }
        guard isNews else { return }
        for id in change.added where !(owner == own.jid && id == own.device) {
            try append(owner, id, .added, tx)
        }
        for id in change.removed { try append(owner, id, .removed, tx) }
        if change.emptied, owner != own.jid { try append(.devicesGone, owner, tx) }
    }

    /// The first list of a contact is how things are, not news; the first one in this version is, where keys of the
    /// other are in use already.
    private func isNews(_ version: ProtocolVersion, of owner: JID, _ tx: Transaction) throws -> Bool {
        if try tx.deviceListFetchedAt(account: own.account, jid: owner, version: version) != nil {
            return true
        }
        return try tx.devices(account: own.account, jid: owner).contains {
            $0.isActive && $0.identityKey != nil && $0.address != own.address
        }
    }

    private func append(_ kind: SecurityDetail.Kind, _ owner: JID, _ tx: Transaction) throws {
        let detail = SecurityDetail(kind: kind, chat: owner.description)
        try tx.append(.security(detail), account: own.account, chat: owner, now: now)
    }

    private func append(_ owner: JID, _ id: UInt32, _ change: DeviceDetail.Change, _ tx: Transaction) throws {
        let address = DeviceAddress(jid: owner, device: id)
        guard let device = try tx.device(account: own.account, address) else { return }
        try tx.append(
            .device(DeviceDetail(device, change)), account: own.account, chat: owner, now: now)
    }
}
