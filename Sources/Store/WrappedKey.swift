// The database's own key: made once, kept wrapped in the database, opened when that is.
import Foundation
import GRDB
public import IMCrypto

/// Asked once per opening for the wrapping key.
///
/// - Parameter wrapping: how the database's key is wrapped; nil where it has none yet.
/// - Returns: how it is to be wrapped, the same unless nil was given, and the wrapping key, 32 bytes.
public typealias Unlock = (_ wrapping: KeyWrapping?) throws -> (KeyWrapping, SecretBytes)

struct WrappedKey {
    var wrapping: KeyWrapping
    /// The sealed key.
    var key: Bytes
    /// What the key seals with.
    let sealing: Sealing

    /// Opens the key that the database has, or makes one, not yet stored.
    ///
    /// - Parameter database: nil for one that is to be made.
    /// - Throws: `.locked` where the wrapping key does not open it, and what `unlock` throws.
    static func unlock(_ database: Database?, _ unlock: Unlock) throws -> WrappedKey {
        guard let database, let (wrapping, wrapped) = try read(database) else {
            let (wrapping, wrappingKey) = try unlock(nil)
            var random = SystemRandomNumberGenerator()
            let key = SecretBytes.random(count: Seal.keyCount, using: &random)
            return WrappedKey(wrapping: wrapping, key: wrap(key, wrappingKey), sealing: Sealing(key: key))
        }
        let (_, wrappingKey) = try unlock(wrapping)
        guard let key = try? Seal.open(wrapped, key: wrappingKey, associated: place) else {
            throw StoreError.locked("the key is not the one that seals it")
        }
        return WrappedKey(wrapping: wrapping, key: wrapped, sealing: Sealing(key: key))
    }

    static func wrap(_ key: SecretBytes, _ wrappingKey: SecretBytes) -> Bytes {
        var random = SystemRandomNumberGenerator()
        return Seal.seal(key, key: wrappingKey, associated: place, using: &random)
    }

    private static let place = Bytes("sealing.wrappedKey".utf8)

    private static func read(_ database: Database) throws -> (KeyWrapping, Bytes)? {
        guard try database.tableExists("sealing"),
            let row = try GRDB.Row.fetchOne(
                database, sql: "SELECT origin, salt, operations, memory, wrappedKey FROM sealing")
        else { return nil }
        guard let origin = KeyOrigin(rawValue: row["origin"] ?? "") else {
            throw StoreError.corrupt("origin of the key")
        }
        var wrapping = KeyWrapping(origin: origin)
        if let salt = row["salt"] as Data? {
            wrapping.parameters = PassphraseKey.Parameters(
                salt: Bytes(salt), operations: UInt64(clamping: row["operations"] as Int64? ?? 0),
                memory: Int(clamping: row["memory"] as Int64? ?? 0))
        }
        return (wrapping, (row["wrappedKey"] as Data?).map { Bytes($0) } ?? [])
    }

    /// Keeps it, in the place of the one that was.
    func write(_ database: Database) throws {
        let parameters = wrapping.parameters
        try database.execute(
            sql: """
                INSERT INTO sealing (id, origin, salt, operations, memory, wrappedKey, swept)
                VALUES (1, ?, ?, ?, ?, ?, 0)
                ON CONFLICT DO UPDATE SET origin = excluded.origin, salt = excluded.salt,
                  operations = excluded.operations, memory = excluded.memory, wrappedKey = excluded.wrappedKey
                """,
            arguments: [
                wrapping.origin.rawValue, parameters.map { Data($0.salt) },
                parameters.map { Int64(clamping: $0.operations) }, parameters.map { Int64($0.memory) },
                Data(key),
            ])
    }
}

extension Store {
    /// Wraps the database's key anew, under a key from elsewhere. What it seals stays as it is.
    public func rewrap(_ wrapping: KeyWrapping, key wrappingKey: SecretBytes) throws(StoreError) {
        let wrapped = WrappedKey(
            wrapping: wrapping, key: WrappedKey.wrap(sealing.key, wrappingKey), sealing: sealing)
        do {
            try pool.write { try wrapped.write($0) }
        } catch {
            throw StoreError(database: error)
        }
    }
}
