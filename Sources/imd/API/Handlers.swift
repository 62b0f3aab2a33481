// What each method does: a few lines each, into the accounts or the store.
import Foundation
import LocalAPI
import Store
import XMPP

/// Everything that handlers reach.
struct Handlers: Sendable {
    let accounts: Accounts
    let store: Store
    let feed: EventFeed
    let hooks: Hooks
    let paths: Paths
    let startedAt: Int64

    func register(in dispatcher: inout Dispatcher) {
        registerAccounts(&dispatcher)
        registerMessages(&dispatcher)
        registerOutbox(&dispatcher)
        registerContacts(&dispatcher)
        registerEvents(&dispatcher)
        registerFailures(&dispatcher)
        registerHooks(&dispatcher)
        registerTrust(&dispatcher)
        registerBackup(&dispatcher)
        dispatcher.on(RPCDiscover.self) { _ in OpenRPC.document }
    }

    // MARK: Daemon and accounts

    private func registerAccounts(_ dispatcher: inout Dispatcher) {
        dispatcher.on(DaemonStatus.self) { _ in try await daemonStatus() }
        dispatcher.on(DaemonCheck.self) { _ in DaemonCheck.Result(checks: await checks()) }
        dispatcher.on(AccountAdd.self) { params in
            let account = try await accounts.add(
                JID(parameter: params.jid), AccountSettings(params), verify: params.wait ?? true,
                timeout: .seconds(params.timeout ?? 30))
            return await account.status
        }
        dispatcher.on(AccountList.self) { _ in await accountList() }
        dispatcher.on(AccountRemove.self) { params in
            try await accounts.remove(try accounts.find(params.account))
        }
        dispatcher.on(AccountConnect.self) { params in
            let account = try accounts.find(params.account)
            try await accounts.enable(account, true)
            return await account.status
        }
        dispatcher.on(AccountDisconnect.self) { params in
            let account = try accounts.find(params.account)
            try await accounts.enable(account, false)
            return await account.status
        }
    }

    private func daemonStatus() async throws -> DaemonStatus.Result {
        let accounts = accounts.all
        // One look at the store for all: status bars ask often.
        let look = try? await store.read { tx in
            (last: try tx.lastEventNumber(), queued: try Self.queued(accounts, tx))
        }
        let last =
            if let look { look.last } else { try await store.read { try $0.lastEventNumber() } }
        let (statuses, storage) = await reports(of: accounts, look?.queued)
        return DaemonStatus.Result(
            version: LocalAPI.version, pid: getpid(), startedAt: Timestamp(milliseconds: startedAt),
            accounts: statuses, lastEvent: last, storage: storage)
    }

    private func accountList() async -> AccountList.Result {
        let accounts = accounts.all
        let queued = try? await store.read { try Self.queued(accounts, $0) }
        return AccountList.Result(accounts: await reports(of: accounts, queued).statuses)
    }

    private static func queued(_ accounts: [Account], _ tx: Transaction) throws -> [Int] {
        try accounts.map { try tx.pendingCount(account: $0.id) }
    }

    /// Each account is asked once, for everything: that may change threads.
    ///
    /// - Parameter queued: what waits in each; nil where the store cannot tell.
    private func reports(
        of accounts: [Account], _ queued: [Int]?
    ) async -> (statuses: [AccountStatus], storage: UserError?) {
        var statuses: [AccountStatus] = []
        var storage: UserError?
        for (index, account) in accounts.enumerated() {
            var report = await account.report
            report.status.queued = queued.map { Int64($0[index]) }
            statuses.append(report.status)
            storage = storage ?? report.storage
        }
        return (statuses, storage)
    }

    // MARK: Messages

    /// A page of messages stops at this much text, in bytes.
    static let pageSize = 4 << 20

