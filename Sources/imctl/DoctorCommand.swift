// imctl doctor: what is well and what is not, with one thing to do about it.

import ArgumentParser
import LocalAPI

/// `imctl doctor`.
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check imd, its database, keys, permissions, clock and servers.",
        discussion: "Prints a line for each check. The status is 0 only when all is well, else 69.")

    /// Reading a large database takes its time, and a server may be slow to answer.
    private static let timeout = 300.0

    @Flag(help: .json) var json = false

    func run() throws {
        var isWell = true
        func tell(_ check: DaemonCheck.Check) throws {
            isWell = isWell && check.ok
            try show(check)
        }
        do {
            let client = try Daemon.connect()
            try tell(Self.check(try client.call(DaemonStatus.self, Empty())))
            for check in try client.call(DaemonCheck.self, Empty(), timeout: Self.timeout).checks {
                try tell(check)
            }
        } catch let error as UserError {
            try tell(.init(name: "imd", ok: false, detail: error.message, hint: error.hint))
        }
        if !isWell { throw ExitCode(ErrorCode.notConnected.exitCode) }
    }

    private static func check(_ status: DaemonStatus.Result) -> DaemonCheck.Check {
        let detail = "version \(status.version), process \(status.pid), \(Output.since(status.startedAt))"
        guard status.version == LocalAPI.version else {
            return .init(
                name: "imd", ok: false, detail: "\(detail); imctl is version \(LocalAPI.version)",
                hint: "restart imd")
        }
        return .init(name: "imd", ok: true, detail: detail)
    }

    /// `ok NAME: DETAIL` or `FAIL NAME: DETAIL`, at once: what comes next may take long.
    private func show(_ check: DaemonCheck.Check) throws {
        if json {
            Output.json(try JSONValue(encoding: check))
        } else {
            let word = check.ok ? Style.good("ok") : Style.bad("FAIL")
            Output.line("\(word) \(Output.safe(check.name)): \(Output.safe(check.detail))")
            if let hint = check.hint { Output.line("\thint: \(Output.safe(hint))") }
        }
        try Output.flush()
    }
}
