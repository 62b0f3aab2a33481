// What it takes to take up a broken stream again after a restart (XEP-0198 §5).
public import XMPP

/// A stream that the server keeps for us.
public struct ResumptionRecord: Hashable, Sendable {
    /// The server's SM-ID, `previd`.
    public var id: String
    /// The full JID that was bound.
    public var jid: JID
    /// Where the server wants the reconnection, as it said it.
    public var location: String?
    /// How long the server keeps the stream.
    public var maxSeconds: Int?
    /// Our `h`: how many stanzas were received and are stored, modulo 2³².
    public var handled: UInt32
    /// Position of the last stanza of ours that the server has acknowledged.
    public var acknowledged: Int64
    /// Whether everything from before this stream was fetched from the archive.
    public var caughtUp: Bool

    /// From its parts.
    public init(
        id: String, jid: JID, location: String? = nil, maxSeconds: Int? = nil, handled: UInt32 = 0,
        acknowledged: Int64 = 0, caughtUp: Bool = false
    ) {
        self.id = id
        self.jid = jid
        self.location = location
        self.maxSeconds = maxSeconds
        self.handled = handled
        self.acknowledged = acknowledged
        self.caughtUp = caughtUp
    }
}

extension Transaction {
    /// The stream that can be resumed; nil if there is none, or its row is damaged: with a wrong `h` the
    /// server would drop what is not stored here, while a new stream and the archive lose nothing.
    public func resumption(account: Int64) throws(StoreError) -> ResumptionRecord? {
        try first(
            """
            SELECT streamID, jid, location, maxSeconds, handled, acknowledged, caughtUp, checksum
            FROM resumption WHERE account = ?
            """, account
        ) { row in
            guard let jid = try? row.jid(1), let handled = try? row.id(4) else { return nil }
            let record = ResumptionRecord(
                id: row.text(0), jid: jid, location: row.optionalText(2),
                maxSeconds: row.optionalInteger(3).map { Int($0) }, handled: handled,
                acknowledged: row.integer(5), caughtUp: row.bool(6))
            var checksum = checksum(of: record, account: account)
            return checksum.matches(row, 7) ? record : nil
        } ?? nil
    }

    /// The server answered that the new stream can be resumed.
    public func setResumption(_ record: ResumptionRecord, account: Int64) throws(StoreError) {
        var checksum = checksum(of: record, account: account)
        try run(
            """
            INSERT INTO resumption
              (account, streamID, jid, location, maxSeconds, handled, acknowledged, caughtUp, checksum)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET streamID = excluded.streamID, jid = excluded.jid, location = excluded.location,
              maxSeconds = excluded.maxSeconds, handled = excluded.handled, acknowledged = excluded.acknowledged,
              caughtUp = excluded.caughtUp, checksum = excluded.checksum
            """, account, record.id, record.jid, record.location, record.maxSeconds, record.handled,
            record.acknowledged, record.caughtUp, checksum.value)
    }

    /// There is no stream to resume.
    public func removeResumption(account: Int64) throws(StoreError) {
        try run("DELETE FROM resumption WHERE account = ?", account)
    }

    /// Our `h`. In the transaction that stores the stanzas it counts. Nothing happens without a stream to
    /// resume.
    public func setHandled(_ handled: UInt32, account: Int64) throws(StoreError) {
        guard var record = try resumption(account: account), record.handled != handled else { return }
        record.handled = handled
        try setResumption(record, account: account)
    }

    /// Everything from before this stream was fetched from the archive. Nothing happens without a stream to
    /// resume.
    public func setCaughtUp(account: Int64) throws(StoreError) {
        guard var record = try resumption(account: account), !record.caughtUp else { return }
        record.caughtUp = true
        try setResumption(record, account: account)
    }

    /// Only forward.
    func setAcknowledged(_ position: Int64, account: Int64) throws(StoreError) {
        guard var record = try resumption(account: account), record.acknowledged < position else { return }
        record.acknowledged = position
        try setResumption(record, account: account)
    }

    private func checksum(of record: ResumptionRecord, account: Int64) -> Checksum {
        var checksum = Checksum(of: "resumption")
        checksum.add(account)
        checksum.add(record.id)
        checksum.add(record.jid.description)
        checksum.add(record.location)
        checksum.add(record.maxSeconds.map { Int64($0) })
        checksum.add(Int64(record.handled))
        checksum.add(record.acknowledged)
        checksum.add(Int64(record.caughtUp ? 1 : 0))
        return checksum
    }
}
