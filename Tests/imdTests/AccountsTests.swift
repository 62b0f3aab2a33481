// Accounts that are added, removed and connected at the same moment. No server answers.
import LocalAPI
import NIOPosix
import OMEMO
import Testing
import XMPP

@testable import Store
@testable import imd

struct AccountsTests {
    private let party: Party
    private let accounts: Accounts
    private let jid: JID

    init() async throws {
        party = try await Party("alice@example.org")
        jid = party.jid
        accounts = Accounts(
            store: party.store, group: .singletonMultiThreadedEventLoopGroup, config: Config(),
            log: .init(label: "test"))
        try await accounts.start()
    }

    /// Port 1 refuses at once.
    private static func settings(enabled: Bool = true) -> AccountSettings {
        AccountSettings(
            passwordCommand: "echo secret", host: "127.0.0.1", port: 1, enabled: enabled)
    }

    private func add(_ settings: AccountSettings = settings()) async throws -> Account {
        try await accounts.add(jid, settings, verify: false, timeout: .seconds(30))
    }

    /// As an import does.
    private static func insert(_ jid: JID, _ tx: Transaction) throws -> (AccountRecord, Void) {
        var random = SystemRandomNumberGenerator()
        let device = OwnDevice.generate(avoiding: [], at: 0, using: &random)
        let id = try tx.addAccount(
            NewAccount(
                jid: jid, settings: settings(), device: device.id, identity: device.identity, createdAt: 0))
        return (try #require(try tx.account(id: id)), ())
    }

    @Test func `an account that gets new settings stays the one it was for those who hold it`() async throws {
        let before = try accounts.find(nil)
        let after = try await add()
        #expect(before === after)
        #expect(await before.record.port == 1)
        #expect(accounts.all.count == 1)
        await accounts.stop()
    }

    @Test func `an account removed meanwhile is not connected again`() async throws {
        let account = try accounts.find(nil)
        _ = try await accounts.remove(account)
        for attempt in [true, false] {
            let error = await #expect(throws: UserError.self) { try await accounts.enable(account, attempt) }
            #expect(error?.code == .unknownAccount)
        }
        let error = await #expect(throws: UserError.self) { try await accounts.remove(account) }
        #expect(error?.code == .unknownAccount)
        #expect(await account.driver == nil)
    }

    @Test(arguments: [true, false])
    func `an account that cannot be removed from the store stays what it was`(_ isEnabled: Bool) async throws
    {
        let account = try await add(Self.settings(enabled: isEnabled))
        try await party.write {
            _ = try $0.run(
                "CREATE TRIGGER full BEFORE DELETE ON account BEGIN SELECT RAISE(ABORT, 'no'); END")
        }
        await #expect(throws: (any Error).self) { try await accounts.remove(account) }
        #expect(try accounts.find(nil) === account)
        #expect(await (account.driver != nil) == isEnabled)
        await accounts.stop()
    }

    @Test func `a change that ends after the shutdown connects nothing`() async throws {
        let account = try accounts.find(nil)
        await accounts.stop()
        try await accounts.enable(account, true)
        #expect(try await add() === account)
        #expect(await account.driver == nil)
    }

    /// An account without a row would lose what it receives; two of one row would take each other's place at the
    /// server for ever.
    @Test func `changes at the same moment leave one account for every row`() async throws {
        let (accounts, jid) = (accounts, jid)
        for _ in 0..<20 {
            let seen = await withTaskGroup(of: Account?.self) { tasks in
                for step in 0..<12 {
                    tasks.addTask {
                        switch step % 4 {
                        case 0:
                            return try? await accounts.add(
                                jid, Self.settings(), verify: false, timeout: .seconds(30))
                        case 1: return try? await accounts.add { try Self.insert(jid, $0) }.0
                        case 2:
                            guard let account = try? accounts.find(nil) else { return nil }
                            _ = try? await accounts.remove(account)
                            return account
                        default:
                            guard let account = try? accounts.find(nil) else { return nil }
                            try? await accounts.enable(account, step == 3)
                            return account
                        }
                    }
                }
                return await tasks.reduce(into: [Account]()) { if let account = $1 { $0.append(account) } }
            }
            let stored = try await party.store.read { Set(try $0.accounts().map(\.id)) }
            #expect(accounts.all.map(\.id).count == stored.count)
            #expect(Set(accounts.all.map(\.id)) == stored)
            for account in seen where !accounts.all.contains(where: { $0 === account }) {
                #expect(await account.driver == nil)
            }
        }
        await accounts.stop()
    }
}
