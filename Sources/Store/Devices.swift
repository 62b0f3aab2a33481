// Other people's devices and our own others: identity keys, trust, and who is on the device list.
public import IMCrypto
public import OMEMO
public import XMPP

/// What is known of one device.
public struct DeviceRecord: Sendable {
    /// Whose it is.
    public let address: DeviceAddress
    /// Nil until a bundle or a message showed it.
    public let identityKey: IdentityKey?
    /// Whether it may receive.
    public let trust: TrustLevel
    /// Whether it is on the owner's device list.
    public let isActive: Bool
    /// Unix milliseconds, UTC.
    public let firstSeenAt: Int64
    /// When a message from it was decrypted last, Unix milliseconds.
    public let lastReceivedAt: Int64?
    /// Whether key and trust are not what was stored: they count as unknown and undecided until the key is
    /// seen again and a person decides.
    public var isDamaged = false
}

extension DeviceRecord {
    /// Whether the trust is a person's word.
    fileprivate var isDecided: Bool { trust == .verified || trust == .distrusted }
}

/// What a device list changed.
public struct DeviceListChange: Equatable, Sendable {
    /// Whether no list of this owner was known before.
    public let isFirst: Bool
    /// Ids that are on the list now and were not before.
    public let added: [UInt32]
    /// Ids that were on it and are not any more.
    public let removed: [UInt32]
    /// How many ids of the list were not taken: see `Transaction.maxDevices`.
    public var ignored = 0
}

/// How an identity key compares with the one that is stored.
public enum IdentityChange: Sendable {
    /// There was none: it is stored now.
    case new
    /// It is the stored one.
    case same
    /// It is not the stored one. Nothing was changed: a device keeps its identity, only a person may accept
    /// another.
    case changed
    /// The key belongs to another device, of whoever, or is our own. Nothing was changed: who shows somebody
    /// else's key would have what is meant for that device taken for his.
    case taken
    /// The device is not known, and its owner has as many as are kept. Nothing was changed.
    case full
}

extension Transaction {
    /// How many devices of one person are kept: each costs us work for every message.
    public static let maxDevices = 100

    /// The devices of one person, in the order of their ids.
    public func devices(account: Int64, jid: JID) throws(StoreError) -> [DeviceRecord] {
        try rows(
            "\(Self.selectDevices) WHERE account = ? AND jid = ? ORDER BY device", account, jid.bare
        ) { row in
            (try? row.id(1)).map { device(row, DeviceAddress(jid: jid, device: $0), account: account) }
        }.compactMap { $0 }
    }

    /// All devices known to an account. A row whose address cannot be read is nobody's and left out.
    public func devices(account: Int64) throws(StoreError) -> [DeviceRecord] {
        try rows(
            "\(Self.selectDevices) WHERE account = ? ORDER BY jid, device", account
        ) { row in
            guard let jid = try? row.jid(0), let id = try? row.id(1) else { return nil }
            return device(row, DeviceAddress(jid: jid, device: id), account: account)
        }.compactMap { $0 }
    }

    /// One device.
    public func device(account: Int64, _ address: DeviceAddress) throws(StoreError) -> DeviceRecord? {
        try first(
            "\(Self.selectDevices) WHERE account = ? AND jid = ? AND device = ?", account, address.jid,
            address.device
        ) { device($0, address, account: account) }
    }

    /// Takes over a device list: the first `maxDevices` of its ids. Devices that left it are kept, with their
    /// keys and trust, as inactive, as long as there is room; what a person decided is kept in any case.
    public func setDeviceList(
        account: Int64, jid: JID, ids: [UInt32], now: Int64
    ) throws(StoreError) -> DeviceListChange {
        let jid = jid.bare
        let isFirst = try deviceListFetchedAt(account: account, jid: jid) == nil
        let before = try devices(account: account, jid: jid)
        var listed: Set<UInt32> = []
        let taken = ids.filter { listed.count < Self.maxDevices && listed.insert($0).inserted }
        let known = Dictionary(uniqueKeysWithValues: before.map { ($0.address.device, $0) })
        let removed = before.filter { $0.isActive && !listed.contains($0.address.device) }
        for device in removed { try setActive(false, account: account, device.address) }
        var room = try makeRoom(
            for: taken.count { known[$0] == nil },
            among: before.filter { !listed.contains($0.address.device) }, of: before.count, account: account)
        var added: [UInt32] = []
        for id in taken where known[id]?.isActive != true {
            let address = DeviceAddress(jid: jid, device: id)
            if known[id] != nil {
                try setActive(true, account: account, address)
            } else if room > 0 {
                room -= 1
                try add(address, nil, .undecided, active: true, account: account, now)
            } else {
                continue
            }
            added.append(id)
        }
        try run(
            """
            INSERT INTO deviceList (account, jid, fetchedAt) VALUES (?, ?, ?)
            ON CONFLICT DO UPDATE SET fetchedAt = excluded.fetchedAt
            """, account, jid, now)
        let active = taken.count { known[$0]?.isActive == true }
        return DeviceListChange(
            isFirst: isFirst, added: added, removed: removed.map(\.address.device),
            ignored: Set(ids).count - active - added.count)
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
        for device in forgotten {
            try removeSessions(account: account, device.address)
            try run(
                "DELETE FROM device WHERE account = ? AND jid = ? AND device = ?", account,
                device.address.jid, device.address.device)
        }
        return room + forgotten.count
    }

