// Other people's devices and our own others: identity keys and trust.
public import IMCrypto
public import OMEMO
public import XMPP

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

    /// Stores the identity key of a device unless another one is known, or the key is another device's. Keys
    /// are compared in their Curve25519 form: a legacy key exchange does not tell the sign of the Edwards
    /// form.
    ///
    /// - Parameter policy: gives the trust of a device whose key is seen for the first time, unless somebody has
    ///   decided about that key before.
    @discardableResult
    public func setIdentity(
        account: Int64, _ address: DeviceAddress, _ identityKey: IdentityKey, policy: TrustPolicy, now: Int64
    ) throws(StoreError) -> IdentityChange {
        // Nearly always the key is known: one row, and none of the others.
        if let known = try device(account: account, address), let key = known.identityKey {
            return try compare(key, identityKey, of: known, account: account)
        }
        let decided = try decision(account: account, jid: address.jid, identityKey.curve25519)
        let trust: TrustLevel
        if let decided {
            trust = decided.level
        } else {
            trust = try level(of: address, policy, account: account, now)
        }
        return try setIdentity(account: account, address, identityKey, trust: trust, now: now)
    }

    private func level(
        of address: DeviceAddress, _ policy: TrustPolicy, account: Int64, _ now: Int64
    ) throws(StoreError) -> TrustLevel {
        let devices = try devices(account: account, jid: address.jid)
        let since = devices.first { $0.address == address }?.firstSeenAt ?? now
        let others = devices.filter { $0.address != address }
        // A key may be verified before its device was seen, or after it was forgotten.
        let isPinned = try hasVerifiedKey(account: account, jid: address.jid)
        // A damaged device may be one that was verified: then nobody else is trusted blindly.
        return policy.levelForNewDevice(
            among: others.map { $0.isDamaged ? .verified : $0.trust } + (isPinned ? [.verified] : []),
            isFirstContact: !isPinned
                && !others.contains { $0.identityKey != nil && $0.firstSeenAt < since })
    }

    /// As above, with the trust for a new key given.
    @discardableResult
    public func setIdentity(
        account: Int64, _ address: DeviceAddress, _ identityKey: IdentityKey, trust: TrustLevel, now: Int64
    ) throws(StoreError) -> IdentityChange {
        guard let known = try device(account: account, address) else {
            if try deviceCount(account: account, jid: address.jid) >= Self.maxDevices { return .full }
            if try isTaken(identityKey, by: address, account: account) { return .taken }
            try add(address, identityKey, trust, on: nil, account: account, now)
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

    /// Decides about a device, and so about its key.
    ///
    /// - Returns: false if the device is not known, or is damaged and would receive: nobody can have compared
    ///   a key that is not there.
    @discardableResult
    public func setTrust(
        _ trust: TrustLevel, account: Int64, _ address: DeviceAddress, source: TrustSource, now: Int64
    ) throws(StoreError) -> Bool {
        guard let device = try device(account: account, address) else { return false }
        guard let key = device.identityKey else {
            guard !device.isDamaged || trust == .undecided || trust == .distrusted else { return false }
            try update(address, nil, trust, account: account)
            return true
        }
        try decide(trust, account: account, jid: address.jid, key: key.curve25519, source: source, now: now)
        return true
    }

    /// Gives the devices that have a key of this person another trust.
    /// - Returns: those whose trust changed.
    func setTrust(
        _ trust: TrustLevel, ofKey key: PublicKey, account: Int64, jid: JID
    ) throws(StoreError) -> [DeviceRecord] {
        var changed: [DeviceRecord] = []
        for device in try devices(account: account, jid: jid)
        where device.identityKey?.curve25519 == key && device.trust != trust {
            try update(device.address, device.identityKey, trust, account: account)
            if let now = try self.device(account: account, device.address) { changed.append(now) }
        }
        return changed
    }

    /// Notes that the device has written in omemo:2.
    public func noteOmemo2(account: Int64, _ address: DeviceAddress) throws(StoreError) {
        try run(
            "UPDATE device SET sendsOmemo2 = 1 WHERE account = ?1 AND jid = ?2 AND device = ?3", account,
            address.jid, address.device)
    }

    /// Notes that its session was replaced because it did not work.
    public func noteHealed(account: Int64, _ address: DeviceAddress, at now: Int64) throws(StoreError) {
        try run(
            "UPDATE device SET healedAt = ?4 WHERE account = ?1 AND jid = ?2 AND device = ?3", account,
            address.jid, address.device, now)
    }

    /// Notes that a message from the device was decrypted.
    public func touchReceived(account: Int64, _ address: DeviceAddress, at now: Int64) throws(StoreError) {
        try run(
            "UPDATE device SET lastReceivedAt = ?4 WHERE account = ?1 AND jid = ?2 AND device = ?3", account,
            address.jid, address.device, now)
    }

    // MARK: Rows

    func add(
        _ address: DeviceAddress, _ key: IdentityKey?, _ trust: TrustLevel, on version: ProtocolVersion?,
        account: Int64, _ now: Int64
    ) throws(StoreError) {
        var checksum = self.checksum(of: address, key, trust.rawValue, account: account)
        try run(
            """
            INSERT INTO device
              (account, jid, device, identityKey, curve25519, trust, active, activeOmemo2, firstSeenAt, checksum)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """, account, address.jid, address.device, key?.ed25519, key?.curve25519.bytes, trust.rawValue,
            version == .legacy, version == .omemo2, now, checksum.value)
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

    func setActive(
        _ active: Bool, _ version: ProtocolVersion, account: Int64, _ address: DeviceAddress
    ) throws(StoreError) {
        try run(
            version == .legacy ? Self.updateActive : Self.updateActiveOmemo2, account, address.jid,
            address.device, active)
    }

    private static let updateActive =
        "UPDATE device SET active = ?4 WHERE account = ?1 AND jid = ?2 AND device = ?3"
    private static let updateActiveOmemo2 =
        "UPDATE device SET activeOmemo2 = ?4 WHERE account = ?1 AND jid = ?2 AND device = ?3"

    func setLabel(
        _ device: OMEMO.DeviceList.Device, account: Int64, _ address: DeviceAddress
    ) throws(StoreError) {
        try run(
            """
            UPDATE device SET label = ?4, labelSignature = ?5 WHERE account = ?1 AND jid = ?2 AND device = ?3
            """, account, address.jid, address.device, device.label, device.labelSignature)
    }

    static let selectDevices = """
        SELECT jid, device, identityKey, curve25519, trust, active, firstSeenAt, lastReceivedAt, checksum,
          activeOmemo2, sendsOmemo2, label, labelSignature, healedAt
        FROM device
        """

    func device(_ row: Row, _ address: DeviceAddress, account: Int64) -> DeviceRecord {
        // The checksum stands in for the costly check of the point.
        let key = row.optionalBytes(2).flatMap { try? IdentityKey(restoring: $0, curve25519: row.bytes(3)) }
        let trust = row.text(4)
        var checksum = self.checksum(of: address, key, trust, account: account)
        let level = checksum.matches(row, 8) ? TrustLevel(rawValue: trust) : nil
        var versions: Set<ProtocolVersion> = row.bool(5) ? [.legacy] : []
        if row.bool(9) { versions.insert(.omemo2) }
        return DeviceRecord(
            address: address, identityKey: level == nil ? nil : key, trust: level ?? .undecided,
            versions: versions, sendsOmemo2: row.bool(10), firstSeenAt: row.integer(6),
            lastReceivedAt: row.optionalInteger(7), healedAt: row.optionalInteger(13),
            published: OMEMO.DeviceList.Device(
                id: address.device, label: row.optionalText(11), labelSignature: row.optionalBytes(12)),
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
