// The whole of imd put together, from the lock to the shutdown; no logic.
import Foundation
import LocalAPI
import Logging
import NIOPosix
import ServiceLifecycle
import Store

enum Daemon {
    /// Returns after an orderly shutdown.
    ///
    /// - Parameter reloaded: called with a configuration that was read again.
    static func run(
        _ paths: Paths, _ config: Config, _ log: Logger, reloaded: @escaping @Sendable (Config) -> Void
    ) async throws(UserError) {
        let limitedPlaces = try config.access.map { access throws(UserError) in
            try paths.socket.named(access.name)
        }
        let inherited = try ListeningSocket.inherited(at: [paths.socket] + limitedPlaces)
        let supervisor = Supervisor.inherited()
        try Paths.makePrivate(paths.data)
        try Paths.makePrivate(paths.socket.directory)
        let lock = try InstanceLock(path: paths.lock)
        let feed = EventFeed()
        let store = try open(paths, config.keyOrigin, feed)
        let core = Core(paths, config, store, feed, log)
        let network = NetworkMonitor(log: log)
        defer { network.close() }
        Task { for await _ in network.changes { await core.accounts.networkChanged() } }
        let watchdog = Watchdog(
            supervisor: supervisor, store: store, accounts: core.accounts, feed: feed, log: log)
        let open = core.server(at: paths.socket, inherited, access: nil) { supervisor.tell("READY=1") }
        let limited = LimitedSockets(config.access, log: log) { access in
            core.server(at: try paths.socket.named(access.name), inherited, access: access)
        }
        // Shut down from the last to the first.
        let services = core.services(limited, reloaded) + [open, limited, watchdog]
        do {
            try await core.accounts.start()
            try await serviceGroup(services, log).run()
            try store.close()
        } catch let error as UserError {
            throw error
        } catch let error as StoreError {
            throw error.userError
        } catch {
            throw UserError(.internalError, "imd stopped: \(error)")
        }
        extend(lock)
        log.info("stopped")
    }

    private static func serviceGroup(_ services: [any Service], _ log: Logger) -> ServiceGroup {
        ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: services.map { .init(service: $0) }, gracefulShutdownSignals: [.sigterm, .sigint],
                logger: quiet(log)))
    }

    private static func open(
        _ paths: Paths, _ origin: KeyOrigin, _ feed: EventFeed
    ) throws(UserError) -> Store {
        let keys = Keys(paths: paths)
        return try opening(paths) { () throws in
            try Store.open(
                at: paths.database, unlock: { try keys.unlock($0, configured: origin) },
                onCommit: { feed.committed($0) })
        }
    }

    /// Has the key come from elsewhere from now on. Not while a daemon runs.
    static func changeKey(_ paths: Paths, to origin: KeyOrigin) throws(UserError) {
        try Paths.makePrivate(paths.data)
        let lock = try InstanceLock(path: paths.lock)
        let keys = Keys(paths: paths)
        try opening(paths) { () throws in
            let store = try Store.open(at: paths.database, unlock: { try keys.unlock($0, configured: nil) })
            let (wrapping, key) = try keys.make(origin)
            try store.rewrap(wrapping, key: key)
            try store.close()
        }
        extend(lock)
    }

    private static func opening<T>(_ paths: Paths, _ body: () throws -> T) throws(UserError) -> T {
        do {
            return try body()
        } catch let error as UserError {
            throw error
        } catch let error as StoreError {
            throw error.userError
        } catch {
            throw UserError(.internalError, "cannot open \(paths.database): \(error)")
        }
    }

    /// The life cycle's own notes are of interest only to its authors.
    private static func quiet(_ log: Logger) -> Logger {
        var log = log
        log.logLevel = max(log.logLevel, .warning)
        return log
    }

    /// Keeps the lock until here.
    private static func extend(_ lock: borrowing InstanceLock) {}
}

/// What does the work behind the sockets.
private struct Core {
    let accounts: Accounts
    private let store: Store
    private let feed: EventFeed
    private let hooks: Hooks
    private let configuration: String
    private let current: CurrentConfig
    private let dispatcher: Dispatcher
    private let group = MultiThreadedEventLoopGroup.singleton
    private let log: Logger

    init(_ paths: Paths, _ config: Config, _ store: Store, _ feed: EventFeed, _ log: Logger) {
        (self.store, self.feed, self.log) = (store, feed, log)
        configuration = paths.configuration
        current = CurrentConfig(config)
        accounts = Accounts(store: store, group: group, config: config, log: log)
        hooks = Hooks(
            store: store, feed: feed, folder: paths.hooks, overrides: config.hooks,
            environment: ProcessInfo.processInfo.environment, log: log)
        var dispatcher = Dispatcher(log: log)
        Handlers(
            accounts: accounts, store: store, feed: feed, hooks: hooks, paths: paths, startedAt: Clock.now()
        ).register(in: &dispatcher)
        self.dispatcher = dispatcher
    }

    func services(
        _ limited: LimitedSockets, _ reloaded: @escaping @Sendable (Config) -> Void
    ) -> [any Service] {
        let retention = Retention(store: store, feed: feed, current: current, log: log)
        let reload = Reload(
            path: configuration, current: current,
            apply: { [hooks, accounts] config in
                reloaded(config)
                limited.configure(config.access)
                await hooks.configure(config.hooks)
                await accounts.configure(config)
                await retention.prune()
            }, log: log)
        return [accounts, retention, hooks, reload]
    }

    /// - Parameter inherited: the sockets that a service manager has opened, by path.
    func server(
        at place: SocketPath, _ inherited: [String: ListeningSocket], access: Access?,
        onServing: @escaping @Sendable () -> Void = {}
    ) -> APIServer {
        APIServer(
            place: place, inherited: inherited[place.path], access: access, dispatcher: dispatcher,
            group: group, log: log, onServing: onServing)
    }
}

extension Accounts: Service {
    /// Returns when the daemon shuts down and the accounts have said goodbye.
    func run() async {
        try? await gracefulShutdown()
        await stop()
    }
}

extension StoreError {
    var userError: UserError {
        switch self {
        case .full:
            UserError(
                .diskFull, "\(self)", hint: "free some space; nothing was lost and imd goes on by itself")
        case .permissions:
            UserError(.configuration, "\(self)", hint: "the files must be your own, with mode 0600")
        case .newer:
            UserError(.storage, "\(self)", hint: "install the newer imd again, or move the database away")
        case .locked:
            UserError(
                .configuration, "\(self)",
                hint: "bring back the key that was used before, or move the database away; see imd(1), KEYS")
        case .corrupt:
            UserError(
                .storage, "\(self)",
                hint: "the file was left as it is; restore it from a backup or move it away")
        case .readOnly:
            UserError(
                .storage, "\(self)",
                hint: "make the file system writable; nothing was lost and imd goes on by itself")
        case .io:
            UserError(
                .storage, "\(self)", hint: "check the disk; nothing was lost and imd goes on once it works")
        case .busy:
            UserError(.storage, "\(self)", hint: "end the other program that has the database open")
        case .closed, .constraint: UserError(.storage, "\(self)", hint: "see imd's log")
        }
    }
}
