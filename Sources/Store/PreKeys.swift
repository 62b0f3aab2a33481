// The private keys behind our bundle; each exists only as long as somebody may still use it.
public import IMCrypto
public import OMEMO

/// The pre-keys of one account, read from the database as a key exchange asks for them.
///
/// A damaged key counts as spent: the key exchange that names it fails, the account goes on.
public struct AccountPreKeys: PreKeyStore {
    let transaction: Transaction
    let account: Int64

    /// The one-time pre-key of that id, also one that was used and is kept; nil if it is spent.
    public func preKey(_ id: UInt32) throws -> KeyPair? {
        try transaction.first(
            "\(Transaction.selectPreKeys) AND id = ?", account, id
        ) { try? transaction.preKey($0, account: account).keyPair } ?? nil
    }

    /// The signed pre-key of that id: the current or the previous one.
    public func signedPreKey(_ id: UInt32) throws -> KeyPair? {
        try transaction.first(
            "\(Transaction.selectSignedPreKeys) AND id = ?", account, id
        ) { try? transaction.signedPreKey($0, account: account).keyPair } ?? nil
    }
}

extension Transaction {
    /// What `SessionRecord.decrypt` asks for keys; valid inside this transaction.
    public func preKeys(account: Int64) -> AccountPreKeys {
        AccountPreKeys(transaction: self, account: account)
    }

    // MARK: One-time pre-keys

    /// Adds pre-keys; ids from now on continue after the last of them.
    public func addPreKeys(_ preKeys: [PreKey], account: Int64) throws(StoreError) {
        for preKey in preKeys { try add(preKey, account: account) }
        guard let last = preKeys.last else { return }
        try run("UPDATE account SET nextPreKeyID = ?2 WHERE id = ?1", account, Self.id(after: last.id))
    }

    /// Deletes a pre-key that a key exchange has used.
    /// - Returns: false if it was not there.
    @discardableResult
    public func removePreKey(_ id: UInt32, account: Int64) throws(StoreError) -> Bool {
        try run("DELETE FROM preKey WHERE account = ? AND id = ?", account, id) > 0
    }

    /// Takes a pre-key that a key exchange has used off the bundle and adds another with the next free id.
    ///
    /// - Parameters:
    ///   - keepingUsed: the used one stays until `removeUsedPreKeys`, for messages of the same key exchange
    ///     that are still to come from the archive (XEP-0384 §4.3). Else it is deleted.
    ///   - now: Unix milliseconds, UTC.
    /// - Returns: the new one; nil if there is no such pre-key or another took its place before.
    @discardableResult
    public func replacePreKey(
        _ used: UInt32, with keyPair: KeyPair, account: Int64, keepingUsed: Bool = false, now: Int64 = 0
    ) throws(StoreError) -> PreKey? {
        let isUnused = try first(
            "SELECT usedAt IS NULL FROM preKey WHERE account = ? AND id = ?", account, used
        ) { $0.bool(0) }
        if !keepingUsed {
            try removePreKey(used, account: account)
        } else if isUnused == true {
            try run("UPDATE preKey SET usedAt = ?3 WHERE account = ?1 AND id = ?2", account, used, now)
        }
        guard isUnused == true else { return nil }
        guard
            let id = try first(
                "SELECT nextPreKeyID FROM account WHERE id = ?", account,
                read: { (row) throws(StoreError) in try row.id(0) })
        else { throw .constraint("no account \(account)") }
        let preKey = PreKey(id: id, keyPair: keyPair)
        try addPreKeys([preKey], account: account)
        return preKey
    }

    /// Deletes the pre-keys that were used and kept.
    /// - Returns: how many those were.
    @discardableResult
    public func removeUsedPreKeys(account: Int64) throws(StoreError) -> Int {
        try run("DELETE FROM preKey WHERE account = ? AND usedAt IS NOT NULL", account)
    }

    /// How many unused pre-keys there are.
    public func preKeyCount(account: Int64) throws(StoreError) -> Int {
        try first("SELECT count(*) FROM preKey WHERE account = ? AND usedAt IS NULL", account) {
            Int($0.integer(0))
        } ?? 0
    }

    /// All unused pre-keys, by id.
    /// - Throws: `.corrupt` if one of them is damaged: see `removeDamagedPreKeys`.
    public func allPreKeys(account: Int64) throws(StoreError) -> [PreKey] {
        try rows(
            "\(Self.selectPreKeys) AND usedAt IS NULL ORDER BY id", account
        ) { (row) throws(StoreError) in
            try preKey(row, account: account)
        }
    }

