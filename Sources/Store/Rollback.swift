// What has to go when the database turns out to be an older copy of itself.

extension Transaction {
    /// Forgets all sessions of an account: their ratchets have been used beyond what is stored.
    public func removeSessions(account: Int64) throws(StoreError) {
        try run("DELETE FROM session WHERE account = ?", account)
    }

    /// The highest id of a signed pre-key, damaged or not; 0 without one.
    public func highestSignedPreKeyID(account: Int64) throws(StoreError) -> UInt32 {
        try first(
            "SELECT coalesce(max(id), 0) FROM signedPreKey WHERE account = ?", account,
            read: { (row) throws(StoreError) in try row.id(0) }) ?? 0
    }

    /// The next one-time pre-key gets this id, so that no id is given twice.
    public func setNextPreKeyID(_ id: UInt32, account: Int64) throws(StoreError) {
        try run("UPDATE account SET nextPreKeyID = ?2 WHERE id = ?1", account, id)
    }
}
