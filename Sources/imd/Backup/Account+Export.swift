// An account into a backup.
import Foundation
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

extension Account {
    /// How many messages are read at once.
    private static let pageSize = 500

    /// Writes the file; on any failure there is none.
    func export(_ params: AccountExport.Params) async throws -> AccountExport.Result {
        let (id, now) = (id, Clock.now())
        let state = try await store.read { tx in
            (
                account: try tx.account(id: id), roster: try tx.roster(account: id),
                decisions: try tx.decisions(account: id), policies: try tx.policies(account: id),
                chats: try tx.encryptedChats(account: id)
            )
        }
        guard let record = state.account else { throw UserError(.unknownAccount, "no account \(jid)") }
        var backup = Backup(
            writer: try BackupWriter(
                path: params.path, passphrase: SecretBytes(Bytes(params.passphrase.utf8))))
        try backup.append(.account(BackupLine.Account(record, now: now)))
        for item in state.roster {
            try backup.append(
                .contact(
                    BackupLine.Contact(
                        jid: item.jid.description, name: item.name, groups: item.groups,
                        subscription: item.subscription.rawValue)))
        }
        for decision in state.decisions {
            try backup.append(
                .decision(
                    BackupLine.Decision(
                        jid: decision.jid.description, fingerprint: decision.key.fingerprint,
                        level: decision.level.rawValue, at: decision.decidedAt)))
        }
        for (jid, policy) in state.policies {
            try backup.append(.policy(BackupLine.Policy(jid: jid?.description, policy: policy.rawValue)))
        }
        for (chat, at) in state.chats {
            try backup.append(.chat(BackupLine.Chat(jid: chat.description, encryptedAt: at)))
        }
        var last: Int64? = 0
        while let after = last {
            let page = try await store.read {
                try $0.exportMessages(account: id, after: after, limit: Self.pageSize)
            }
            for message in page where !message.isDamaged { try backup.append(.message(.init(message))) }
            last = page.last?.id
        }
        try backup.finish()
        return AccountExport.Result(
            path: params.path, messages: backup.end.messages, contacts: backup.end.contacts,
            bytes: Int64(backup.writer.size))
    }
}

/// Writes lines, and counts them.
private struct Backup {
    var writer: BackupWriter
    private(set) var end = BackupLine.End()
    private let encoder = JSONEncoder()

    init(writer: BackupWriter) { self.writer = writer }

    mutating func append(_ line: BackupLine) throws {
        switch line {
        case .contact: end.contacts += 1
        case .decision: end.decisions += 1
        case .message: end.messages += 1
        case .account, .policy, .chat, .end: break
        }
        try writer.append(line: encoder.encode(line))
    }

    mutating func finish() throws {
        try append(.end(end))
        try writer.finish()
    }
}
