// Accounts: how to log in, our own device's identity, and what the server said last.
public import IMCrypto
public import XMPP

/// How an account's connection becomes encrypted.
public enum TLSMode: String, Sendable, Hashable, CaseIterable {
    /// STARTTLS on the XMPP port (RFC 6120 §5).
    case startTLS = "starttls"
    /// TLS from the first byte (XEP-0368).
    case direct
}

/// How to reach and log in to an account. The user may change all of it.
public struct AccountSettings: Sendable {
    /// Nil if the user gave a command instead.
    public var password: SecretBytes?
    /// Run by a shell; prints the password.
    public var passwordCommand: String?
    /// Where to connect instead of asking the DNS.
    public var host: String?
    /// 1…65535; nil for the default.
    public var port: Int?
    /// How the connection becomes encrypted.
    public var tls: TLSMode
    /// PEM file with the only certificates to trust.
    public var caFile: String?
    /// Whether the password may be sent as it is (inside TLS).
    public var allowPlain: Bool
    /// Resourcepart to ask for; nil lets the server choose.
    public var resource: String?
    /// Whether the daemon connects it.
    public var enabled: Bool

    /// From its parts.
    public init(
        password: SecretBytes? = nil, passwordCommand: String? = nil, host: String? = nil, port: Int? = nil,
        tls: TLSMode = .startTLS, caFile: String? = nil, allowPlain: Bool = false, resource: String? = nil,
        enabled: Bool = true
    ) {
        self.password = password
        self.passwordCommand = passwordCommand
        self.host = host
        self.port = port
        self.tls = tls
        self.caFile = caFile
        self.allowPlain = allowPlain
        self.resource = resource
        self.enabled = enabled
    }
}

/// An account to add, with the device it will be.
public struct NewAccount: Sendable {
    /// Stored as bare JID.
    public var jid: JID
    /// How to reach it.
    public var settings: AccountSettings
    /// Our device id, 1…2³¹−1.
    public var device: UInt32
    /// Our device's identity.
    public var identity: IdentityKeyPair
    /// Unix milliseconds, UTC.
    public var createdAt: Int64

    /// From its parts.
    public init(
        jid: JID, settings: AccountSettings, device: UInt32, identity: IdentityKeyPair, createdAt: Int64
    ) {
        self.jid = jid
        self.settings = settings
        self.device = device
        self.identity = identity
        self.createdAt = createdAt
    }
}

/// A stored account. Its settings are also its own members: `record.host`.
@dynamicMemberLookup
public struct AccountRecord: Sendable, Identifiable {
    /// What every other table refers to; never used again for another account.
    public let id: Int64
    /// Bare.
    public let jid: JID
    /// How to reach it.
    public var settings: AccountSettings
    /// The strongest SASL mechanism the server ever accepted.
    public var pinnedMechanism: String?
    /// The roster's `ver` (RFC 6121 §2.6).
    public var rosterVersion: String?
    /// Id of an archived message (XEP-0313): everything in the archive up to it is stored.
    public var archivePosition: String?
    /// When that message was sent, Unix milliseconds, UTC; for an archive that does not know the id any more.
    public var archivePositionAt: Int64?
    /// Our device id.
    public let device: UInt32
    /// Our device's identity.
    public let identity: IdentityKeyPair
    /// The id the next one-time pre-key gets.
    public let nextPreKeyID: UInt32
    /// Unix milliseconds, UTC.
    public let createdAt: Int64

    /// The settings' members.
    public subscript<Value>(dynamicMember member: WritableKeyPath<AccountSettings, Value>) -> Value {
        get { settings[keyPath: member] }
        set { settings[keyPath: member] = newValue }
    }
}

extension Transaction {
    /// - Returns: the account's row.
    /// - Throws: `.constraint` if there is an account with this JID.
    @discardableResult
    public func addAccount(_ account: NewAccount) throws(StoreError) -> Int64 {
        let settings = account.settings
        let id = try insert(
            """
            INSERT INTO account (jid, password, passwordCommand, host, port, tls, caFile, allowPlain, resource,
              enabled, device, identitySeed, nextPreKeyID, createdAt)
            VALUES (?, NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, x'', 1, ?)
            """, account.jid.bare, settings.passwordCommand, settings.host, settings.port,
            settings.tls.rawValue, settings.caFile, settings.allowPlain, settings.resource, settings.enabled,
            account.device, account.createdAt)
        // The seals are bound to the row, which has its number now.
        try run(
            "UPDATE account SET password = ?2, identitySeed = ?3 WHERE id = ?1", id,
            seal(settings.password, account: id),
            sealing.seal(account.identity.seed, in: .identitySeed(id, device: account.device)))
        return id
    }

    /// All accounts, oldest first.
    public func accounts() throws(StoreError) -> [AccountRecord] {
        try rows("\(Self.selectAccounts) ORDER BY id", read: account)
    }

    /// The bare JID of every account, by row.
    public func accountJIDs() throws(StoreError) -> [Int64: JID] {
        let pairs = try rows("SELECT id, jid FROM account") { (row) throws(StoreError) in
            (row.integer(0), try row.jid(1))
        }
        return Dictionary(uniqueKeysWithValues: pairs)
    }