    /// When the device list of this person came last; nil if never.
    public func deviceListFetchedAt(account: Int64, jid: JID) throws(StoreError) -> Int64? {
        try first(
            "SELECT fetchedAt FROM deviceList WHERE account = ? AND jid = ?", account, jid.bare
        ) { $0.integer(0) }
    }

    /// Stores the identity key of a device unless another one is known, or the key is another device's. Keys
    /// are compared in their Curve25519 form: a legacy key exchange does not tell the sign of the Edwards
    /// form.
    ///
    /// - Parameter policy: gives the trust of a device whose key is seen for the first time, unless a person
    ///   has decided before.
    @discardableResult
    public func setIdentity(
        account: Int64, _ address: DeviceAddress, _ identityKey: IdentityKey, policy: TrustPolicy, now: Int64
    ) throws(StoreError) -> IdentityChange {
        // Nearly always the key is known: one row, and none of the others.
        if let known = try device(account: account, address), let key = known.identityKey {
            return try compare(key, identityKey, of: known, account: account)
        }
        let others = try devices(account: account, jid: address.jid).filter { $0.address != address }
        // A damaged device may be one that was verified: then nobody else is trusted blindly.
        let trust = policy.levelForNewDevice(among: others.map { $0.isDamaged ? .verified : $0.trust })
        return try setIdentity(account: account, address, identityKey, trust: trust, now: now)
    }

    /// As above, with the trust for a new key given.
    @discardableResult
    public func setIdentity(
        account: Int64, _ address: DeviceAddress, _ identityKey: IdentityKey, trust: TrustLevel, now: Int64
    ) throws(StoreError) -> IdentityChange {
        guard let known = try device(account: account, address) else {
            if try deviceCount(account: account, jid: address.jid) >= Self.maxDevices { return .full }
            if try isTaken(identityKey, by: address, account: account) { return .taken }
            try add(address, identityKey, trust, active: false, account: account, now)
            return .new
        }
        if let key = known.identityKey { return try compare(key, identityKey, of: known, account: account) }
        if try isTaken(identityKey, by: address, account: account) { return .taken }
        // What was decided on a damaged device is lost, be it that it must never receive: only a person
        // decides again.
        let trust = known.isDamaged || known.trust != .undecided ? known.trust : trust
        try update(address, identityKey, trust, account: account)
        return .new
    }

    private func deviceCount(account: Int64, jid: JID) throws(StoreError) -> Int {
        try first("SELECT count(*) FROM device WHERE account = ? AND jid = ?", account, jid) {
            Int($0.integer(0))
        } ?? 0
    }

    /// Whether a key belongs to a device at another address, or is our own at another than ours.
    private func isTaken(
        _ key: IdentityKey, by address: DeviceAddress, account: Int64
    ) throws(StoreError) -> Bool {
        let holder = try first(
            Self.selectHolder, account, key.curve25519.bytes, address.jid, address.device
        ) { _ in true }
        if let holder { return holder }
        guard let own = try self.account(id: account),
            own.identity.publicKey.curve25519 == key.curve25519
        else { return false }
        return DeviceAddress(jid: own.jid, device: own.device) != address
    }

    static let selectHolder = """
        SELECT 1 FROM device WHERE account = ?1 AND curve25519 = ?2 AND NOT (jid = ?3 AND device = ?4) LIMIT 1
        """

