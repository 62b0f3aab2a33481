// Signs of life for the service manager: only while the store, the accounts and their servers give some themselves.
import Logging
import ServiceLifecycle
import Store

/// An account that is offline or connects again is alive, and so is a store that refuses: restarting imd would change
/// neither. What ends imd is what only a restart can end: a writer that does not come back, an account that does not
/// answer, a stream that hears nothing and cannot even be given up.
struct Watchdog: Service {
    let supervisor: Supervisor
    let store: Store
    let accounts: Accounts
    let feed: EventFeed
    let log: Logger

    /// Returns when the daemon shuts down.
    func run() async throws {
        guard supervisor.isPresent else { return try await gracefulShutdown() }
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { tasks in
                if let patience = supervisor.patience { tasks.addTask { await self.watch(patience) } }
                tasks.addTask { await tellStates() }
            }
        }
        supervisor.tell("STOPPING=1")
    }

    // MARK: Signs of life

    /// Twice as often as necessary, as sd_watchdog_enabled(3) recommends; nothing else wakes up here.
    private func watch(_ patience: Duration) async {
        let interval = patience / 2
        var pause = interval
        while true {
            // The manager's clock stands still, too, while the machine is suspended.
            do { try await Task.sleep(for: pause, clock: .suspending) } catch { return }
            let silent = await silent(since: interval, within: interval / 2)
            if Task.isCancelled { return }
            if silent.isEmpty {
                supervisor.tell("WATCHDOG=1")
                pause = interval
            } else {
                log.critical("no sign of life", metadata: ["of": "\(silent.joined(separator: ", "))"])
                pause = interval / 4
            }
        }
    }

    /// Who gives no sign of life within `limit`.
    private func silent(since interval: Duration, within limit: Duration) async -> [String] {
        let known = accounts.all
        return await withTaskGroup(of: String?.self) { tasks in
            tasks.addTask {
                // Any answer is one, also that the disk is full.
                let isAlive = await answer(within: limit) {
                    do { try await store.write { _ in } } catch {}
                    return true
                }
                return isAlive == true ? nil : "the database"
            }
            for account in known {
                tasks.addTask {
                    let isAlive = await answer(within: limit) {
                        await account.isAlive(since: interval, patience: min(limit / 2, .seconds(20)))
                    }
                    return isAlive == true ? nil : "account \(account.jid)"
                }
            }
            return await tasks.reduce(into: []) { if let name = $1 { $0.append(name) } }
        }
    }

    /// Nil where `body` takes longer; it is left alone then, for it may never return.
    private func answer<T: Sendable>(
        within limit: Duration, _ body: @escaping @Sendable () async -> T
    ) async -> T? {
        let (answers, answer) = AsyncStream<T?>.makeStream()
        Task { answer.yield(await body()) }
        let timer = Task {
            try await Task.sleep(for: limit)
            answer.yield(nil)
        }
        defer { timer.cancel() }
        for await first in answers { return first }
        return nil
    }

    // MARK: States

    /// One line for `systemctl --user status`, whenever it changes.
    private func tellStates() async {
        guard let subscriber = try? feed.subscribe(consumer: nil, after: feed.newest) else { return }
        defer { feed.unsubscribe(subscriber) }
        var told = await states()
        supervisor.tell("STATUS=\(told)")
        for await _ in subscriber.wakeUps {
            // Most events are messages: while many come, a look a second is enough.
            do { try await Task.sleep(for: .seconds(1)) } catch { return }
            let states = await states()
            if states != told { supervisor.tell("STATUS=\(states)") }
            told = states
        }
    }

    private func states() async -> String {
        var online = 0
        let known = accounts.all
        for account in known where await account.isOnline { online += 1 }
        return "\(online) of \(known.count) accounts online"
    }
}
