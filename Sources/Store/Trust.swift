// What was decided about keys, and the policies for keys that nobody decided about.
public import IMCrypto
public import OMEMO
public import XMPP

/// Who decided about a key.
public enum TrustSource: String, Sendable, CaseIterable {
    /// The user, here.
    case person
    /// The user on another device, or a contact about his own devices (XEP-0450).
    case trustMessage = "trust-message"
    /// A file of decisions, or a backup.
    case imported
}

/// A decision about a key, whether or not a device with it was ever seen.
public struct TrustDecision: Equatable, Sendable {
    /// Whose key it is, bare.
    public let jid: JID
    /// The identity key, as people compare it.
    public let key: PublicKey
    /// What was decided.
    public let level: TrustLevel
    /// Who decided.
    public let source: TrustSource
    /// Unix milliseconds, UTC.
    public let decidedAt: Int64
}

/// What somebody whose key is not authenticated yet said about a key (XEP-0450 §4.3).
public struct PendingTrust: Equatable, Sendable {
    /// Whose key it is about.
    public let owner: JID
    /// 32 bytes, Ed25519.
    public let key: Bytes
    /// What was said: `.verified` or `.distrusted`.
    public let level: TrustLevel

    /// From its parts.
    public init(owner: JID, key: Bytes, level: TrustLevel) {
        self.owner = owner.bare
        self.key = key
        self.level = level
    }
}

extension Transaction {
    /// Keeps a decision about a key, in the place of an earlier one, and gives it to the devices that have the key.
    ///
    /// - Parameter level: `.undecided` takes a decision back.
    /// - Returns: the devices whose trust changed.
    @discardableResult
    public func decide(
        _ level: TrustLevel, account: Int64, jid: JID, key: PublicKey, source: TrustSource, now: Int64
    ) throws(StoreError) -> [DeviceRecord] {
        let jid = jid.bare
        if level == .undecided {
            try run(
                "DELETE FROM trustDecision WHERE account = ? AND jid = ? AND curve25519 = ?", account, jid,
                key.bytes)
        } else {
            var checksum = checksum(of: jid.description, key.bytes, level.rawValue, account: account)
            try run(
                """
                INSERT INTO trustDecision (account, jid, curve25519, trust, source, decidedAt, checksum)
                VALUES (?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT DO UPDATE SET trust = excluded.trust, source = excluded.source,
                  decidedAt = excluded.decidedAt, checksum = excluded.checksum, untold = 0
                """, account, jid, key.bytes, level.rawValue, source.rawValue, now, checksum.value)
        }
        return try setTrust(level, ofKey: key, account: account, jid: jid)
    }

    /// What was decided about a key; nil if nothing was, or it cannot be read any more.
    public func decision(
        account: Int64, jid: JID, _ key: PublicKey
    ) throws(StoreError) -> TrustDecision? {
        try first(
            "\(Self.selectDecisions) WHERE account = ? AND jid = ? AND curve25519 = ?", account, jid.bare,
            key.bytes
        ) { decision($0, account: account) } ?? nil
    }

    /// Whether a key of this person is verified, be its device known or not.
    func hasVerifiedKey(account: Int64, jid: JID) throws(StoreError) -> Bool {
        try first(
            "SELECT 1 FROM trustDecision WHERE account = ? AND jid = ? AND trust = ? LIMIT 1", account,
            jid.bare, TrustLevel.verified.rawValue
        ) { _ in true } ?? false
    }

    /// Everything that was decided, by JID and key.
    public func decisions(account: Int64) throws(StoreError) -> [TrustDecision] {
        try rows("\(Self.selectDecisions) WHERE account = ? ORDER BY jid, curve25519", account) {
            decision($0, account: account)
        }.compactMap { $0 }
    }

    /// Notes whether a decision is still to be told to other devices (XEP-0450).
    public func setUntold(
        _ isUntold: Bool, account: Int64, jid: JID, key: PublicKey
    ) throws(StoreError) {
        try run(
            "UPDATE trustDecision SET untold = ?4 WHERE account = ?1 AND jid = ?2 AND curve25519 = ?3",
            account,
            jid.bare, key.bytes, isUntold)
    }

    /// The decisions that are still to be told, by JID and key.
    public func untoldDecisions(account: Int64) throws(StoreError) -> [TrustDecision] {
        try rows("\(Self.selectDecisions) WHERE account = ? AND untold ORDER BY jid, curve25519", account) {
            decision($0, account: account)
        }.compactMap { $0 }
    }

