// imctl config: whether the configuration file is right.

import ArgumentParser
import Glibc
import LocalAPI

/// `imctl config`.
struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Check the configuration file.", subcommands: [Check.self])

    /// `imctl config check`.
    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "check", abstract: "Say whether config.toml is right, or where it is wrong.",
            discussion: "Works whether or not imd runs. \"systemctl --user reload imd\" has it read again.")

        /// imd alone knows what may stand there, and is asked also where it refuses to start because of that file.
        func run() throws {
            let arguments = ["imd", "--check-config"]
            var pointers = arguments.map { strdup($0) } + [nil]
            if let beside = Self.beside { execv(beside, &pointers) }
            execvp("imd", &pointers)
            throw UserError(
                .configuration, "cannot run imd: \(String(cString: strerror(errno)))",
                hint: "install it beside imctl, or in a folder of PATH")
        }

        /// The imd that was installed with this imctl.
        private static var beside: String? {
            var path = [CChar](repeating: 0, count: Int(PATH_MAX))
            let count = readlink("/proc/self/exe", &path, path.count - 1)
            guard count > 0 else { return nil }
            let own = String(decoding: path.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
            return own.lastIndex(of: "/").map { own[...$0] + "imd" }
        }
    }
}
