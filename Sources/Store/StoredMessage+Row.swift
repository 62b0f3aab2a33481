// How a message is read from its row, whatever is left of that row.
import OMEMO
import XMPP

extension StoredMessage {
    /// In the order in which `init(_:from:)` reads them; `m` is the message table.
    static let columns = """
        m.id, m.account, m.messageID, m.chat, m.sender, m.direction, m.body, m.protocol, m.device, m.fingerprint, \
        m.trust, m.plaintext, m.state, m.reason, m.clientID, m.stanzaID, m.sentAt, m.storedAt, m.markable, m.downgraded, \
        m.excluded, m.reactsTo, m.checksum
        """

    /// One damaged row must not hide the others of its chat, nor hold up the event log: what cannot be read
    /// gets a stand-in, and `isDamaged` says so.
    ///
    /// - Parameter first: index of the first of `columns`.
    init(_ row: Row, from first: Int32 = 0) {
        let chat = try? row.jid(first + 3)
        let sender = try? row.jid(first + 4)
        let direction = MessageDirection(rawValue: row.text(first + 5))
        let state = MessageState(rawValue: row.text(first + 12))
        let encryption = Self.encryption(row, from: first + 7)
        id = row.integer(first)
        account = row.integer(first + 1)
        messageID = row.text(first + 2)
        self.chat = chat ?? sender?.bare ?? Self.nobody
        self.sender = sender ?? chat ?? Self.nobody
        self.direction = direction ?? .in
        body = row.text(first + 6)
        self.encryption = encryption
        plaintext = row.bool(first + 11)
        self.state = state ?? (direction == .out ? .failed : .received)
        reason = row.optionalText(first + 13)
        clientID = row.optionalText(first + 14)
        stanzaID = row.optionalText(first + 15)
        sentAt = row.integer(first + 16)
        storedAt = row.integer(first + 17)
        markable = row.bool(first + 18)
        downgraded = row.bool(first + 19)
        excluded = row.optionalText(first + 20)
        reactsTo = row.optionalText(first + 21)
        let isReadable =
            chat != nil && sender != nil && direction != nil && state != nil
            && (encryption != nil || row.isNull(first + 7))
        isDamaged = !isReadable || !matchesChecksum(row, first + 22)
    }

    private static func encryption(_ row: Row, from first: Int32) -> MessageEncryption? {
        guard let version = ProtocolVersion(rawValue: row.text(first)), let device = try? row.id(first + 1),
            let trust = TrustLevel(rawValue: row.text(first + 3))
        else { return nil }
        return MessageEncryption(
            version: version, device: device, fingerprint: row.text(first + 2), trust: trust)
    }

    /// Stands for an address that cannot be read. Nobody can have it (RFC 6761 §6.4).
    private static let nobody: JID = {
        do {
            return try JID("damaged.invalid")
        } catch {
            preconditionFailure("\(error)")
        }
    }()

    /// Rows from before schema 0002 have none.
    private func matchesChecksum(_ row: Row, _ column: Int32) -> Bool {
        if row.isNull(column) { return true }
        var checksum = self.checksum
        return checksum.matches(row, column)
    }

    /// Of everything that never changes. The row is not part of it: it is not known before the message is
    /// stored.
    var checksum: Checksum {
        var checksum = Checksum(of: "message")
        checksum.add(account)
        checksum.add(messageID)
        checksum.add(chat.description)
        checksum.add(sender.description)
        checksum.add(direction.rawValue)
        checksum.add(body)
        checksum.add(encryption?.version.rawValue)
        checksum.add((encryption?.device).map { Int64($0) })
        checksum.add(encryption?.fingerprint)
        checksum.add(encryption?.trust.rawValue)
        checksum.add(Int64(plaintext ? 1 : 0))
        checksum.add(clientID)
        checksum.add(sentAt)
        checksum.add(storedAt)
        checksum.add(Int64(markable ? 1 : 0))
        // Rows from before schema 0003 know nothing of it.
        if downgraded { checksum.add(Int64(1)) }
        // Nor those from before schema 0007 of this.
        if let reactsTo {
            checksum.add("reactsTo")
            checksum.add(reactsTo)
        }
        return checksum
    }
}