    /// The account with this bare JID.
    public func account(jid: JID) throws(StoreError) -> AccountRecord? {
        try first("\(Self.selectAccounts) WHERE jid = ?", jid.bare, read: account)
    }

    /// The account of this row.
    public func account(id: Int64) throws(StoreError) -> AccountRecord? {
        try first("\(Self.selectAccounts) WHERE id = ?", id, read: account)
    }

    /// Replaces an account's settings.
    public func updateAccount(_ id: Int64, settings: AccountSettings) throws(StoreError) {
        try run(
            """
            UPDATE account SET password = ?2, passwordCommand = ?3, host = ?4, port = ?5, tls = ?6, caFile = ?7,
              allowPlain = ?8, resource = ?9, enabled = ?10
            WHERE id = ?1
            """, id, seal(settings.password, account: id), settings.passwordCommand, settings.host,
            settings.port,
            settings.tls.rawValue, settings.caFile, settings.allowPlain, settings.resource, settings.enabled)
    }

    /// Replaces an account's settings, with what `record.settings` holds.
    public func updateAccount(_ record: AccountRecord) throws(StoreError) {
        try updateAccount(record.id, settings: record.settings)
    }

    /// Deletes an account and everything that belongs to it: keys, messages, events.
    /// - Returns: false if there was none.
    @discardableResult
    public func removeAccount(_ id: Int64) throws(StoreError) -> Bool {
        try run("DELETE FROM account WHERE id = ?", id) > 0
    }

    /// Makes the account a new device: its pre-keys and sessions are deleted, add new ones in the same
    /// transaction. Heals a restored old copy of the database.
    public func replaceDevice(
        account: Int64, device: UInt32, identity: IdentityKeyPair
    ) throws(StoreError) {
        try run("DELETE FROM session WHERE account = ?", account)
        try run("DELETE FROM preKey WHERE account = ?", account)
        try run("DELETE FROM signedPreKey WHERE account = ?", account)
        try run(
            "UPDATE account SET device = ?2, identitySeed = ?3, nextPreKeyID = 1 WHERE id = ?1", account,
            device,
            sealing.seal(identity.seed, in: .identitySeed(account, device: device)))
    }

    /// The strongest SASL mechanism the server has accepted; a weaker offer is a downgrade from now on.
    public func setPinnedMechanism(_ mechanism: String?, account: Int64) throws(StoreError) {
        try run("UPDATE account SET pinnedMechanism = ?2 WHERE id = ?1", account, mechanism)
    }

    /// Whether the daemon connects the account.
    public func setEnabled(_ enabled: Bool, account: Int64) throws(StoreError) {
        try run("UPDATE account SET enabled = ?2 WHERE id = ?1", account, enabled)
    }

    /// The roster's `ver` (RFC 6121 §2.6).
    public func setRosterVersion(_ version: String?, account: Int64) throws(StoreError) {
        try run("UPDATE account SET rosterVersion = ?2 WHERE id = ?1", account, version)
    }

    /// Everything in the archive up to the message of that id is stored (XEP-0313).
    /// - Parameter at: when it was sent, Unix milliseconds, UTC.
    public func setArchivePosition(_ position: String?, at: Int64?, account: Int64) throws(StoreError) {
        try run(
            "UPDATE account SET archivePosition = ?2, archivePositionAt = ?3 WHERE id = ?1", account,
            position,
            at)
    }

    static let selectAccounts = """
        SELECT id, jid, password, passwordCommand, host, port, tls, caFile, allowPlain, resource, enabled,
          pinnedMechanism, rosterVersion, archivePosition, device, identitySeed, nextPreKeyID, createdAt, archivePositionAt
        FROM account
        """

    func account(_ row: Row) throws(StoreError) -> AccountRecord {
        let id = row.integer(0)
        let device = try row.id(14)
        guard let seed = sealing.open(row, 15, in: .identitySeed(id, device: device)),
            let identity = try? IdentityKeyPair(seed: seed)
        else { throw .corrupt("seal of account \(id)") }
        let password = row.isNull(2) ? nil : sealing.open(row, 2, in: .password(id))
        guard row.isNull(2) || password != nil else { throw .corrupt("seal of account \(id)") }
        let settings = AccountSettings(
            password: password, passwordCommand: row.optionalText(3),
            host: row.optionalText(4), port: row.optionalInteger(5).map { Int($0) },
            tls: try row.value(6, as: TLSMode.self), caFile: row.optionalText(7), allowPlain: row.bool(8),
            resource: row.optionalText(9), enabled: row.bool(10))
        return AccountRecord(
            id: id, jid: try row.jid(1), settings: settings, pinnedMechanism: row.optionalText(11),
            rosterVersion: row.optionalText(12), archivePosition: row.optionalText(13),
            archivePositionAt: row.optionalInteger(18), device: device, identity: identity,
            nextPreKeyID: try row.id(16), createdAt: row.integer(17))
    }

    private func seal(_ password: SecretBytes?, account: Int64) -> Bytes? {
        password.map { sealing.seal($0, in: .password(account)) }
    }
}
