// What is sealed in the database, to what it is bound, and that nothing of it ever stands there in clear.
import Foundation
import IMCrypto
import OMEMO
import Testing
import XMPP

@testable import Store

@Suite struct SealingTests {
    private let key = SecretBytes(Bytes(repeating: 7, count: 32))

    /// Everything of the database's that is on disk.
    private func files(_ path: String) throws -> Data {
        ["", "-wal"].reduce(Data()) { data, suffix in
            data + ((try? Data(contentsOf: URL(fileURLWithPath: path + suffix))) ?? Data())
        }
    }

    private func contains(_ data: Data, _ secret: SecretBytes) -> Bool {
        data.range(of: Data(secret.bytes)) != nil
    }

    @Test func `no password, seed, private key or ratchet stands in the files`() async throws {
        let test = try await TestStore()
        var random = SystemRandomNumberGenerator()
        let password = SecretBytes("a canary of a password".utf8)
        let device = OwnDevice.generate(avoiding: [], at: 1, using: &random)
        let new = try newAccount("juliet@example.com", AccountSettings(password: password))
        let record = try sessionRecord()
        let address = DeviceAddress(jid: try JID(juliet), device: 9)
        try await test.store.write { tx in
            let account = try tx.addAccount(new)
            try tx.addPreKeys(device.preKeys, account: account)
            try tx.add(device.signedPreKey, account: account)
            try tx.save(record, account: account, address, .legacy)
        }
        let data = try files(test.path)
        #expect(!contains(data, password))
        #expect(!contains(data, new.identity.seed))
        #expect(!contains(data, device.signedPreKey.keyPair.privateKey))
        #expect(!device.preKeys.contains { contains(data, $0.keyPair.privateKey) })
        #expect(data.range(of: Data(record.serialized().bytes.suffix(64))) == nil)
        let stored = try await test.store.read { try $0.account(jid: new.jid) }
        #expect(stored?.password == password && stored?.identity.seed == new.identity.seed)
    }

    @Test func `another key opens nothing and says so`() async throws {
        let test = try await TestStore()
        try test.store.close()
        let other = SecretBytes(Bytes(repeating: 8, count: 32))
        #expect(throws: StoreError.locked("the key is not the one that seals it")) {
            try Store.open(at: test.path, key: other)
        }
        let again = try Store.open(at: test.path)
        defer { try? again.close() }
        try await #expect(again.read { try $0.accounts().count } == 1)
    }

    @Test func `the key can come from elsewhere without anything being sealed anew`() async throws {
        let test = try await TestStore()
        let next = SecretBytes(Bytes(repeating: 9, count: 32))
        let before = try await test.store.read { try $0.accounts().map(\.identity.seed) }
        let parameters = PassphraseKey.Parameters(salt: Bytes(0..<16), operations: 2, memory: 8192)
        try test.store.rewrap(KeyWrapping(origin: .passphrase, parameters: parameters), key: next)
        try test.store.close()
        #expect(throws: StoreError.self) { try Store.open(at: test.path) }
        var seen: KeyWrapping?
        let again = try Store.open(
            at: test.path,
            unlock: { known in
                seen = known
                return (known ?? KeyWrapping(origin: .file), next)
            })
        defer { try? again.close() }
        #expect(seen == KeyWrapping(origin: .passphrase, parameters: parameters))
        try await #expect(again.read { try $0.accounts().map(\.identity.seed) } == before)
    }

    @Test func `a sealed cell opens in its own row alone`() async throws {
        let test = try await TestStore()
        var random = SystemRandomNumberGenerator()
        let device = OwnDevice.generate(avoiding: [], at: 1, using: &random)
        try await test.write { tx, account in
            try tx.addPreKeys(Array(device.preKeys.prefix(2)), account: account)
            try tx.run(
                """
                UPDATE preKey SET privateKey = (SELECT privateKey FROM preKey WHERE account = ?1 AND id = 1)
                WHERE account = ?1 AND id = 2
                """, account)
            let keys = tx.preKeys(account: account)
            try #expect(keys.preKey(1) != nil && keys.preKey(2) == nil)
        }
    }

    @Test func `a database of schema 0002 is sealed, and its file forgets what was in clear`() async throws {
        var random = SystemRandomNumberGenerator()
        let folder = temporaryFolder()
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = folder + "/imd.db"
        let password = SecretBytes("a canary of a password".utf8)
        let seed = identity().seed
        let preKey = KeyPair.generate(using: &random).privateKey
        try Migrations.makeDatabase(at: path, schema: 2, rows: Self.rows(seed, password, preKey))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        let before = try files(path)
        #expect(contains(before, password) && contains(before, preKey))
        let store = try Store.open(at: path)
        let account = try await store.read { try $0.account(id: 1) }
        #expect(account?.password == password && account?.identity.seed == seed)
        try await #expect(store.read { try $0.allPreKeys(account: 1).map(\.keyPair.privateKey) } == [preKey])
        try await #expect(store.read { try $0.account(id: 2)?.jid } == nil)
        try store.close()
        let data = try files(path)
        for secret in [password, seed, preKey] { #expect(!contains(data, secret)) }
    }

    /// An account with a password and a pre-key, as schema 0002 had them.
    private static func rows(_ seed: SecretBytes, _ password: SecretBytes, _ preKey: SecretBytes) -> String {
        func blob(_ bytes: Bytes) -> String { "x'" + bytes.map { String(format: "%02x", $0) }.joined() + "'" }
        var account = Checksum(of: "account")
        account.add(Int64(1))
        account.add(Int64(77))
        account.add(seed)
        var key = Checksum(of: "preKey")
        key.add(Int64(1))
        key.add(Int64(41))
        key.add(preKey)
        return """
            INSERT INTO account (id, jid, password, tls, allowPlain, enabled, device, identitySeed, nextPreKeyID,
                checksum, createdAt)
              VALUES (1, 'romeo@example.net', \(blob(password.bytes)), 'starttls', 0, 1, 77, \(blob(seed.bytes)), 42,
                \(blob(account.value)), 5);
            INSERT INTO preKey (account, id, privateKey, checksum)
              VALUES (1, 41, \(blob(preKey.bytes)), \(blob(key.value)));
            """
    }
}
