// What the process gives up at start: core dumps, being traced, files that others can read.
import CLinux
import Foundation
import LocalAPI

enum Hardening {
    /// - Throws: `.internal` where the kernel refuses; imd holds keys and must not start then.
    static func apply() throws(UserError) {
        umask(0o077)
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        guard setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none) == 0, clinux_forbid_tracing() == 0
        else { throw UserError(.internalError, "cannot switch core dumps off", hint: nil) }
        // A client that goes away shows as an error of the write, not as the end of the daemon.
        signal(SIGPIPE, SIG_IGN)
    }
}
