// Ratchets: one record per remote device and protocol version.
import IMCrypto
public import OMEMO

extension Transaction {
    /// The sessions with a device; nil if there never was one.
    /// - Throws: `.corrupt` if the row is not what was saved: the session is lost, start a new one.
    public func session(
        account: Int64, _ address: DeviceAddress, _ version: ProtocolVersion
    ) throws(StoreError) -> SessionRecord? {
        try first(
            "SELECT record, checksum FROM session WHERE account = ? AND jid = ? AND device = ? AND version = ?",
            account, address.jid, address.device, version.rawValue
        ) { (row) throws(StoreError) in
            var checksum = self.checksum(account, address, version)
            row.withBytes(0) { checksum.add($0) }
            guard checksum.matches(row, 1), let session = try? SessionRecord(serialized: row.bytes(0)) else {
                throw .corrupt("checksum of session \(account)/\(address.jid)/\(address.device)")
            }
            return session
        }
    }

    /// Saves the sessions with a device. In the transaction that stores what they encrypted or decrypted.
    public func save(
        _ record: SessionRecord, account: Int64, _ address: DeviceAddress, _ version: ProtocolVersion
    ) throws(StoreError) {
        let record = record.serialized()
        var checksum = self.checksum(account, address, version)
        checksum.add(record)
        try run(
            """
            INSERT INTO session (account, jid, device, version, record, checksum) VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET record = excluded.record, checksum = excluded.checksum
            """, account, address.jid, address.device, version.rawValue, record, checksum.value)
    }

    /// Forgets the sessions with a device, of one protocol version or of both.
    public func removeSessions(
        account: Int64, _ address: DeviceAddress, _ version: ProtocolVersion? = nil
    ) throws(StoreError) {
        try run(
            """
            DELETE FROM session WHERE account = ?1 AND jid = ?2 AND device = ?3 AND (?4 IS NULL OR version = ?4)
            """, account, address.jid, address.device, version?.rawValue)
    }

    /// The record is still to be added.
    func checksum(
        _ account: Int64, _ address: DeviceAddress, _ version: ProtocolVersion
    ) -> Checksum {
        var checksum = Checksum(of: "session")
        checksum.add(account)
        checksum.add(address.jid.description)
        checksum.add(Int64(address.device))
        checksum.add(version.rawValue)
        return checksum
    }
}
