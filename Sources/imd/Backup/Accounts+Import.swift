// An account out of a backup: a new device with old contacts, decisions and history.
import Foundation
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

extension Accounts {
    /// All of the file or nothing: one transaction, which other writes wait for.
    func importBackup(_ params: AccountImport.Params) async throws -> AccountImport.Result {
        let restoration = BackupImport(params: params, now: Clock.now())
        let (account, end) = try await add { try restoration.run($0) }
        return AccountImport.Result(
            account: await account.status, messages: end.messages, contacts: end.contacts,
            decisions: end.decisions)
    }
}

/// Runs inside a transaction.
struct BackupImport: Sendable {
    let params: AccountImport.Params
    let now: Int64

    func run(_ tx: Transaction) throws -> (AccountRecord, BackupLine.End) {
        var (reader, saved) = try Self.open(params.path, params.passphrase)
        let account = try add(saved, tx)
        var counted = BackupLine.End()
        while let bytes = try reader.line() {
            let line = try Self.decode(bytes, params.path)
            guard case .end(let end) = line else {
                try take(line, account, &counted, tx)
                continue
            }
            guard try reader.line() == nil, end == counted, let record = try tx.account(id: account) else {
                throw damaged
            }
            return (record, end)
        }
        throw damaged
    }

    private var damaged: UserError { BackupReader.damaged(params.path) }

    /// What the file would have imd do. Its author may be anybody, so a person looks first.
    static func inspect(_ params: AccountInspect.Params) throws -> AccountInspect.Result {
        let (_, saved) = try open(params.path, params.passphrase)
        guard let jid = try? JID(saved.jid) else { throw BackupReader.damaged(params.path) }
        let server = saved.host.map { host in saved.port.map { "\(host):\($0)" } ?? host }
        return AccountInspect.Result(
            account: jid.description, exportedAt: Timestamp(milliseconds: saved.exportedAt),
            passwordCommand: saved.passwordCommand, server: server, caFile: saved.caFile)
    }

    /// - Returns: a reader behind the first line, and what that says.
    private static func open(
        _ path: String, _ passphrase: String
    ) throws -> (reader: BackupReader, account: BackupLine.Account) {
        var reader = try BackupReader(path: path, passphrase: SecretBytes(Bytes(passphrase.utf8)))
        guard let first = try reader.line(), case .account(let account) = try decode(first, path) else {
            throw BackupReader.damaged(path)
        }
        return (reader, account)
    }

    private static func decode(_ line: Bytes, _ path: String) throws -> BackupLine {
        guard let decoded = try? JSONDecoder().decode(BackupLine.self, from: Data(line)) else {
            throw BackupReader.damaged(path)
        }
        return decoded
    }

    /// A device that never was: nothing of the old one's keys is used again.
    private func add(_ saved: BackupLine.Account, _ tx: Transaction) throws -> Int64 {
        guard let jid = try? JID(saved.jid), jid.isBare, jid.localpart != nil,
            let old = PublicKey(fingerprint: saved.fingerprint)
        else { throw damaged }
        guard try tx.account(jid: jid) == nil else {
            throw UserError(
                .conflict, "there is an account \(jid) already",
                hint: "imctl account remove \(jid) deletes it here, with its messages")
        }
        var random = SystemRandomNumberGenerator()
        let device = OwnDevice.generate(avoiding: [saved.device], at: now, using: &random)
        let account = try tx.addAccount(
            NewAccount(
                jid: jid, settings: try settings(saved), device: device.id, identity: device.identity,
                createdAt: now))
        try tx.addPreKeys(device.preKeys, account: account)
        try tx.add(device.signedPreKey, account: account)
        // The old device is ours as well, as long as it lives.
        try tx.decide(.verified, account: account, jid: jid, key: old, source: .imported, now: now)
        return account
    }

    private func settings(_ saved: BackupLine.Account) throws -> AccountSettings {
        let isGiven = params.password != nil || params.passwordCommand != nil
        guard isGiven || saved.passwordCommand == nil else {
            throw UserError(
                .invalidParams,
                "\(params.path) has imd run a command for the password, and nobody agreed to it",
                hint: "account.inspect shows the command; give it, or another, as passwordCommand")
        }
        var random = SystemRandomNumberGenerator()
        var settings = AccountSettings(
            password: saved.password.map { SecretBytes($0.utf8) }, passwordCommand: nil,
            host: saved.host, port: saved.port, tls: TLSMode(rawValue: saved.tls) ?? .startTLS,
            caFile: saved.caFile, allowPlain: saved.allowPlain)
        if isGiven {
            settings.password = params.password.map { SecretBytes($0.utf8) }
            settings.passwordCommand = params.passwordCommand
        }
        if let server = params.server { (settings.host, settings.port) = try AccountSettings.place(server) }
        settings.caFile = params.caFile ?? settings.caFile
        settings.resource = "imd." + StanzaID.random(using: &random).prefix(8)
        return settings
    }

    private func take(
        _ line: BackupLine, _ account: Int64, _ counted: inout BackupLine.End, _ tx: Transaction
    ) throws {
        switch line {
        case .account, .end: throw damaged
        case .contact(let contact):
            counted.contacts += 1
            try take(contact, account, tx)
        case .decision(let decision):
            counted.decisions += 1
            guard let jid = try? JID(decision.jid), let key = PublicKey(fingerprint: decision.fingerprint),
                let level = TrustLevel(rawValue: decision.level)
            else { throw damaged }
            try tx.decide(level, account: account, jid: jid, key: key, source: .imported, now: decision.at)
        case .policy(let saved):
            guard let policy = TrustPolicy(rawValue: saved.policy) else { throw damaged }
            try tx.setPolicy(policy, account: account, jid: try saved.jid.map { try JID($0) })
        case .chat(let chat):
            guard let jid = try? JID(chat.jid) else { throw damaged }
            try tx.markEncrypted(account: account, chat: jid, now: chat.encryptedAt)
        case .message(let message):
            counted.messages += 1
            guard let message = message.imported(account: account) else { throw damaged }
            try tx.importMessage(message)
        }
    }

    /// The server's roster takes its place at the first login.
    private func take(_ contact: BackupLine.Contact, _ account: Int64, _ tx: Transaction) throws {
        guard let jid = try? JID(contact.jid),
            let subscription = RosterItem.Subscription(rawValue: contact.subscription)
        else { throw damaged }
        var item = RosterItem(jid, subscription: subscription)
        item.name = contact.name
        item.groups = contact.groups
        try tx.applyRosterItem(item, version: nil, account: account)
    }
}
