// Reads the configuration file again at SIGHUP.
import LocalAPI
import Logging
import ServiceLifecycle
import Synchronization
import UnixSignals

/// The configuration that holds now.
final class CurrentConfig: Sendable {
    private let config: Mutex<Config>

    init(_ config: Config) { self.config = Mutex(config) }

    var value: Config { config.withLock { $0 } }

    fileprivate func set(_ new: Config) -> Config {
        config.withLock { config in
            defer { config = new }
            return config
        }
    }
}

struct Reload: Service {
    let path: String
    let current: CurrentConfig
    /// What is done with a configuration that is new.
    let apply: @Sendable (Config) async -> Void
    let log: Logger

    /// Returns when the daemon shuts down.
    func run() async throws {
        let hangUps = await UnixSignalsSequence(trapping: .sighup)
        await cancelWhenGracefulShutdown { for await _ in hangUps { await reload() } }
    }

    /// A file that is wrong changes nothing.
    func reload() async {
        do {
            let config = try Config(path: path)
            let before = current.set(config)
            if before.keyOrigin != config.keyOrigin {
                log.warning("the key of the database comes from elsewhere only after: imd --change-key")
            }
            await apply(config)
            log.notice("the configuration was read again")
        } catch {
            log.error(
                "the configuration stays as it was",
                metadata: ["error": "\(error.message)", "hint": "\(error.hint ?? "-")"])
        }
    }
}
