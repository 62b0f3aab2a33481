// imctl status: is imd there, are its accounts online, and waiting until they are.

import ArgumentParser
import LocalAPI

/// `imctl status`.
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", _superCommandName: "imctl",
        abstract: "Tell how imd and its accounts are doing.",
        discussion: """
            With --wait online the status is 0 only when all accounts, or the one named, are online; with --wait \
            caught-up only when they have also read what came while they were away.
            """)

    /// What can be waited for.
    enum Goal: String, Word {
        case online
        case caughtUp = "caught-up"
    }

    @Option(
        help: ArgumentHelp(
            "Return when the accounts are online, or caught-up; imd may still be starting.",
            valueName: "state"))
    var wait: Goal?

    @Option(help: ArgumentHelp("Wait at most this long; default 30.", valueName: "seconds"))
    var timeout: Int?

    @Option(help: .account, completion: .account) var account: String?

    @Flag(help: .json) var json = false

    init() {}

    /// The command without options.
    init?(words: ArraySlice<String>) {
        guard words.isEmpty else { return nil }
        (wait, timeout, account, json) = (nil, nil, nil, false)
    }

    func run() throws {
        try checkTimeout(timeout)
        guard let wait else {
            let status = try Daemon.call(DaemonStatus.self, Empty())
            if account != nil { _ = try chosen(status) }
            return try show(status)
        }
        let label = wait == .online ? "waiting for the connection" : "catching up"
        let (status, isReached) = try Progress.shown(label) { try reach(wait) }
        try show(status)
        if !isReached { throw UserError(.timeout, "not \(wait.rawValue) after \(timeout ?? 30) s") }
    }

    /// - Returns: how things are in the end, and whether it is what was wanted.
    private func reach(_ goal: Goal) throws -> (DaemonStatus.Result, Bool) {
        let deadline = ContinuousClock.now + .seconds(timeout ?? 30)
        let client = try Daemon.connect(until: deadline)
        // Subscribed before asking, so that no change falls between the two.
        _ = try client.call(EventSubscribe.self, .init(types: [EventType.account.rawValue]))
        while true {
            let status = try client.call(DaemonStatus.self, Empty())
            if try isOnline(status), goal == .online || isCaughtUp(status) { return (status, true) }
            let remaining = (deadline - .now) / .seconds(1)
            guard remaining > 0 else { return (status, false) }
            // A change that made no event is found all the same, a little later.
            _ = try client.nextNotification(timeout: min(remaining, goal == .online ? 1 : 0.1))
        }
    }

    private func isCaughtUp(_ status: DaemonStatus.Result) -> Bool {
        status.accounts.allSatisfy { $0.catchingUp != true || !isChosen($0) }
    }

    /// An address is the same in capital letters (RFC 7622 §3.3); what else is typed differently names no account.
    private func isChosen(_ status: AccountStatus) -> Bool {
        account.map { $0.lowercased() == status.jid } ?? true
    }

    /// - Throws: `.unknownAccount` or `.noAccount` where there is none to speak of.
    private func chosen(_ status: DaemonStatus.Result) throws -> [AccountStatus] {
        let accounts = status.accounts.filter(isChosen)
        guard accounts.isEmpty else { return accounts }
        if let account {
            throw UserError(.unknownAccount, "no account \(account)", hint: "see: imctl account list")
        }
        throw UserError(.noAccount, "there is no account", hint: "add one: imctl setup")
    }

    private func started(_ moment: Timestamp) -> String {
        Output.isTerminal ? "started \(Output.age(moment))" : Output.since(moment)
    }

    private func isOnline(_ status: DaemonStatus.Result) throws -> Bool {
        let accounts = try chosen(status)
        for account in accounts where account.state == .failed {
            throw account.reason ?? UserError(.notConnected, "\(account.jid) has failed")
        }
        for account in accounts where account.state == .offline {
            throw UserError(
                .notConnected, "\(account.jid) was taken offline",
                hint: "imctl account connect \(account.jid)")
        }
        return accounts.allSatisfy { $0.state == .online }
    }

    private func show(_ status: DaemonStatus.Result) throws {
        if json { return try Output.json(DaemonStatus.self, status) }
        Output.line(
            "imd \(Output.safe(status.version)), process \(status.pid), \(started(status.startedAt))")
        if let storage = status.storage {
            Output.line(
                "\(Style.bad("cannot store anything")): \(storage.code.rawValue): \(Output.safe(storage.message))"
            )
            if let hint = storage.hint { Output.line("\thint: \(Output.safe(hint))") }
        }
        for account in status.accounts where isChosen(account) {
            AccountCommand.describe(account)
        }
        if status.accounts.isEmpty { Output.line("no account; add one with \"imctl setup\"") }
    }
}
