// The private keys behind our bundle; each exists only as long as somebody may still use it.
public import IMCrypto
public import OMEMO

/// The pre-keys of one account, read from the database as a key exchange asks for them.
///
/// A damaged key counts as spent: the key exchange that names it fails, the account goes on.
public struct AccountPreKeys: PreKeyStore {
    let transaction: Transaction
    let account: Int64

    /// The one-time pre-key of that id; nil if it is spent.
    public func preKey(_ id: UInt32) throws -> KeyPair? {
        try transaction.first(
            "SELECT id, privateKey, checksum FROM preKey WHERE account = ? AND id = ?", account, id
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

    /// Deletes a pre-key that a key exchange has used and adds another with the next free id.
    /// - Returns: the new one.
    @discardableResult
    public func replacePreKey(
        _ used: UInt32, with keyPair: KeyPair, account: Int64
    ) throws(StoreError) -> PreKey {
        try removePreKey(used, account: account)
        guard
            let id = try first(
                "SELECT nextPreKeyID FROM account WHERE id = ?", account,
                read: { (row) throws(StoreError) in try row.id(0) })
        else { throw .constraint("no account \(account)") }
        let preKey = PreKey(id: id, keyPair: keyPair)
        try addPreKeys([preKey], account: account)
        return preKey
    }

    /// How many unspent pre-keys there are.
    public func preKeyCount(account: Int64) throws(StoreError) -> Int {
        try first("SELECT count(*) FROM preKey WHERE account = ?", account) { Int($0.integer(0)) } ?? 0
    }

    /// All unspent pre-keys, by id.
    public func allPreKeys(account: Int64) throws(StoreError) -> [PreKey] {
        try rows(
            "SELECT id, privateKey, checksum FROM preKey WHERE account = ? ORDER BY id", account
        ) { (row) throws(StoreError) in
            try preKey(row, account: account)
        }
    }

    // MARK: Signed pre-keys

    /// Adds the signed pre-key that is published from now on.
    public func add(_ key: SignedPreKey, account: Int64) throws(StoreError) {
        var checksum = self.checksum(of: key, account: account)
        try run(
            """
            INSERT INTO signedPreKey (account, id, privateKey, signature, createdAt, checksum)
            VALUES (?, ?, ?, ?, ?, ?)
            """, account, key.id, key.keyPair.privateKey, key.signature, key.createdAt,
            checksum.value)
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
        let privateKey = preKey.keyPair.privateKey
        var checksum = self.checksum(ofPreKey: preKey.id, privateKey, account: account)
        try run(
            "INSERT INTO preKey (account, id, privateKey, checksum) VALUES (?, ?, ?, ?)", account, preKey.id,
            privateKey, checksum.value)
    }

    private static func id(after last: UInt32) -> UInt32 {
        last < DeviceAddress.devices.upperBound ? last + 1 : 1
    }

    fileprivate static let selectSignedPreKeys = """
        SELECT id, privateKey, signature, createdAt, checksum FROM signedPreKey WHERE account = ?
        """

    fileprivate func preKey(_ row: Row, account: Int64) throws(StoreError) -> PreKey {
        let id = try row.id(0)
        let privateKey = row.withBytes(1) { SecretBytes($0) }
        var checksum = self.checksum(ofPreKey: id, privateKey, account: account)
        guard checksum.matches(row, 2), let keyPair = try? KeyPair(privateKey: privateKey) else {
            throw .corrupt("checksum of preKey \(account)/\(id)")
        }
        return PreKey(id: id, keyPair: keyPair)
    }

    fileprivate func signedPreKey(_ row: Row, account: Int64) throws(StoreError) -> SignedPreKey {
        let id = try row.id(0)
        guard let keyPair = try? KeyPair(privateKey: row.withBytes(1) { SecretBytes($0) }) else {
            throw .corrupt("key of signedPreKey \(account)/\(id)")
        }
        let key = SignedPreKey(id: id, keyPair: keyPair, signature: row.bytes(2), createdAt: row.integer(3))
        var checksum = self.checksum(of: key, account: account)
        guard checksum.matches(row, 4) else {
            throw .corrupt("checksum of signedPreKey \(account)/\(id)")
        }
        return key
    }

    private func checksum(ofPreKey id: UInt32, _ privateKey: SecretBytes, account: Int64) -> Checksum {
        var checksum = Checksum(of: "preKey")
        checksum.add(account)
        checksum.add(Int64(id))
        checksum.add(privateKey)
        return checksum
    }

    private func checksum(of key: SignedPreKey, account: Int64) -> Checksum {
        var checksum = Checksum(of: "signedPreKey")
        checksum.add(account)
        checksum.add(Int64(key.id))
        checksum.add(key.keyPair.privateKey)
        checksum.add(key.signature)
        checksum.add(key.createdAt)
        return checksum
    }
}
