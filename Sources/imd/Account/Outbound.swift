// From a stored message to the finished stanza in the outbox, inside one transaction.
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

/// Which devices a message goes to, which not, and what the stanza is. Sends nothing.
struct Outbound {
    let own: OwnIdentity
    let now: Int64
    /// Bundles that were fetched for devices without a session.
    var bundles: [DeviceAddress: Bundle] = [:]
    /// Devices whose bundle could not be had, and why.
    var failures: [DeviceAddress: ExclusionReason] = [:]

    enum Outcome: Sendable {
        case enqueued(Delivery)
        /// Nothing was changed: these devices have no session, and their bundles are not known.
        case needs([DeviceAddress])
        case noTrustedDevice([ExcludedDevice])
        /// What is stored is not what was accepted; it has failed.
        case damaged
    }

    /// Who will be able to read a message.
    struct Delivery: Sendable {
        var devices: [AddressedDevice] = []
        var excluded: [ExcludedDevice] = []
    }

    /// Puts the message into the outbox in clear. Only for a person's explicit command.
    func enqueuePlaintext(_ message: StoredMessage, _ tx: Transaction) throws -> Outcome {
        let stanza = MessageStanza.plain(message.body, to: message.chat, id: message.messageID)
        try tx.enqueue(account: own.account, stanza: stanza.xml(), message: message.id, now: now)
        return .enqueued(Delivery())
    }

    /// Encrypts the message for every trusted device of the contact and every other one of our own; without
    /// any of the contact's the message has failed.
    func encrypt(_ message: StoredMessage, _ tx: Transaction) throws -> Outcome {
        guard !message.isDamaged else {
            try tx.setState(message.id, .failed, reason: "damaged", now: now)
            return .damaged
        }
        var selection = try select(for: message.chat, tx)
        if !selection.missing.isEmpty { return .needs(selection.missing) }
        guard selection.reachesContact else {
            // It never left, so the same key may try again.
            try tx.setAwaitsKeys(true, message: message.id)
            try tx.setState(message.id, .failed, reason: "no-trusted-device", now: now)
            return .noTrustedDevice(selection.delivery.excluded)
        }
        var random = SystemRandomNumberGenerator()
        let encrypted = try Fanout.encrypt(
            Array(message.body.utf8), from: own.device, to: &selection.recipients, using: &random)
        for recipient in selection.recipients {
            try tx.save(recipient.record, account: own.account, recipient.address, .legacy)
        }
        let stanza = MessageStanza.encrypted(encrypted, to: message.chat, id: message.messageID)
        try tx.markEncrypted(account: own.account, chat: message.chat, now: now)
        try tx.enqueue(account: own.account, stanza: stanza.xml(), message: message.id, now: now)
        return .enqueued(selection.delivery)
    }

    private struct Selection {
        var recipients: [Recipient] = []
        var delivery = Delivery()
        var missing: [DeviceAddress] = []
        var reachesContact = false
    }

    private func select(for chat: JID, _ tx: Transaction) throws -> Selection {
        var selection = Selection()
        var devices = try tx.devices(account: own.account, jid: chat)
        if chat != own.jid { devices += try tx.devices(account: own.account, jid: own.jid) }
        for device in devices where device.isActive {
            let address = device.address
            if address.jid == own.jid, address.device == own.device { continue }
            if device.isDamaged {
                selection.delivery.excluded.append(ExcludedDevice(address, .damaged))
                continue
            }
            // Trust is decided about a key; a device whose key is not known yet has a bundle to show it.
            guard device.identityKey == nil || device.trust.receives else {
                selection.delivery.excluded.append(ExcludedDevice(address, .untrusted))
                continue
            }
            try add(device, to: &selection, tx)
        }
        let contact = chat.description
        selection.reachesContact = selection.delivery.devices.contains { $0.jid == contact }
        return selection
    }

    private func add(_ device: DeviceRecord, to selection: inout Selection, _ tx: Transaction) throws {
        let address = device.address
        if let record = try tx.usableSession(with: address, account: own.account, now: now), !record.isEmpty {
            selection.recipients.append(Recipient(address: address, record: record))
            selection.delivery.devices.append(
                AddressedDevice(address, device.identityKey?.fingerprint, device.trust))
            return
        }
        if let reason = failures[address] {
            selection.delivery.excluded.append(ExcludedDevice(address, reason))
            return
        }
        guard let bundle = bundles[address] else {
            selection.missing.append(address)
            return
        }
        try initiate(with: bundle, device, &selection, tx)
    }

    /// Starts a session from a bundle, unless its identity key is not the one known for this device.
    private func initiate(
        with bundle: Bundle, _ device: DeviceRecord, _ selection: inout Selection, _ tx: Transaction
    ) throws {
        let address = device.address
        let known = try tx.setIdentity(
            account: own.account, address, bundle.identityKey, policy: .btbv, now: now)
        guard known == .same || known == .new else {
            selection.delivery.excluded.append(ExcludedDevice(address, .keyChanged))
            return
        }
        guard let current = try tx.device(account: own.account, address), current.trust.receives else {
            selection.delivery.excluded.append(ExcludedDevice(address, .untrusted))
            return
        }
        var random = SystemRandomNumberGenerator()
        var record = SessionRecord(expecting: current.identityKey)
        do throws(EncryptionError) {
            try record.initiate(with: bundle, own: own.identity, ownDevice: own.device, using: &random)
        } catch {
            selection.delivery.excluded.append(ExcludedDevice(address, .badBundle))
            return
        }
        selection.recipients.append(Recipient(address: address, record: record))
        selection.delivery.devices.append(
            AddressedDevice(address, bundle.identityKey.fingerprint, current.trust))
    }
}
