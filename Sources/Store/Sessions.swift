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
            "SELECT record FROM session WHERE account = ? AND jid = ? AND device = ? AND version = ?",
            account, address.jid, address.device, version.rawValue
        ) { (row) throws(StoreError) in
            guard let record = sealing.open(row, 0, in: .session(account, address, version)),
                let session = try? SessionRecord(serialized: record.bytes)
            else { throw .corrupt("seal of session \(account)/\(address.jid)/\(address.device)") }
            return session
        }
    }

    /// Saves the sessions with a device. In the transaction that stores what they encrypted or decrypted.
    public func save(
        _ record: SessionRecord, account: Int64, _ address: DeviceAddress, _ version: ProtocolVersion
    ) throws(StoreError) {
        let sealed = sealing.seal(record.serialized(), in: .session(account, address, version))
        try run(
            """
            INSERT INTO session (account, jid, device, version, record) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET record = excluded.record
            """, account, address.jid, address.device, version.rawValue, sealed)
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
}

extension Cell {
    static func session(_ account: Int64, _ address: DeviceAddress, _ version: ProtocolVersion) -> Cell {
        session(
            account, jid: address.jid.description, device: address.device, version: version.rawValue)
    }
}