    private func page(_ params: MessageList.Params) async throws -> MessageList.Result {
        let account = try accounts.find(params.account)
        let (id, chat) = (account.id, try JID(parameter: params.chat))
        let (messages, more) = try await store.read { tx in
            let before = try params.before.map { try tx.message(named: $0, account: id).id }
            let messages = try tx.messages(
                account: id, chat: chat, before: before, limit: params.limit ?? 50, bytes: Self.pageSize)
            guard let oldest = messages.first else { return (messages, false) }
            return (messages, try tx.hasMessages(account: id, chat: chat, before: oldest.id))
        }
        return MessageList.Result(messages: messages.map { $0.shown(account: account.jid) }, more: more)
    }

    private func registerMessages(_ dispatcher: inout Dispatcher) {
        dispatcher.on(MessageSend.self) { params, call in
            let account = try accounts.find(params.account)
            return try await account.send(params, call.turn)
        }
        dispatcher.on(MessageList.self) { params in try await page(params) }
        dispatcher.on(MessageGet.self) { params in
            let account = try accounts.find(params.account)
            let id = account.id
            let message = try await store.read { try $0.message(named: params.id, account: id) }
            var shown = message.shown(account: account.jid)
            let excluded = message.excludedDevices
            shown.excluded = excluded.isEmpty ? nil : excluded
            return shown
        }
        dispatcher.on(ChatList.self) { params in try await chats(params.account) }
        dispatcher.on(DeviceList.self) { params in
            let account = try accounts.find(params.account)
            let jid = try params.jid.map { try JID(parameter: $0) } ?? account.jid
            return try await account.deviceList(of: jid)
        }
    }

    private func chats(_ name: String?) async throws -> ChatList.Result {
        let chosen = name == nil ? accounts.all : [try accounts.find(name)]
        let jids = Dictionary(chosen.map { ($0.id, $0.jid) }) { first, _ in first }
        let chats = try await store.read { tx in
            try chosen.flatMap { try tx.chats(account: $0.id) }.sorted { $0.last > $1.last }
        }
        return ChatList.Result(
            chats: chats.compactMap { chat in jids[chat.account].map { Chat(chat, account: $0) } },
            unread: chats.reduce(0) { $0 + $1.unread })
    }

    // MARK: Contacts

    private func registerContacts(_ dispatcher: inout Dispatcher) {
        dispatcher.on(ContactList.self) { params in
            let chosen =
                params.account == nil ? accounts.all : [try accounts.find(params.account)]
            var contacts: [Contact] = []
            for account in chosen { contacts += try await account.contacts() }
            return ContactList.Result(contacts: contacts)
        }
        dispatcher.on(ContactAdd.self) { params in
            let account = try accounts.find(params.account)
            return try await account.addContact(
                JID(parameter: params.jid), name: params.name, groups: params.groups)
        }
        dispatcher.on(ContactRemove.self) { params in
            try await accounts.find(params.account).removeContact(JID(parameter: params.jid))
            return Empty()
        }
        dispatcher.on(ContactApprove.self) { params in
            let account = try accounts.find(params.account)
            try await account.answerRequest(of: JID(parameter: params.jid), deny: params.deny ?? false)
            return Empty()
        }
        dispatcher.on(PresenceSet.self) { params in
            let chosen =
                params.account == nil ? accounts.all : [try accounts.find(params.account)]
            for account in chosen {
                await account.setPresence(OwnPresence(show: params.show, status: params.status))
            }
            return Empty()
        }
    }

    // MARK: Events

