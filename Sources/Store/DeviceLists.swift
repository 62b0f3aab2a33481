// Device lists as they come: who is on them now, who is not any more, and for how many there is room.
public import OMEMO
public import XMPP

extension Transaction {
    /// Takes over a device list of one version: the first `maxDevices` of its ids. Devices that are on no list any
    /// more are kept, with their keys and trust, as inactive, as long as there is room; what a person decided is kept
    /// in any case.
    public func setDeviceList(
        account: Int64, jid: JID, _ list: OMEMO.DeviceList, now: Int64
    ) throws(StoreError) -> DeviceListChange {
        let (jid, version) = (jid.bare, list.version)
        let isFirst = try deviceListFetchedAt(account: account, jid: jid, version: version) == nil
        let before = try devices(account: account, jid: jid)
        let known = Dictionary(uniqueKeysWithValues: before.map { ($0.address.device, $0) })
        var listed: Set<UInt32> = []
        let taken = list.devices.filter { listed.count < Self.maxDevices && listed.insert($0.id).inserted }
        for device in before
        where device.versions.contains(version) && !listed.contains(device.address.device) {
            try setActive(false, version, account: account, device.address)
        }
        let unlisted = before.filter {
            !listed.contains($0.address.device) && $0.versions.subtracting([version]).isEmpty
        }
        var room = try makeRoom(
            for: taken.count { known[$0.id] == nil }, among: unlisted, of: before.count, account: account)
        var (added, ignored): ([UInt32], Int) = ([], Set(list.ids).count - taken.count)
        for device in taken {
            let address = DeviceAddress(jid: jid, device: device.id)
            if let stored = known[device.id] {
                if !stored.versions.contains(version) {
                    try setActive(true, version, account: account, address)
                }
                if version == .omemo2, stored.published != device {
                    try setLabel(device, account: account, address)
                }
                if stored.isActive { continue }
            } else if room > 0 {
                room -= 1
                try add(address, nil, .undecided, on: version, account: account, now)
                if device.label != nil { try setLabel(device, account: account, address) }
            } else {
                ignored += 1
                continue
            }
            added.append(device.id)
        }
        try run(
            """
            INSERT INTO deviceList (account, jid, version, fetchedAt) VALUES (?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET fetchedAt = excluded.fetchedAt
            """, account, jid, version.rawValue, now)
        let removed = unlisted.filter(\.isActive).map(\.address.device)
        let stays = before.contains { $0.isActive && !removed.contains($0.address.device) }
        return DeviceListChange(
            isFirst: isFirst, added: added, removed: removed,
            emptied: !removed.isEmpty && !stays && added.isEmpty, ignored: ignored)
    }

    /// Forgets devices that nobody uses and no person decided on, as many as new ones need: first those whose
    /// key was never seen, then those that were silent longest.
    ///
    /// - Returns: how many new ones there is room for.
    private func makeRoom(
        for new: Int, among unlisted: [DeviceRecord], of count: Int, account: Int64
    ) throws(StoreError) -> Int {
        let room = Self.maxDevices - count
        if new <= room { return room }
        // A damaged one may be one that a person decided on.
        let order = unlisted.filter { !$0.isDamaged && !$0.isDecided }.sorted {
            guard ($0.identityKey == nil) == ($1.identityKey == nil) else { return $0.identityKey == nil }
            return ($0.lastReceivedAt ?? $0.firstSeenAt) < ($1.lastReceivedAt ?? $1.firstSeenAt)
        }
        let forgotten = order.prefix(new - room)
        for device in forgotten { try forgetDevice(account: account, device.address) }
        return room + forgotten.count
    }

    /// Forgets a device: its key and its sessions. What was decided about the key stays.
    public func forgetDevice(account: Int64, _ address: DeviceAddress) throws(StoreError) {
        try removeSessions(account: account, address)
        try run(
            "DELETE FROM device WHERE account = ? AND jid = ? AND device = ?", account, address.jid,
            address.device)
    }

    /// When a device list of this person came last; nil if never.
    public func deviceListFetchedAt(
        account: Int64, jid: JID, version: ProtocolVersion
    ) throws(StoreError) -> Int64? {
        try first(
            "SELECT fetchedAt FROM deviceList WHERE account = ? AND jid = ? AND version = ?", account,
            jid.bare,
            version.rawValue
        ) { $0.integer(0) }
    }
}
