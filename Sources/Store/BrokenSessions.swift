// Sessions in which something could not be read, until they are replaced.
public import OMEMO

/// The session with a device in one version.
public struct BrokenSession: Hashable, Sendable {
    /// The device.
    public let address: DeviceAddress
    /// The version of the protocol.
    public let version: ProtocolVersion

    /// From its parts.
    public init(_ address: DeviceAddress, _ version: ProtocolVersion) {
        self.address = address
        self.version = version
    }
}

extension Transaction {
    /// Notes that a session does not decrypt. Noted twice it is the same.
    public func noteBroken(_ session: BrokenSession, account: Int64) throws(StoreError) {
        try run(
            """
            INSERT INTO brokenSession (account, jid, device, version) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING
            """, account, session.address.jid, session.address.device, session.version.rawValue)
    }

    /// The sessions to be replaced. A row that cannot be read is left out.
    public func brokenSessions(account: Int64) throws(StoreError) -> [BrokenSession] {
        try rows(
            """
            SELECT jid, device, version FROM brokenSession WHERE account = ? ORDER BY jid, device, version
            """, account
        ) { row in
            guard let jid = try? row.jid(0), let device = try? row.id(1),
                let version = ProtocolVersion(rawValue: row.text(2))
            else { return nil }
            return BrokenSession(DeviceAddress(jid: jid, device: device), version)
        }.compactMap { $0 }
    }

    /// It was replaced, or will not be.
    public func removeBroken(_ session: BrokenSession, account: Int64) throws(StoreError) {
        try run(
            "DELETE FROM brokenSession WHERE account = ? AND jid = ? AND device = ? AND version = ?", account,
            session.address.jid, session.address.device, session.version.rawValue)
    }
}
