// What stands in a backup, a JSON object each line; the first says whose it is, the last how much there was.
import Foundation
import IMCrypto
import OMEMO
import Store
import XMPP

/// One line. Keys have no place in any of them.
enum BackupLine: Codable {
    case account(Account)
    case contact(Contact)
    case decision(Decision)
    case policy(Policy)
    case chat(Chat)
    case message(Message)
    case end(End)

    struct Account: Codable {
        var jid: String
        var host: String?
        var port: Int?
        var tls: String
        var caFile: String?
        var allowPlain: Bool
        var password: String?
        var passwordCommand: String?
        /// The device it was made on, and its identity key: a device of ours, no longer this one.
        var device: UInt32
        var fingerprint: String
        var exportedAt: Int64
    }

    struct Contact: Codable {
        var jid: String
        var name: String?
        var groups: [String]
        var subscription: String
    }

    struct Decision: Codable {
        var jid: String
        var fingerprint: String
        var level: String
        var at: Int64
    }

    struct Policy: Codable {
        var jid: String?
        var policy: String
    }

    struct Chat: Codable {
        var jid: String
        var encryptedAt: Int64
    }

    struct Message: Codable {
        var id: String
        var chat: String
        var sender: String
        var direction: String
        var body: String
        var version: String?
        var device: UInt32?
        var fingerprint: String?
        var trust: String?
        var plaintext: Bool
        var state: String
        var reason: String?
        var clientID: String?
        var stanzaID: String?
        var sentAt: Int64
        var storedAt: Int64
        var downgraded: Bool
        /// Absent in older backups.
        var reactsTo: String?
    }

    struct End: Codable, Equatable {
        var messages: Int64 = 0
        var contacts: Int64 = 0
        var decisions: Int64 = 0
    }
}

extension BackupLine.Account {
    init(_ record: AccountRecord, now: Int64) {
        let settings = record.settings
        self.init(
            jid: record.jid.description, host: settings.host, port: settings.port,
            tls: settings.tls.rawValue, caFile: settings.caFile, allowPlain: settings.allowPlain,
            password: settings.password.map { String(decoding: $0.bytes, as: UTF8.self) },
            passwordCommand: settings.passwordCommand, device: record.device,
            fingerprint: record.identity.publicKey.fingerprint, exportedAt: now)
    }
}

extension BackupLine.Message {
    init(_ message: StoredMessage) {
        self.init(
            id: message.messageID, chat: message.chat.description, sender: message.sender.description,
            direction: message.direction.rawValue, body: message.body,
            version: message.encryption?.version.rawValue, device: message.encryption?.device,
            fingerprint: message.encryption?.fingerprint, trust: message.encryption?.trust.rawValue,
            plaintext: message.plaintext, state: message.state.rawValue, reason: message.reason,
            clientID: message.clientID, stanzaID: message.stanzaID, sentAt: message.sentAt,
            storedAt: message.storedAt, downgraded: message.downgraded, reactsTo: message.reactsTo)
    }

    /// Nil where a word or address in it is none.
    func imported(account: Int64) -> NewImported? {
        guard let chat = try? JID(chat), let sender = try? JID(sender),
            let direction = MessageDirection(rawValue: direction), let state = MessageState(rawValue: state)
        else { return nil }
        var encryption: SenderEncryption?
        if let version {
            guard let version = ProtocolVersion(rawValue: version), let device, let fingerprint,
                let trust = trust.flatMap(TrustLevel.init(rawValue:))
            else { return nil }
            encryption = SenderEncryption(
                version: version, device: device, fingerprint: fingerprint, trust: trust)
        }
        return NewImported(
            account: account, messageID: id, chat: chat, sender: sender, direction: direction, body: body,
            encryption: encryption, plaintext: plaintext, state: state, reason: reason, clientID: clientID,
            stanzaID: stanzaID, sentAt: sentAt, storedAt: storedAt, downgraded: downgraded, reactsTo: reactsTo
        )
    }
}