    private func registerEvents(_ dispatcher: inout Dispatcher) {
        dispatcher.on(EventSubscribe.self) { params, call in try await subscribe(params, call) }
        dispatcher.on(EventAck.self) { params in
            let reached = try await store.write { tx in
                guard let reached = try tx.acknowledge(consumer: params.consumer, number: params.number)
                else {
                    throw unknown(params.consumer)
                }
                return reached
            }
            feed.acknowledged(reached, by: params.consumer)
            return Empty()
        }
        dispatcher.on(ConsumerList.self) { _ in
            let consumers = try await store.read { try $0.consumers() }
            return ConsumerList.Result(consumers: consumers.map(shown))
        }
        dispatcher.on(ConsumerRewind.self) { params in
            shown(try await hooks.move(params.name) { try await rewound(params) })
        }
        dispatcher.on(ConsumerRemove.self) { params in
            try await hooks.move(params.name) {
                try await store.write { tx in
                    guard try tx.removeConsumer(params.name) else { throw unknown(params.name) }
                }
                feed.remove(consumer: params.name)
            }
            return Empty()
        }
    }

    /// Nobody can begin to read as that consumer meanwhile.
    private func rewound(_ params: ConsumerRewind.Params) async throws -> ConsumerRecord {
        guard let slot = try? feed.subscribe(consumer: params.name, after: 0) else {
            throw UserError(
                .conflict, "the consumer \"\(params.name)\" is connected", hint: "end its reader first")
        }
        defer { feed.unsubscribe(slot) }
        return try await store.write { tx in
            guard let consumer = try tx.rewindConsumer(params.name, to: params.number) else {
                throw unknown(params.name)
            }
            return consumer
        }
    }

    private func shown(_ consumer: ConsumerRecord) -> ConsumerList.Consumer {
        ConsumerList.Consumer(
            name: consumer.name, acknowledged: consumer.acknowledged, pending: consumer.pending,
            createdAt: Timestamp(milliseconds: consumer.createdAt), connected: feed.isConnected(consumer.name)
        )
    }

    func unknown(_ consumer: String) -> UserError {
        UserError(.noSuchConsumer, "no consumer \"\(consumer)\"", hint: "see: imctl consumer list")
    }

    private func subscribe(
        _ params: EventSubscribe.Params, _ call: Call
    ) async throws -> EventSubscribe.Result {
        let account = try params.account.map { try accounts.find($0).id }
        let filter = EventFilter(
            types: params.types, account: account, chat: try params.chat.map { try JID(parameter: $0) },
            incomingOnly: call.session.limits != nil)
        // The slot first: what an earlier reader acknowledges until it is gone counts.
        let subscriber = try await subscriber(params.consumer)
        let (after, last): (Int64, Int64)
        do {
            (after, last) = try await place(params)
        } catch {
            feed.unsubscribe(subscriber)
            throw error
        }
        if let consumer = params.consumer { feed.acknowledged(after, by: consumer) }
        call.announcements.add(
            EventSubscription(
                subscriber: subscriber, filter: filter, after: after, last: last,
                window: params.consumer == nil ? nil : params.window ?? 100, feed: feed, store: store,
                channel: call.session.channel))
        return EventSubscribe.Result(consumer: params.consumer, after: after, last: last)
    }

    /// A reader that reconnects at once may come before its old connection is gone.
    private func subscriber(_ consumer: String?) async throws -> EventFeed.Subscriber {
        for _ in 0..<20 {
            if let subscriber = try? feed.subscribe(consumer: consumer, after: 0) { return subscriber }
            try await Task.sleep(for: .milliseconds(25))
        }
        return try feed.subscribe(consumer: consumer, after: 0)
    }

    /// Where a subscription starts, and the newest event there is.
    private func place(_ params: EventSubscribe.Params) async throws -> (after: Int64, last: Int64) {
        guard let name = params.consumer else {
            let last = try await store.read { try $0.lastEventNumber() }
            return (params.since ?? last, last)
        }
        let now = Clock.now()
        return try await store.write { tx in
            let last = try tx.lastEventNumber()
            if let known = try tx.consumer(name) { return (known.acknowledged, last) }
            // Before the oldest event: `imctl receive` shows what came before anybody listened.
            let first = params.begin == .newest ? last : try tx.droppedThrough()
            try tx.createConsumer(name, at: first, filter: nil, now: now)
            return (first, last)
        }
    }
}
