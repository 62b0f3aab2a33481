// A store in a folder of its own, with one account, and the values tests put into it.
import Foundation
import IMCrypto
import OMEMO
import Synchronization
import Testing
import XMPP

@testable import Store

/// Deletes its folder when the test is over.
final class TestStore: Sendable {
    let folder: String
    let path: String
    let store: Store
    let account: Int64
    let numbers = EventNumbers()

    /// What `onCommit` was told.
    final class EventNumbers: Sendable {
        private let numbers = Mutex<[Int64]>([])
        var all: [Int64] { numbers.withLock { $0 } }
        func append(_ number: Int64) { numbers.withLock { $0.append(number) } }
    }

    init() async throws {
        folder = temporaryFolder()
        path = folder + "/imd.db"
        store = try Store.open(at: path, onCommit: { [numbers] in numbers.append($0) })
        account = try await store.write { try $0.addAccount(newAccount("romeo@example.net")) }
    }

    deinit {
        try? store.close()
        try? FileManager.default.removeItem(atPath: folder)
    }

    func write<T: Sendable>(_ body: @escaping @Sendable (Transaction, Int64) throws -> T) async throws -> T {
        try await store.write { [account] in try body($0, account) }
    }

    func read<T: Sendable>(_ body: @escaping @Sendable (Transaction, Int64) throws -> T) async throws -> T {
        try await store.read { [account] in try body($0, account) }
    }

    /// Closes, and opens the same file again.
    func reopen() throws -> Store {
        try store.close()
        return try Store.open(at: path)
    }
}

extension Store {
    /// With a key that needs no file.
    static func open(
        at path: String, key: SecretBytes = SecretBytes(Bytes(repeating: 7, count: 32)),
        onCommit: @escaping @Sendable (Int64) -> Void = { _ in }
    ) throws -> Store {
        try open(
            at: path, unlock: { ($0 ?? KeyWrapping(origin: .file), key) }, onCommit: onCommit)
    }
}

/// A path that does not exist yet.
func temporaryFolder() -> String {
    FileManager.default.temporaryDirectory.path + "/imd-store-\(UUID().uuidString)"
}

func newAccount(_ jid: String, _ settings: AccountSettings = AccountSettings()) throws -> NewAccount {
    var random = SystemRandomNumberGenerator()
    return NewAccount(
        jid: try JID(jid), settings: settings, device: 27_183, identity: .generate(using: &random),
        createdAt: 1)
}

let juliet = "juliet@example.com"

func incoming(
    _ account: Int64, id: String = "m1", chat: String = juliet, body: String = "hello",
    stanzaID: String? = nil, mayBeCopy: Bool = false, direction: MessageDirection = .in
) throws -> NewIncoming {
    NewIncoming(
        account: account, messageID: id, chat: try JID(chat), sender: try JID(chat + "/balcony"),
        direction: direction, body: body, encryption: nil, stanzaID: stanzaID, mayBeCopy: mayBeCopy,
        sentAt: 10,
        storedAt: 11)
}

func outgoing(
    _ account: Int64, id: String = "m1", chat: String = juliet, body: String = "hello",
    clientID: String? = nil
) throws -> NewOutgoing {
    NewOutgoing(
        account: account, messageID: id, chat: try JID(chat), sender: try JID("romeo@example.net"),
        body: body,
        clientID: clientID, at: 20)
}

/// A legacy device list.
func list(_ ids: [UInt32]) -> OMEMO.DeviceList {
    OMEMO.DeviceList(.legacy, ids.map { OMEMO.DeviceList.Device(id: $0) })
}

func identity() -> IdentityKeyPair {
    var random = SystemRandomNumberGenerator()
    return .generate(using: &random)
}

/// A record with one session that was started from a fresh bundle.
func sessionRecord() throws -> SessionRecord {
    var random = SystemRandomNumberGenerator()
    var record = SessionRecord(.legacy)
    try record.initiate(
        with: OwnDevice.generate(avoiding: [], at: 1, using: &random).bundle(.legacy), own: identity(),
        ownDevice: 1,
        using: &random)
    return record
}

func mode(_ path: String) throws -> Int {
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    return try #require(attributes[.posixPermissions] as? Int)
}

func contents(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }
