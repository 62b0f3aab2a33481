// Schema 0003 seals what 0001 kept in clear.
import Foundation
import GRDB
import IMCrypto

/// The sealed bytes take the place of checksum and plaintext. A row whose checksum does not match stays as it is: it
/// does not open, and so counts as damaged as before.
enum SealingMigration {
    @Sendable static func run(_ database: Database, _ key: WrappedKey) throws {
        try key.write(database)
        let sealing = key.sealing
        try accounts(database, sealing)
        try preKeys(database, sealing)
        try signedPreKeys(database, sealing)
        try sessions(database, sealing)
        for table in ["account", "preKey", "signedPreKey", "session"] {
            try database.execute(sql: "ALTER TABLE \(table) DROP COLUMN checksum")
        }
    }

    private static func accounts(_ database: Database, _ sealing: Sealing) throws {
        let rows = try GRDB.Row.fetchAll(
            database, sql: "SELECT id, device, identitySeed, password, checksum FROM account")
        for row in rows {
            let (id, device): (Int64, Int64) = (row["id"], row["device"])
            let seed = row.secret("identitySeed")
            var checksum = Checksum(of: "account")
            checksum.add(id)
            checksum.add(device)
            checksum.add(seed)
            if checksum.value == row.blob("checksum"), let device = UInt32(exactly: device) {
                let sealed = sealing.seal(seed, in: .identitySeed(id, device: device))
                try database.execute(
                    sql: "UPDATE account SET identitySeed = ? WHERE id = ?", arguments: [Data(sealed), id])
            }
            guard row["password"] as Data? != nil else { continue }
            let sealed = sealing.seal(row.secret("password"), in: .password(id))
            try database.execute(
                sql: "UPDATE account SET password = ? WHERE id = ?", arguments: [Data(sealed), id])
        }
    }

    private static func preKeys(_ database: Database, _ sealing: Sealing) throws {
        let rows = try GRDB.Row.fetchAll(
            database, sql: "SELECT account, id, privateKey, checksum FROM preKey")
        for row in rows {
            let (account, id): (Int64, Int64) = (row["account"], row["id"])
            let privateKey = row.secret("privateKey")
            var checksum = Checksum(of: "preKey")
            checksum.add(account)
            checksum.add(id)
            checksum.add(privateKey)
            guard checksum.value == row.blob("checksum"), let number = UInt32(exactly: id) else { continue }
            let sealed = sealing.seal(privateKey, in: .preKey(account, number))
            try database.execute(
                sql: "UPDATE preKey SET privateKey = ? WHERE account = ? AND id = ?",
                arguments: [Data(sealed), account, id])
        }
    }

    private static func signedPreKeys(_ database: Database, _ sealing: Sealing) throws {
        let rows = try GRDB.Row.fetchAll(
            database, sql: "SELECT account, id, privateKey, signature, createdAt, checksum FROM signedPreKey")
        for row in rows {
            let (account, id, createdAt): (Int64, Int64, Int64) = (
                row["account"], row["id"], row["createdAt"]
            )
            let (privateKey, signature) = (row.secret("privateKey"), row.blob("signature"))
            var checksum = Checksum(of: "signedPreKey")
            checksum.add(account)
            checksum.add(id)
            checksum.add(privateKey)
            checksum.add(signature)
            checksum.add(createdAt)
            guard checksum.value == row.blob("checksum"), let number = UInt32(exactly: id) else { continue }
            let sealed = sealing.seal(
                privateKey, in: .signedPreKey(account, number, signature: signature, createdAt: createdAt))
            try database.execute(
                sql: "UPDATE signedPreKey SET privateKey = ? WHERE account = ? AND id = ?",
                arguments: [Data(sealed), account, id])
        }
    }

    private static func sessions(_ database: Database, _ sealing: Sealing) throws {
        let rows = try GRDB.Row.fetchAll(
            database, sql: "SELECT rowid, account, jid, device, version, record, checksum FROM session")
        for row in rows {
            let (place, account, device): (Int64, Int64, Int64) = (
                row["rowid"], row["account"], row["device"]
            )
            let (jid, version): (String, String) = (row["jid"], row["version"])
            let record = row.secret("record")
            var checksum = Checksum(of: "session")
            checksum.add(account)
            checksum.add(jid)
            checksum.add(device)
            checksum.add(version)
            checksum.add(record)
            guard checksum.value == row.blob("checksum"), let number = UInt32(exactly: device) else {
                continue
            }
            let sealed = sealing.seal(
                record, in: .session(account, jid: jid, device: number, version: version))
            try database.execute(
                sql: "UPDATE session SET record = ? WHERE rowid = ?", arguments: [Data(sealed), place])
        }
    }
}

extension GRDB.Row {
    fileprivate func blob(_ column: String) -> Bytes { (self[column] as Data?).map { Bytes($0) } ?? [] }

    fileprivate func secret(_ column: String) -> SecretBytes { SecretBytes(blob(column)) }
}
