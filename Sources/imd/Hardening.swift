// What the process gives up at start (core dumps, being traced, files that others can read), and what it asks for.
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
        forbidBacktrace()
        raiseFileLimit()
    }

    /// Swift's own handler for crashes prints what registers point to, and the log is no place for keys and texts.
    /// Who sets SWIFT_BACKTRACE asks for it.
    private static func forbidBacktrace() {
        guard getenv("SWIFT_BACKTRACE") == nil else { return }
        for crash in [SIGQUIT, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP] { signal(crash, SIG_DFL) }
    }

    /// What the process was started with, for what it starts itself: select(2) fails above the usual 1024.
    static let initialFileLimit = fileLimit()

    /// Each client and each connection takes a descriptor.
    private static func raiseFileLimit() {
        var limit = initialFileLimit
        limit.rlim_cur = max(limit.rlim_cur, min(limit.rlim_max, 65_536))
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// How many descriptors the process may have open now.
    static func fileLimit() -> rlimit {
        var limit = rlimit(rlim_cur: 1024, rlim_max: 1024)
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return limit
    }
}
