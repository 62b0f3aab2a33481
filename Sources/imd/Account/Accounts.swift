// All accounts of the user: started, found by name, added and removed.
import IMCrypto
import LocalAPI
import Logging
import NIOCore
import OMEMO
import Store
import Synchronization
import XMPP

actor Accounts {
    private let store: Store
    private let group: any EventLoopGroup
    private var config: Config
    private let log: Logger
    /// Which there are is asked with every call of the API: that waits for no change.
    private let known = Mutex<[Account]>([])
    /// The change under way: two at once could make two connections of one account.
    private var change: Task<Void, Never>?
    /// Nothing is connected any more.
    private var isOver = false

    init(store: Store, group: any EventLoopGroup, config: Config, log: Logger) {
        self.store = store
        self.group = group
        self.config = config
        self.log = log
    }

    /// Starts every account that the user has not disconnected.
    func start() async throws {
        for record in try await store.read({ try $0.accounts() }) { await begin(record) }
    }

    func stop() async {
        isOver = true
        await withTaskGroup(of: Void.self) { tasks in
            for account in all { tasks.addTask { await account.stop() } }
        }
    }

    nonisolated var all: [Account] { known.withLock { $0 } }

    /// Takes over what the configuration file says now.
    func configure(_ config: Config) async {
        self.config = config
        for account in all { await account.configure(config) }
    }

    /// An address, a route or a link came or went.
    func networkChanged() async { for account in all { await account.networkChanged() } }

    /// The account of that name; without a name the only one there is.
    nonisolated func find(_ name: String?) throws(UserError) -> Account {
        let accounts = all
        guard let name else {
            switch accounts.count {
            case 0:
                throw UserError(.noAccount, "there is no account yet", hint: "add one: imctl account add JID")
            case 1: return accounts[0]
            default:
                throw UserError(
                    .ambiguousAccount, "there are \(accounts.count) accounts",
                    hint: "name one with --account JID")
            }
        }
        let jid = try JID(parameter: name)
        guard let account = accounts.first(where: { $0.jid == jid }) else { throw Self.unknown(jid) }
        return account
    }

    /// Logs in once to see that the settings work, and only then keeps them; or keeps them unseen.
    ///
    /// An account that exists gets the new settings and keeps its keys and messages.
    func add(_ jid: JID, _ settings: AccountSettings, verify: Bool, timeout: Duration) async throws -> Account
    {
        let deadline = ContinuousClock.now + timeout
        if verify { try await check(jid, settings, deadline: deadline) }
        let account = try await changing { accounts in
            await accounts.take(try await accounts.save(jid, settings))
        }
        if verify { try await online(account, deadline: deadline) }
        return account
    }

    /// Keeps an account that a transaction makes, and connects it.
    func add<T: Sendable>(
        _ body: @escaping @Sendable (Transaction) throws -> (AccountRecord, T)
    ) async throws -> (Account, T) {
        try await changing { accounts in
            let (record, result) = try await accounts.store.write(body)
            return (await accounts.take(record), result)
        }
    }

    /// - Returns: what the server may still have of it.
    func remove(_ account: Account) async throws -> AccountRemove.Result {
        try await changing { accounts in
            try await accounts.expect(account)
            let id = account.id
            let isRunning = await account.driver != nil
            let remains = await account.unpublish()
            await account.stop()
            do {
                try await accounts.store.write { _ = try $0.removeAccount(id) }
            } catch {
                // It stays what it was.
                if isRunning { await accounts.connect(account) }
                throw error
            }
            accounts.known.withLock { $0.removeAll { $0 === account } }
            await account.wakePhaseWaiters()
            return remains
        }
    }

    /// Connects an account, now and after every start of the daemon, or disconnects it.
    func enable(_ account: Account, _ isEnabled: Bool) async throws {
        try await changing { accounts in
            try await accounts.expect(account)
            let id = account.id
            try await accounts.store.write { try $0.setEnabled(isEnabled, account: id) }
            guard !isEnabled else { return await accounts.connect(account) }
            let wasOffline = await account.phase == .offline
            await account.stop()
            if !wasOffline { await account.append(.account(AccountDetail(state: .offline))) }
        }
    }

    /// Runs changes of the list of accounts one after the other.
    private func changing<T: Sendable>(
        _ body: @escaping @Sendable (Accounts) async throws -> T
    ) async throws -> T {
        let before = change
        let task = Task {
            await before?.value
            return try await body(self)
        }
        change = Task { _ = try? await task.value }
        return try await task.value
    }

    /// - Throws: where it was removed since it was found.
    private func expect(_ account: Account) throws(UserError) {
        guard all.contains(where: { $0 === account }) else { throw Self.unknown(account.jid) }
    }

    private static func unknown(_ jid: JID) -> UserError {
        UserError(.unknownAccount, "no account \(jid)", hint: "see: imctl account list")
    }

    /// Makes the account be what its row says now. There is one for a row, whoever holds it.
    private func take(_ record: AccountRecord) async -> Account {
        guard let account = all.first(where: { $0.id == record.id }) else { return await begin(record) }
        await account.change(record)
        if record.enabled { await connect(account) }
        return account
    }

    @discardableResult
    private func begin(_ record: AccountRecord) async -> Account {
        let account = Account(record, store: store, group: group, config: config, log: log)
        known.withLock { $0.append(account) }
        if record.enabled { await connect(account) }
        return account
    }

    /// A change that was begun before the daemon shuts down connects nothing afterwards.
    private func connect(_ account: Account) async {
        if !isOver { await account.start() }
        if isOver { await account.stop() }
    }

    // MARK: Adding

    private func check(_ jid: JID, _ settings: AccountSettings, deadline: ContinuousClock.Instant)
        async throws
    {
        let group = group
        let opening = Task {
            let login = try await Credentials.login(jid, settings, pinned: nil)
            return try await Connection.open(login, on: group, before: deadline)
        }
        let openTimer = Task {
            try await Task.sleep(until: deadline)
            opening.cancel()
        }
        defer { openTimer.cancel() }
        let connection = try await withTaskCancellationHandler {
            try await opening.value
        } onCancel: {
            opening.cancel()
        }
        let bindTimer = Task {
            try await Task.sleep(until: deadline)
            connection.cut()
        }
        defer { bindTimer.cancel() }
        for await event in connection.events {
            switch event {
            case .bound: return await connection.close()
            case .closed(let error): throw error
            case .received, .acknowledged, .resumptionFailed: break
            }
        }
        // Who asked for it has gone: nothing has been seen to work.
        connection.cut()
        throw CancellationError()
    }

    private func save(_ jid: JID, _ settings: AccountSettings) async throws -> AccountRecord {
        let now = Clock.now()
        return try await store.write { tx in
            var random = SystemRandomNumberGenerator()
            var settings = settings
            if let known = try tx.account(jid: jid) {
                settings.resource = known.resource
                try tx.updateAccount(known.id, settings: settings)
                // The user has looked at this server again: what it offers now is what to expect.
                try tx.setPinnedMechanism(nil, account: known.id)
            } else {
                settings.resource = "imd." + StanzaID.random(using: &random).prefix(8)
                let device = OwnDevice.generate(avoiding: [], at: now, using: &random)
                let id = try tx.addAccount(
                    NewAccount(
                        jid: jid, settings: settings, device: device.id, identity: device.identity,
                        createdAt: now))
                try tx.addPreKeys(device.preKeys, account: id)
                try tx.add(device.signedPreKey, account: id)
            }
            guard let record = try tx.account(jid: jid) else {
                throw StoreError.io("the account was not stored")
            }
            return record
        }
    }

    private func online(_ account: Account, deadline: ContinuousClock.Instant) async throws {
        while ContinuousClock.now < deadline {
            try expect(account)
            let phase = await account.phase
            switch phase {
            case .online: return
            case .failed(let error): throw error.userError
            case .offline, .connecting: await account.phaseChange(from: phase, before: deadline)
            }
        }
        try expect(account)
        throw UserError(
            .timeout, "\(account.jid) is logged in but not ready yet",
            hint: "imd goes on trying; see: imctl status")
    }
}

extension JID {
    /// A bare JID that a user typed.
    init(parameter text: String) throws(UserError) {
        let jid: JID
        do {
            jid = try JID(text)
        } catch {
            throw UserError(.badAddress, "'\(text)' is not a JID: \(error)", hint: "write it as user@host")
        }
        guard jid.isBare, jid.localpart != nil else {
            throw UserError(.badAddress, "'\(jid)' is not a bare JID", hint: "write it as user@host")
        }
        self = jid
    }
}
