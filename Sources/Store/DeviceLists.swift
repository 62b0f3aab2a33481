// Device lists as they come: who is on them now, who is not any more, and for how many there is room.
public import OMEMO
public import XMPP

extension Transaction {
    /// Takes over a device list of one version. Of more than `maxDevices` ids those are taken that a person decided
    /// about, then those whose keys are known, then the first. Devices that are on no list any more are kept, with their
    /// keys and trust, as inactive, as long as there is room; what a person decided is kept in any case.
    public func setDeviceList(
        account: Int64, jid: JID, _ list: OMEMO.DeviceList, now: Int64
    ) throws(StoreError) -> DeviceListChange {
        let (jid, version) = (jid.bare, list.version)
        let before = try devices(account: account, jid: jid)
        let known = Dictionary(uniqueKeysWithValues: before.map { ($0.address.device, $0) })
        let (taken, left) = Self.choose(from: list, known)
        let listed = Set(taken.map(\.id))
        for device in before
        where device.versions.contains(version) && !listed.contains(device.address.device) {
            try setActive(false, version, account: account, device.address)
        }
        let unlisted = before.filter {
            !listed.contains($0.address.device) && $0.versions.subtracting([version]).isEmpty
        }
        var room = try makeRoom(
            for: taken.count { known[$0.id] == nil }, among: unlisted, of: before.count, account: account)
        var (added, ignored): ([UInt32], [UInt32]) = ([], [])
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
                ignored.append(device.id)
                continue
            }
            added.append(device.id)
        }
        ignored = Array((ignored + left).prefix(Self.maxIgnored))
        let ignoredBefore = try Set(ignoredDevices(account: account, jid: jid))
        try run(
            """
            INSERT INTO deviceList (account, jid, version, fetchedAt, ignored) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET fetchedAt = excluded.fetchedAt, ignored = excluded.ignored
            """, account, jid, version.rawValue, now,
            ignored.isEmpty ? nil : jsonArray(ignored.map { Int64($0) }))
        let removed = unlisted.filter(\.isActive).map(\.address.device)
        let stays = before.contains { $0.isActive && !removed.contains($0.address.device) }
        return DeviceListChange(
            added: added, removed: removed,
            emptied: !removed.isEmpty && !stays && added.isEmpty, ignored: ignored,
            ignoresMore: !ignoredBefore.isSuperset(of: try ignoredDevices(account: account, jid: jid)))
    }

    /// How many ids beyond `maxDevices` are remembered by name: more than that no person has.
    static let maxIgnored = 1000

    /// Each id once. Who adds ids to a list must not push out a device that is in use.
    private static func choose(
        from list: OMEMO.DeviceList, _ known: [UInt32: DeviceRecord]
    ) -> (taken: [OMEMO.DeviceList.Device], left: [UInt32]) {
        var seen: Set<UInt32> = []
        let devices = list.devices.filter { seen.insert($0.id).inserted }
        guard devices.count > maxDevices else { return (devices, []) }
        let ranks = (0..<3).map { rank in devices.filter { Self.rank(known[$0.id]) == rank } }
        let order = ranks.flatMap { $0 }
        return (Array(order.prefix(maxDevices)), order.dropFirst(maxDevices).map(\.id))
    }

    private static func rank(_ device: DeviceRecord?) -> Int {
        guard let device else { return 2 }
        if device.isDecided || device.isDamaged { return 0 }
        return device.identityKey == nil ? 2 : 1
    }

    /// Devices that a person's lists name and nobody writes to, for there is no room for them.
    public func ignoredDevices(account: Int64, jid: JID) throws(StoreError) -> [UInt32] {
        let ids = try rows(
            """
            SELECT DISTINCT j.value FROM deviceList l, json_each(l.ignored) j
            WHERE l.account = ?1 AND l.jid = ?2 AND json_valid(l.ignored)
              AND NOT EXISTS (SELECT 1 FROM device d WHERE d.account = ?1 AND d.jid = ?2 AND d.device = j.value
                AND (d.active OR d.activeOmemo2))
            ORDER BY j.value
            """, account, jid.bare
        ) { UInt32(exactly: $0.integer(0)) }
        return ids.compactMap { $0 }
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
