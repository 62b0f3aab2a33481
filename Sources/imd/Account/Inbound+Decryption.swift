// An encrypted message on its way in: its session, its sender's key, its content (XEP-0384).
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

extension Inbound {
    /// - Parameter elements: every `<encrypted/>` of the stanza, one for each version.
    mutating func decrypt(
        _ elements: [ProtocolVersion: Element], in incoming: Incoming, _ tx: Transaction
    ) throws {
        // Clients that put both versions into one stanza give us the same text twice.
        let messages = [ProtocolVersion.omemo2, .legacy].compactMap { version in
            elements[version].flatMap { try? EncryptedMessage($0, version, for: own.address) }
        }
        guard let first = messages.first else {
            return try undecryptable(incoming, device: nil, "malformed", tx)
        }
        if incoming.from.bare == own.jid, let ours = messages.first(where: { $0.sid == own.device }) {
            return try sentByOurselves(ours, incoming, tx)
        }
        let addressed = messages.filter { !$0.keys.isEmpty }
        guard !addressed.isEmpty else { return try unaddressed(first, incoming, tx) }
        try decrypt(addressed, in: incoming, tx)
    }

    /// - Parameter messages: the same text in one version or two, each with a key for this device.
    private mutating func decrypt(
        _ messages: [EncryptedMessage], in incoming: Incoming, _ tx: Transaction
    ) throws {
        var failure: (error: DecryptionError, message: EncryptedMessage)?
        for message in messages {
            let sender = DeviceAddress(jid: incoming.from.bare, device: message.sid)
            guard let key = message.keys.first else { continue }
            switch try open(message, key, from: sender, in: incoming, tx) {
            case .success(let opened):
                if let failure, failure.error == .identityKeyChanged {
                    try keyChanged(DeviceAddress(jid: sender.jid, device: failure.message.sid), tx)
                }
                return try take(opened, in: incoming, tx)
            case .failure(.preKeyStoreFailed): throw StoreError.corrupt("preKey")
            case .failure(let error): failure = failure ?? (error, message)
            }
            // It was read before, in this version: the other one would give it again.
            if failure?.error == .alreadyDecrypted { break }
        }
        guard let failure else { return }
        let sender = DeviceAddress(jid: incoming.from.bare, device: failure.message.sid)
        try failed(failure.error, failure.message, from: sender, incoming, tx)
    }

    private mutating func failed(
        _ error: DecryptionError, _ message: EncryptedMessage, from sender: DeviceAddress,
        _ incoming: Incoming, _ tx: Transaction
    ) throws {
        // What was stored before came again: silent, also where its keys are long gone.
        if try isStored(incoming, tx) { return }
        if error == .identityKeyChanged { try keyChanged(sender, tx) }
        if error.breaksSession, try mayAnswer(incoming, tx) {
            try tx.noteBroken(BrokenSession(sender, message.version), account: own.account)
            effects.isBroken = true
        }
        guard message.payload != nil else { return }
        // Without an id nothing tells whether it was stored, and what is no text never is.
        if error == .alreadyDecrypted,
            incoming.message.id == nil || !isText(message, incoming) || isTextless(incoming)
        {
            return
        }
        try undecryptable(incoming, device: message.sid, error.word, tx)
    }

    /// A stanza for other devices of ours. A sender whose contact's devices speak different versions sends one stanza
    /// for each, with the same id: the other may have come, or come later.
    private mutating func unaddressed(
        _ message: EncryptedMessage, _ incoming: Incoming, _ tx: Transaction
    ) throws {
        guard isText(message, incoming), incoming.way != .history, try !isStored(incoming, tx) else { return }
        let detail = EventDetail.undecryptable(
            UndecryptableDetail(
                chat: incoming.chat.description, from: incoming.from.bare.description, device: message.sid,
                reason: "not-for-this-device"))
        try tx.addUnaddressed(
            UnaddressedStanza(
                chat: incoming.chat, direction: incoming.direction, messageID: incoming.message.id,
                detail: detail.payload()), account: own.account, now: now)
        effects.isUnaddressed = true
    }

