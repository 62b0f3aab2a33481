// What the methods around the outbox do, and the check of everything.
import Foundation
import LocalAPI
import Store
import XMPP

extension Handlers {
    func registerOutbox(_ dispatcher: inout Dispatcher) {
        dispatcher.on(OutboxList.self) { params in
            let account = params.account == nil ? nil : try accounts.find(params.account).id
            return try await outbox(
                account, failed: params.failed ?? false, limit: params.limit ?? OutboxList.maxLimit)
        }
        dispatcher.on(OutboxCancel.self) { params in
            try await accounts.find(params.account).cancel(params.id)
        }
        dispatcher.on(OutboxRetry.self) { params in
            if let id = params.id {
                let message = try await accounts.find(params.account).retry(id)
                return OutboxList.Result(messages: [message], more: false)
            }
            return try await retryAll(params.account)
        }
        dispatcher.on(MessageDisplayed.self) { params in
            try await accounts.find(params.account).displayed(
                JID(parameter: params.chat), upTo: params.id)
        }
    }

    private func outbox(_ account: Int64?, failed: Bool, limit: Int) async throws -> OutboxList.Result {
        let (page, names) = try await store.read { tx in
            (
                try tx.pending(account: account, failed: failed, limit: limit, bytes: Self.pageSize),
                try tx.accountJIDs()
            )
        }
        return OutboxList.Result(
            messages: page.messages.compactMap { message in
                names[message.account].map { message.shown(account: $0) }
            }, more: page.more)
    }

    private func retryAll(_ name: String?) async throws -> OutboxList.Result {
        let account = try name.map { try accounts.find($0) }
        for account in account.map({ [$0] }) ?? accounts.all { await account.retryAll() }
        return try await outbox(account?.id, failed: false, limit: OutboxList.maxLimit)
    }

    func storageFailure() async -> UserError? {
        for account in accounts.all {
            if let failure = await account.storageFailure { return failure.userError }
        }
        return nil
    }

    // MARK: imctl doctor

    func checks() async -> [DaemonCheck.Check] {
        var checks = [await databaseCheck(), storageCheck(), await spaceCheck()]
        for account in accounts.all { checks += await account.checks() }
        return checks
    }

    private func databaseCheck() async -> DaemonCheck.Check {
        let problems: [String]
        do { problems = try await store.check() } catch { problems = ["\(error)"] }
        guard let first = problems.first else {
            return DaemonCheck.Check(name: "database", ok: true, detail: "whole, with all keys and messages")
        }
        let more = problems.count > 1 ? ", and \(problems.count - 1) more" : ""
        return DaemonCheck.Check(
            name: "database", ok: false, detail: first + more,
            hint:
                "stop imd and keep a copy of \(paths.database); then restore a backup, or go on without the damaged rows"
        )
    }

    private func storageCheck() -> DaemonCheck.Check {
        do throws(UserError) {
            try Paths.makePrivate(paths.data)
            try Paths.makePrivate(paths.socket.directory)
            return DaemonCheck.Check(
                name: "permissions", ok: true, detail: "nobody else can reach imd's files")
        } catch {
            return DaemonCheck.Check(name: "permissions", ok: false, detail: error.message, hint: error.hint)
        }
    }

    private func spaceCheck() async -> DaemonCheck.Check {
        if let failure = await storageFailure() {
            return DaemonCheck.Check(name: "storage", ok: false, detail: failure.message, hint: failure.hint)
        }
        var status = statvfs()
        guard statvfs(paths.data, &status) == 0 else {
            return DaemonCheck.Check(name: "storage", ok: true, detail: "can be written")
        }
        let free = (Int64(status.f_bavail) * Int64(status.f_frsize)) >> 20
        return DaemonCheck.Check(
            name: "storage", ok: free >= 16, detail: "\(free) MiB free",
            hint: free >= 16 ? nil : "free some space below \(paths.data)")
    }
}
