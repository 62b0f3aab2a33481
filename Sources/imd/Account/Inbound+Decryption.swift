// An encrypted message on its way in: its session, its sender's key, its text, and what is answered (XEP-0384).
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

extension Inbound {
    mutating func decrypt(_ encrypted: Element, in incoming: Incoming, _ tx: Transaction) throws {
        guard let message = try? EncryptedMessage(encrypted, for: own.device) else {
            return try undecryptable(incoming, device: nil, "malformed", tx)
        }
        let sender = DeviceAddress(jid: incoming.from.bare, device: message.sid)
        if sender == ownAddress { return try sentByOurselves(message, incoming, tx) }
        guard let key = message.keys.first else {
            guard message.payload != nil else { return }
            return try undecryptable(incoming, device: message.sid, "not-for-this-device", tx)
        }
        switch try open(message, key, from: sender, tx) {
        case .success(let opened): try take(opened, in: incoming, tx)
        case .failure(.preKeyStoreFailed): throw StoreError.corrupt("preKey")
        case .failure(let error):
            // What was stored before came again: silent, also where its keys are long gone.
            if try isStored(incoming, tx) { return }
            if error == .identityKeyChanged { try keyChanged(sender, tx) }
            guard message.payload != nil, error != .alreadyDecrypted || incoming.message.id != nil else {
                return
            }
            try undecryptable(incoming, device: message.sid, error.word, tx)
        }
    }

    private var ownAddress: DeviceAddress { DeviceAddress(jid: own.jid, device: own.device) }

    /// The archive holds a text that this device encrypted and the database does not know: the database is an older
    /// copy. Its ratchets have been used beyond what it remembers and must not be used again (fault row F7).
    private mutating func sentByOurselves(
        _ message: EncryptedMessage, _ incoming: Incoming, _ tx: Transaction
    ) throws {
        guard message.payload != nil, incoming.way == .archive, !archive.isRestored, !effects.isRestored
        else { return }
        effects.isRestored = true
        try Restoration(own: own, now: now).abandonSessions(tx)
    }

    private struct Opened {
        let sender: DeviceAddress
        let text: Bytes?
        let encryption: SenderEncryption
        let answerIsDue: Bool
        var record: SessionRecord
    }

    /// Everything is verified before anything is saved, so a forged payload cannot move a ratchet.
    private mutating func open(
        _ message: EncryptedMessage, _ key: EncryptedMessage.Key, from sender: DeviceAddress,
        _ tx: Transaction
    ) throws -> Result<Opened, DecryptionError> {
        let known = try tx.device(account: own.account, sender)
        if known?.isDamaged == true { throw StoreError.corrupt("checksum of device \(sender.device)") }
        var record =
            try tx.usableSession(with: sender, account: own.account, now: now)
            ?? SessionRecord(expecting: known?.identityKey)
        let decrypted: Decrypted
        let text: Bytes?
        do throws(DecryptionError) {
            (decrypted, text) = try verify(message, key, &record, tx)
        } catch {
            return .failure(error)
        }
        guard let device = try identify(sender, known, decrypted.identityKey, tx) else {
            return .failure(.identityKeyChanged)
        }
        try tx.save(record, account: own.account, sender, .legacy)
        if let used = decrypted.usedPreKey { try replace(preKey: used, tx) }
        return .success(
            Opened(
                sender: sender, text: text, encryption: device,
                answerIsDue: decrypted.isNewSession || decrypted.heartbeatIsDue, record: record))
    }

    /// Who encrypted, or nil where the device is known by another key than this one.
    private mutating func identify(
        _ sender: DeviceAddress, _ known: DeviceRecord?, _ key: IdentityKey, _ tx: Transaction
    ) throws -> SenderEncryption? {
        var device = known
        if let stored = known?.identityKey {
            guard stored.curve25519 == key.curve25519 else { return nil }
        } else {
            guard try tx.setIdentity(account: own.account, sender, key, policy: .btbv, now: now) == .new
            else {
                return nil
            }
            device = try tx.device(account: own.account, sender)
        }
        guard let device, let identityKey = device.identityKey else { return nil }
        if !device.isActive { effects.staleLists.append(sender.jid) }
        if now - (device.lastReceivedAt ?? 0) >= Self.receivedResolution {
            try tx.touchReceived(account: own.account, sender, at: now)
        }
        return SenderEncryption(
            version: .legacy, device: sender.device, fingerprint: identityKey.fingerprint, trust: device.trust
        )
    }

    /// How exactly it is known when a device last wrote, in milliseconds: not worth a row for every message.
    private static let receivedResolution: Int64 = 3_600_000

    private func verify(
        _ message: EncryptedMessage, _ key: EncryptedMessage.Key, _ record: inout SessionRecord,
        _ tx: Transaction
    ) throws(DecryptionError) -> (Decrypted, text: Bytes?) {
        let decrypted = try record.decrypt(
            key.data, isKeyExchange: key.isKeyExchange, own: own.identity,
            preKeys: tx.preKeys(account: own.account))
        guard let payload = message.payload else { return (decrypted, nil) }
        return (decrypted, try Payload.open(payload, iv: message.iv, secret: decrypted.plaintext))
    }

    private mutating func take(_ opened: Opened, in incoming: Incoming, _ tx: Transaction) throws {
        if opened.answerIsDue, try mayAnswer(incoming, tx) { try answer(opened, tx) }
        guard let text = opened.text else { return }
        guard let body = String(validating: text, as: UTF8.self), !body.isEmpty else {
            return try undecryptable(incoming, device: opened.sender.device, "malformed", tx)
        }
        try store(body, encryption: opened.encryption, of: incoming, tx)
    }

    /// Ends the sender's key exchange phase, or moves its ratchet on: an empty message (XEP-0384 §4.5).
    ///
    /// It waits in the outbox like any message, because its ratchet step is saved with this transaction.
    private mutating func answer(_ opened: Opened, _ tx: Transaction) throws {
        var random = SystemRandomNumberGenerator()
        var recipients = [Recipient(address: opened.sender, record: opened.record)]
        guard
            let message = try? Fanout.encrypt(nil, from: own.device, to: &recipients, using: &random)
        else { return }
        try tx.save(recipients[0].record, account: own.account, opened.sender, .legacy)
        let stanza = MessageStanza.empty(message, to: opened.sender.jid, id: StanzaID.random(using: &random))
        try tx.enqueue(account: own.account, stanza: stanza.xml(), message: nil, now: now)
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
        guard let id = incoming.message.id,
            let known = try tx.message(account: own.account, messageID: id)
        else { return false }
        return known.direction == incoming.direction && known.chat == incoming.chat
    }

    private mutating func keyChanged(_ sender: DeviceAddress, _ tx: Transaction) throws {
        let device = try tx.device(account: own.account, sender)
        try append(
            .device(
                DeviceDetail(
                    jid: sender.jid.description, device: sender.device,
                    fingerprint: device?.identityKey?.fingerprint, trust: device.map { Trust($0.trust) },
                    change: .keyChanged)), chat: sender.jid, tx)
    }

    /// Not for what is older than this device: nobody could have encrypted it for us.
    private mutating func undecryptable(
        _ incoming: Incoming, device: UInt32?, _ reason: String, _ tx: Transaction
    ) throws {
        guard incoming.way != .history else { return }
        let chat = incoming.chat
        let detail = UndecryptableDetail(
            chat: chat.description, from: incoming.from.bare.description, device: device, reason: reason)
        try append(.undecryptable(detail), chat: chat, tx)
    }
}