    /// Whether it has something for people to read, as far as can be told from outside: in omemo:2 also trust messages
    /// have a payload, but no need for an id of their own.
    private func isText(_ message: EncryptedMessage, _ incoming: Incoming) -> Bool {
        guard message.payload != nil else { return false }
        return message.version == .legacy || StanzaIDs.originID(of: incoming.stanza) != nil
    }

    /// Whether it was read lately, and there was no text in it.
    private func isTextless(_ incoming: Incoming) -> Bool {
        guard let name = incoming.name else { return false }
        return archive.textless.contains(name) || effects.textless.contains(name)
    }

    /// The archive holds a text that this device encrypted and the database does not know: the database is an older
    /// copy. Its ratchets have been used beyond what it remembers and must not be used again (fault row F7).
    private mutating func sentByOurselves(
        _ message: EncryptedMessage, _ incoming: Incoming, _ tx: Transaction
    ) throws {
        guard isText(message, incoming), incoming.way == .archive, !archive.isRestored, !effects.isRestored
        else { return }
        effects.isRestored = true
        try Restoration(own: own, now: now).abandonSessions(tx)
    }

    private struct Opened {
        let sender: DeviceAddress
        /// Nil for a message without payload.
        let content: Result<DecryptedContent, CodecError>?
        let encryption: SenderEncryption
        let answerIsDue: Bool
        var record: SessionRecord
    }

    /// Everything is verified before anything is saved, so a forged payload cannot move a ratchet.
    private mutating func open(
        _ message: EncryptedMessage, _ key: EncryptedMessage.Key, from sender: DeviceAddress,
        in incoming: Incoming, _ tx: Transaction
    ) throws -> Result<Opened, DecryptionError> {
        let known = try tx.device(account: own.account, sender)
        if known?.isDamaged == true { throw StoreError.corrupt("checksum of device \(sender.device)") }
        var record =
            try tx.usableSession(with: sender, message.version, account: own.account, now: now)
            ?? SessionRecord(message.version, expecting: known?.identityKey)
        let decrypted: Decrypted
        let payload: Bytes?
        do throws(DecryptionError) {
            (decrypted, payload) = try verify(message, key, &record, tx)
        } catch {
            return .failure(error)
        }
        guard let device = try identify(sender, known, decrypted.identityKey, message.version, tx) else {
            return .failure(.identityKeyChanged)
        }
        try tx.save(record, account: own.account, sender, message.version)
        let content = payload.map { payload in
            Result { () throws(CodecError) in
                try DecryptedContent(payload, message.version, of: incoming, own: own.jid)
            }
        }
        // Some answer in omemo:2 without text and cannot read one.
        if message.version == .omemo2, known?.sendsOmemo2 != true, case .success(let read)? = content,
            !read.body.isEmpty
        {
            try tx.noteOmemo2(account: own.account, sender)
        }
        if let used = decrypted.usedPreKey { try replace(preKey: used, tx) }
        return .success(
            Opened(
                sender: sender, content: content, encryption: device,
                answerIsDue: decrypted.isNewSession || decrypted.heartbeatIsDue, record: record))
    }

    /// Who encrypted, or nil where the device is known by another key than this one.
    private mutating func identify(
        _ sender: DeviceAddress, _ known: DeviceRecord?, _ key: IdentityKey, _ version: ProtocolVersion,
        _ tx: Transaction
    ) throws -> SenderEncryption? {
        var device = known
        if let stored = known?.identityKey {
            guard stored.curve25519 == key.curve25519 else { return nil }
            // Legacy does not show the whole key, omemo:2 does.
            if version == .omemo2, stored != key { try learn(key, of: sender, tx) }
        } else {
            guard case .new = try learn(key, of: sender, tx) else { return nil }
            device = try tx.device(account: own.account, sender)
        }
        guard let device, let identityKey = device.identityKey else { return nil }
        if !device.isActive { effects.staleLists.append(sender.jid) }
        if now - (device.lastReceivedAt ?? 0) >= Self.receivedResolution {
            try tx.touchReceived(account: own.account, sender, at: now)
        }
        return SenderEncryption(
            version: version, device: sender.device, fingerprint: identityKey.fingerprint, trust: device.trust
        )
    }

