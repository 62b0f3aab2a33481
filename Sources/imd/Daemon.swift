// The whole of imd put together, from the lock to the shutdown; no logic.
import Foundation
import LocalAPI
import Logging
import NIOPosix
import ServiceLifecycle
import Store

enum Daemon {
    /// Returns after an orderly shutdown.
    static func run(_ paths: Paths, _ config: Config, _ log: Logger) async throws(UserError) {
        let inherited = try ListeningSocket.inherited(at: paths.socket)
        try Paths.makePrivate(paths.data)
        try Paths.makePrivate(paths.socket.directory)
        let lock = try InstanceLock(path: paths.lock)
        let feed = EventFeed()
        let store = try open(paths, feed)
        let group = MultiThreadedEventLoopGroup.singleton
        let accounts = Accounts(
            store: store, group: group, history: config.firstLoginHistory, log: log)
        var dispatcher = Dispatcher(log: log)
        Handlers(
            accounts: accounts, store: store, feed: feed, paths: paths, startedAt: Clock.now()
        ).register(in: &dispatcher)
        let network = NetworkMonitor(log: log)
        defer { network.close() }
        Task { for await _ in network.changes { await accounts.networkChanged() } }
        let services = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                // Shut down from the last to the first.
                services: [
                    .init(service: accounts),
                    .init(
                        service: Retention(
                            store: store, feed: feed, days: config.eventDays, limit: config.eventLimit,
                            log: log)),
                    .init(
                        service: APIServer(
                            place: paths.socket, inherited: inherited, dispatcher: dispatcher, group: group,
                            log: log)),
                ],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet(log)))
        do {
            try await accounts.start()
            try await services.run()
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

    private static func open(_ paths: Paths, _ feed: EventFeed) throws(UserError) -> Store {
        do {
            return try Store.open(at: paths.database) { feed.committed($0) }
        } catch {
            throw error.userError
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