    func damagedDecisions(account: Int64) throws(StoreError) -> [String] {
        try rows("\(Self.selectDecisions) WHERE account = ? ORDER BY jid, curve25519", account) { row in
            decision(row, account: account) == nil
                ? "checksum of trustDecision \(account)/\(row.text(0))" : nil
        }.compactMap { $0 }
    }

    static let selectDecisions =
        "SELECT jid, curve25519, trust, source, decidedAt, checksum FROM trustDecision"

    private func decision(_ row: Row, account: Int64) -> TrustDecision? {
        var checksum = checksum(of: row.text(0), row.bytes(1), row.text(2), account: account)
        guard checksum.matches(row, 5), let jid = try? row.jid(0), let key = try? PublicKey(row.bytes(1)),
            let level = TrustLevel(rawValue: row.text(2)), let source = TrustSource(rawValue: row.text(3))
        else { return nil }
        return TrustDecision(
            jid: jid, key: key, level: level, source: source, decidedAt: row.integer(4))
    }

    private func checksum(of jid: String, _ key: Bytes, _ trust: String, account: Int64) -> Checksum {
        var checksum = Checksum(of: "trustDecision")
        checksum.add(account)
        checksum.add(jid)
        checksum.add(key)
        checksum.add(trust)
        return checksum
    }

    // MARK: Trust messages that wait

    /// How many words of people who are not authenticated are kept for an account; the oldest go first.
    public static let maxPendingTrust = 1000

    /// Keeps what was said about a key until the sender's own is authenticated.
    ///
    /// - Parameter senderKey: 32 bytes, Ed25519.
    public func addPendingTrust(
        account: Int64, senderKey: Bytes, _ pending: PendingTrust, now: Int64
    ) throws(StoreError) {
        try run(
            "DELETE FROM pendingTrust WHERE account = ? AND senderKey = ? AND owner = ? AND key = ?", account,
            senderKey, pending.owner, pending.key)
        try run(
            """
            INSERT INTO pendingTrust (account, senderKey, owner, key, trust, at) VALUES (?, ?, ?, ?, ?, ?)
            """, account, senderKey, pending.owner, pending.key, pending.level.rawValue, now)
        try run(
            """
            DELETE FROM pendingTrust WHERE account = ?1 AND id <= (
              SELECT id FROM pendingTrust WHERE account = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)
            """, account, Self.maxPendingTrust)
    }

    /// What that sender said; it is not kept any longer.
    public func takePendingTrust(account: Int64, senderKey: Bytes) throws(StoreError) -> [PendingTrust] {
        let pending = try rows(
            "SELECT owner, key, trust FROM pendingTrust WHERE account = ? AND senderKey = ? ORDER BY id",
            account,
            senderKey
        ) { (row) throws(StoreError) in
            PendingTrust(
                owner: try row.jid(0), key: row.bytes(1), level: try row.value(2, as: TrustLevel.self))
        }
        try run("DELETE FROM pendingTrust WHERE account = ? AND senderKey = ?", account, senderKey)
        return pending
    }

    // MARK: Policies

    /// The policy that was set for a contact, or, without one, for the account; nil if none was.
    public func policy(account: Int64, jid: JID?) throws(StoreError) -> TrustPolicy? {
        try first(
            "SELECT policy FROM trustPolicy WHERE account = ? AND jid = ?", account,
            jid?.bare.description ?? ""
        ) { TrustPolicy(rawValue: $0.text(0)) } ?? nil
    }

    /// Sets a policy, or with nil takes it back.
    public func setPolicy(_ policy: TrustPolicy?, account: Int64, jid: JID?) throws(StoreError) {
        let jid = jid?.bare.description ?? ""
        guard let policy else {
            try run("DELETE FROM trustPolicy WHERE account = ? AND jid = ?", account, jid)
            return
        }
        try run(
            """
            INSERT INTO trustPolicy (account, jid, policy) VALUES (?, ?, ?)
            ON CONFLICT DO UPDATE SET policy = excluded.policy
            """, account, jid, policy.rawValue)
    }

    /// All policies that were set; the account's own first, without JID.
    public func policies(account: Int64) throws(StoreError) -> [(jid: JID?, policy: TrustPolicy)] {
        try rows("SELECT jid, policy FROM trustPolicy WHERE account = ? ORDER BY jid", account) {
            (row) throws(StoreError) in
            (
                row.text(0).isEmpty ? nil : try row.jid(0),
                try row.value(1, as: TrustPolicy.self)
            )
        }
    }
}