    /// A legacy message shows only the Curve25519 form; the sign of the Ed25519 key stands as 0 until a
    /// bundle tells it, and is then written down.
    private func compare(
        _ stored: IdentityKey, _ seen: IdentityKey, of device: DeviceRecord, account: Int64
    ) throws(StoreError) -> IdentityChange {
        guard stored.curve25519 == seen.curve25519 else { return .changed }
        if stored.ed25519[31] & 0x80 == 0, seen.ed25519[31] & 0x80 != 0 {
            try update(device.address, seen, device.trust, account: account)
        }
        return .same
    }

    /// Accepts another identity key for a device, at a person's command: the sessions with the old one are
    /// deleted.
    public func replaceIdentity(
        account: Int64, _ address: DeviceAddress, _ identityKey: IdentityKey, trust: TrustLevel
    ) throws(StoreError) {
        try update(address, identityKey, trust, account: account)
        try removeSessions(account: account, address)
    }

    /// - Returns: false if the device is not known, or is damaged and would receive: nobody can have compared
    ///   a key that is not there.
    @discardableResult
    public func setTrust(
        _ trust: TrustLevel, account: Int64, _ address: DeviceAddress
    ) throws(StoreError) -> Bool {
        guard let device = try device(account: account, address), !(device.isDamaged && trust.receives) else {
            return false
        }
        try update(address, device.identityKey, trust, account: account)
        return true
    }

    /// Notes that a message from the device was decrypted.
    public func touchReceived(account: Int64, _ address: DeviceAddress, at now: Int64) throws(StoreError) {
        try run(
            "UPDATE device SET lastReceivedAt = ?4 WHERE account = ?1 AND jid = ?2 AND device = ?3", account,
            address.jid, address.device, now)
    }

    // MARK: Rows

    private func add(
        _ address: DeviceAddress, _ key: IdentityKey?, _ trust: TrustLevel, active: Bool, account: Int64,
        _ now: Int64
    ) throws(StoreError) {
        var checksum = self.checksum(of: address, key, trust.rawValue, account: account)
        try run(
            """
            INSERT INTO device
              (account, jid, device, identityKey, curve25519, trust, active, firstSeenAt, checksum)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            """, account, address.jid, address.device, key?.ed25519, key?.curve25519.bytes, trust.rawValue,
            active, now, checksum.value)
    }

    private func update(
        _ address: DeviceAddress, _ key: IdentityKey?, _ trust: TrustLevel, account: Int64
    ) throws(StoreError) {
        var checksum = self.checksum(of: address, key, trust.rawValue, account: account)
        try run(
            """
            UPDATE device SET identityKey = ?4, curve25519 = ?5, trust = ?6, checksum = ?7
            WHERE account = ?1 AND jid = ?2 AND device = ?3
            """, account, address.jid, address.device, key?.ed25519, key?.curve25519.bytes, trust.rawValue,
            checksum.value)
    }

    private func setActive(_ active: Bool, account: Int64, _ address: DeviceAddress) throws(StoreError) {
        try run(
            "UPDATE device SET active = ?4 WHERE account = ?1 AND jid = ?2 AND device = ?3", account,
            address.jid, address.device, active)
    }

    static let selectDevices = """
        SELECT jid, device, identityKey, curve25519, trust, active, firstSeenAt, lastReceivedAt, checksum FROM device
        """

    func device(_ row: Row, _ address: DeviceAddress, account: Int64) -> DeviceRecord {
        // The checksum stands in for the costly check of the point.
        let key = row.optionalBytes(2).flatMap { try? IdentityKey(restoring: $0, curve25519: row.bytes(3)) }
        let trust = row.text(4)
        var checksum = self.checksum(of: address, key, trust, account: account)
        let level = checksum.matches(row, 8) ? TrustLevel(rawValue: trust) : nil
        return DeviceRecord(
            address: address, identityKey: level == nil ? nil : key, trust: level ?? .undecided,
            isActive: row.bool(5), firstSeenAt: row.integer(6), lastReceivedAt: row.optionalInteger(7),
            isDamaged: level == nil)
    }

    private func checksum(
        of address: DeviceAddress, _ key: IdentityKey?, _ trust: String, account: Int64
    ) -> Checksum {
        var checksum = Checksum(of: "device")
        checksum.add(account)
        checksum.add(address.jid.description)
        checksum.add(Int64(address.device))
        checksum.add(key?.ed25519 ?? [])
        checksum.add(key?.curve25519.bytes ?? [])
        checksum.add(trust)
        return checksum
    }
}