    /// Deletes the one-time and signed pre-keys that are not what was stored, so that the others can be
    /// published.
    /// - Returns: what was deleted, as table and key.
    public func removeDamagedPreKeys(account: Int64) throws(StoreError) -> [String] {
        let damaged = try damagedPreKeys(account: account)
        for (table, id) in damaged {
            try run("DELETE FROM \(table) WHERE account = ? AND id = ?", account, id)
        }
        return damaged.map { "\($0.table) \(account)/\($0.id)" }
    }

    /// Ids as they stand in the rows.
    func damagedPreKeys(account: Int64) throws(StoreError) -> [(table: String, id: Int64)] {
        let oneTime = try rows("\(Self.selectPreKeys) ORDER BY id", account) { row in
            (try? preKey(row, account: account)) == nil ? row.integer(0) : nil
        }
        let signed = try rows("\(Self.selectSignedPreKeys) ORDER BY id", account) { row in
            (try? signedPreKey(row, account: account)) == nil ? row.integer(0) : nil
        }
        return oneTime.compactMap { $0 }.map { ("preKey", $0) }
            + signed.compactMap { $0 }.map { ("signedPreKey", $0) }
    }

    // MARK: Signed pre-keys

    /// Adds the signed pre-key that is published from now on.
    public func add(_ key: SignedPreKey, account: Int64) throws(StoreError) {
        let sealed = sealing.seal(
            key.keyPair.privateKey,
            in: .signedPreKey(account, key.id, signature: key.signature, createdAt: key.createdAt))
        try run(
            "INSERT INTO signedPreKey (account, id, privateKey, signature, createdAt) VALUES (?, ?, ?, ?, ?)",
            account, key.id, sealed, key.signature, key.createdAt)
    }

    /// The signed pre-keys that are kept, newest first; the first is the published one. Their ids tell the
    /// order: the clock may have been set back.
    public func signedPreKeys(account: Int64) throws(StoreError) -> [SignedPreKey] {
        try rows(
            "\(Self.selectSignedPreKeys) ORDER BY id DESC", account
        ) { (row) throws(StoreError) in
            try signedPreKey(row, account: account)
        }
    }

    /// Deletes a signed pre-key whose time is over.
    /// - Returns: false if it was not there.
    @discardableResult
    public func removeSignedPreKey(_ id: UInt32, account: Int64) throws(StoreError) -> Bool {
        try run("DELETE FROM signedPreKey WHERE account = ? AND id = ?", account, id) > 0
    }

    // MARK: Rows

    private func add(_ preKey: PreKey, account: Int64) throws(StoreError) {
        let sealed = sealing.seal(preKey.keyPair.privateKey, in: .preKey(account, preKey.id))
        try run(
            "INSERT INTO preKey (account, id, privateKey) VALUES (?, ?, ?)", account, preKey.id, sealed)
    }

    private static func id(after last: UInt32) -> UInt32 {
        last < DeviceAddress.devices.upperBound ? last + 1 : 1
    }

    fileprivate static let selectPreKeys = "SELECT id, privateKey FROM preKey WHERE account = ?"

    fileprivate static let selectSignedPreKeys = """
        SELECT id, privateKey, signature, createdAt FROM signedPreKey WHERE account = ?
        """

    fileprivate func preKey(_ row: Row, account: Int64) throws(StoreError) -> PreKey {
        let id = try row.id(0)
        guard let privateKey = sealing.open(row, 1, in: .preKey(account, id)),
            let keyPair = try? KeyPair(privateKey: privateKey)
        else { throw .corrupt("seal of preKey \(account)/\(id)") }
        return PreKey(id: id, keyPair: keyPair)
    }

    fileprivate func signedPreKey(_ row: Row, account: Int64) throws(StoreError) -> SignedPreKey {
        let (id, signature, createdAt) = (try row.id(0), row.bytes(2), row.integer(3))
        let cell = Cell.signedPreKey(account, id, signature: signature, createdAt: createdAt)
        guard let privateKey = sealing.open(row, 1, in: cell),
            let keyPair = try? KeyPair(privateKey: privateKey)
        else { throw .corrupt("seal of signedPreKey \(account)/\(id)") }
        return SignedPreKey(id: id, keyPair: keyPair, signature: signature, createdAt: createdAt)
    }
}