    @discardableResult
    private func learn(_ key: IdentityKey, of address: DeviceAddress, _ tx: Transaction) throws
        -> IdentityChange
    {
        let policy = try policies.policy(for: address.jid, account: own, tx).policy
        return try Identification(own: own, now: now).learn(key, of: address, policy, tx)
    }

    /// How exactly it is known when a device last wrote, in milliseconds: not worth a row for every message.
    private static let receivedResolution: Int64 = 3_600_000

    private func verify(
        _ message: EncryptedMessage, _ key: EncryptedMessage.Key, _ record: inout SessionRecord,
        _ tx: Transaction
    ) throws(DecryptionError) -> (Decrypted, payload: Bytes?) {
        let decrypted = try record.decrypt(
            key.data, isKeyExchange: key.isKeyExchange, own: own.identity,
            preKeys: tx.preKeys(account: own.account))
        guard message.payload != nil else { return (decrypted, nil) }
        return (decrypted, try Payload.open(message, secret: decrypted.plaintext))
    }

    private mutating func take(_ opened: Opened, in incoming: Incoming, _ tx: Transaction) throws {
        if opened.answerIsDue, try mayAnswer(incoming, tx) { try answer(opened, tx) }
        switch opened.content {
        case .success(let content)?:
            try take(content, from: opened.sender, opened.encryption, in: incoming, tx)
        case .failure?: try undecryptable(incoming, device: opened.sender.device, "malformed", tx)
        case nil: break
        }
    }

    /// Ends the sender's key exchange phase, or moves its ratchet on (XEP-0384 §4.5).
    private mutating func answer(_ opened: Opened, _ tx: Transaction) throws {
        let outbound = Outbound(own: own, policies: policies, now: now)
        try outbound.sendEmpty(opened.record, to: opened.sender, tx)
        effects.outboxGrew = true
    }

    /// A stranger learns nothing from us, not even that we are there (threat row 11).
    private func mayAnswer(_ incoming: Incoming, _ tx: Transaction) throws -> Bool {
        if incoming.way == .history { return false }
        if try seesOurPresence(incoming.from.bare, tx) { return true }
        return try tx.hasSent(account: own.account, chat: incoming.chat)
    }

    /// While the archive is being read the used key stays: another sender may have taken the same one before it was
    /// replaced, and that message comes later (XEP-0384 §4.6, threat row 26).
    private mutating func replace(preKey used: UInt32, _ tx: Transaction) throws {
        var random = SystemRandomNumberGenerator()
        try tx.replacePreKey(
            used, with: .generate(using: &random), account: own.account, keepingUsed: !archive.isCaughtUp,
            now: now)
        effects.bundleChanged = true
    }

    private func isStored(_ incoming: Incoming, _ tx: Transaction) throws -> Bool {
        guard let id = incoming.message.id else { return false }
        return try tx.isStored(id, in: incoming.chat, incoming.direction, account: own.account)
    }

    private mutating func keyChanged(_ sender: DeviceAddress, _ tx: Transaction) throws {
        guard let device = try tx.device(account: own.account, sender) else { return }
        try append(.device(DeviceDetail(device, .keyChanged)), chat: sender.jid, tx)
    }

    /// Not for what is older than this device: nobody could have encrypted it for us.
    mutating func undecryptable(
        _ incoming: Incoming, device: UInt32?, _ reason: String, _ tx: Transaction
    ) throws {
        guard incoming.way != .history else { return }
        let chat = incoming.chat
        let detail = UndecryptableDetail(
            chat: chat.description, from: incoming.from.bare.description, device: device, reason: reason)
        try append(.undecryptable(detail), chat: chat, tx)
    }
}

extension Transaction {
    /// Whether a message with this id is in a chat.
    func isStored(
        _ messageID: String, in chat: JID, _ direction: MessageDirection, account: Int64
    ) throws -> Bool {
        guard let known = try message(account: account, messageID: messageID) else { return false }
        return known.direction == direction && known.chat == chat
    }
}

extension DecryptionError {
    /// Whether nothing more will be read from that device until there is a new session.
    fileprivate var breaksSession: Bool {
        switch self {
        case .noSession, .invalidMessage, .tooFarAhead, .preKeyUnknown, .signedPreKeyUnknown: true
        case .alreadyDecrypted, .identityKeyChanged, .preKeyStoreFailed: false
        }
    }
}
