// The command `imd`: its options, its start, and how it says what went wrong.
public import ArgumentParser
import Foundation
import LocalAPI
public import Logging
public import Store
import Synchronization

@main
struct IMD: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "imd",
        abstract: "End-to-end encrypted messaging daemon for XMPP and OMEMO.",
        discussion: """
            Runs in the foreground, logs to standard error, and serves imctl(1) and other programs on a \
            socket in $XDG_RUNTIME_DIR/imd. SIGTERM and SIGINT end it in order.
            """,
        version: "imd \(LocalAPI.version)")

    @Option(name: .customLong("log-level"), help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel: Logger.Level?

    @Flag(name: .customLong("check-config"), help: "Say whether the configuration file is right, and end.")
    var checkConfig = false

    @Option(
        name: .customLong("change-key"),
        help: "Have the database's key come from file, secret-service, credential or passphrase, and end.")
    var changeKey: KeyOrigin?

    func run() async throws {
        do throws(UserError) {
            try Hardening.apply()
            let paths = try Paths(environment: ProcessInfo.processInfo.environment)
            let config = try Config(path: paths.configuration)
            if checkConfig {
                return print("\(paths.configuration): \(Config.exists(at: paths.configuration))")
            }
            if let changeKey { return try Daemon.changeKey(paths, to: changeKey) }
            LoggingSystem.bootstrap { LevelledLog(label: $0) }
            LevelledLog.set(logLevel ?? config.logLevel)
            try await Daemon.run(paths, config, Logger(label: "imd")) { config in
                if logLevel == nil { LevelledLog.set(config.logLevel) }
            }
        } catch {
            Self.report(error)
            throw ExitCode(error.code.exitCode)
        }
    }

    private static func report(_ error: UserError) {
        var text = "imd: error: \(error.message)\n"
        if let hint = error.hint { text += "imd: hint: \(hint)\n" }
        FileHandle.standardError.write(Data(text.utf8))
    }
}

extension Logger.Level: @retroactive ExpressibleByArgument {}
extension KeyOrigin: ExpressibleByArgument {}
