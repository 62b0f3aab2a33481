// One run of a hook: started without a shell, fed, listened to, ended in time with all it started, and reaped.
import CLinux
import Foundation
import Glibc
import Synchronization

/// What a run came to.
struct HookResult: Sendable {
    enum Ending: Equatable, Sendable {
        case exited(Int32)
        case killed(Int32)
        case timedOut
        /// With `errno`.
        case notStarted(Int32)
    }

    var ending: Ending
    /// The beginning of what it printed.
    var output: [UInt8] = []
    /// The end of what it printed to standard error.
    var errors: [UInt8] = []

    /// Why the event is not done; nil if it is.
    var failure: String? {
        let said = String(decoding: errors.suffix(300), as: UTF8.self)
            .split(whereSeparator: \.isWhitespace).joined(separator: " ")
        let tail = said.isEmpty ? "" : ": \(said)"
        switch ending {
        case .exited(0): return nil
        case .exited(let status): return "exit status \(status)\(tail)"
        case .killed(let signal): return "ended by signal \(signal)\(tail)"
        case .timedOut: return "not done within its time limit\(tail)"
        case .notStarted(let code): return "could not be started: \(String(cString: strerror(code)))"
        }
    }
}

/// A child and the pipes to it. One thread of its own waits for it, only as long as it runs.
final class HookProcess: Sendable {
    /// Bytes of output, and of standard error, that are kept.
    static let outputLimit = 16_384
    /// Between the request to end and the end.
    private static let grace: Int32 = 1000

    private let path: String
    private let input: [UInt8]
    private let environment: [String]
    private let folder: String
    /// Milliseconds.
    private let timeLimit: Int64
    /// Nil before it runs, and when it is reaped.
    private let process = Mutex<pid_t?>(nil)

    /// - Parameters:
    ///   - environment: the whole of it, as `NAME=VALUE`.
    ///   - folder: where it starts.
    ///   - timeLimit: in seconds.
    init(path: String, input: [UInt8], environment: [String], folder: String, timeLimit: Int) {
        self.path = path
        self.input = input
        self.environment = environment
        self.folder = folder
        self.timeLimit = Int64(timeLimit) * 1000
    }

    func run() async -> HookResult {
        await withCheckedContinuation { continuation in
            let thread = Thread { continuation.resume(returning: self.runHere()) }
            thread.stackSize = 256 << 10
            thread.start()
        }
    }

    /// To the process and all in its group; nothing where it has ended.
    func signal(_ number: Int32) {
        process.withLock { process in if let process { _ = kill(-process, number) } }
    }

    private func runHere() -> HookResult {
        var pipes: [[Int32]] = []
        defer { for end in pipes.joined() where end >= 0 { close(end) } }
        for _ in 0..<3 {
            var ends: [Int32] = [-1, -1]
            guard pipe(&ends) == 0 else { return HookResult(ending: .notStarted(errno)) }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            pipes.append(ends)
        }
        var child: pid_t = 0
        let code = process.withLock { process in
            let code = spawn(&child, input: pipes[0][0], output: pipes[1][1], errors: pipes[2][1])
            if code == 0 { process = child }
            return code
        }
        for (pipe, end) in [(0, 0), (1, 1), (2, 1)] {
            close(pipes[pipe][end])
            pipes[pipe][end] = -1
        }
        guard code == 0 else { return HookResult(ending: .notStarted(code)) }
        clinux_limit_files(child, UInt(Hardening.initialFileLimit.rlim_cur))
        var talk = HookTalk(input: input, descriptors: [pipes[0][1], pipes[1][0], pipes[2][0]])
        pipes = []
        let isLate = wait(for: child, &talk)
        return reap(child, talk, isLate)
    }

    /// - Returns: whether it took longer than it may.
    private func wait(for child: pid_t, _ talk: inout HookTalk) -> Bool {
        let end = clinux_open_process(child)
        guard end >= 0 else {
            // Before Linux 5.3: nobody would notice its end.
            signal(SIGKILL)
            return false
        }
        defer { close(end) }
        let deadline = Clock.uptime() + timeLimit
        while true {
            let left = deadline - Clock.uptime()
            guard left > 0 else { break }
            if talk.exchange(until: end, Int32(clamping: left)) { return false }
        }
        signal(SIGTERM)
        let last = Clock.uptime() + Int64(Self.grace)
        while Clock.uptime() < last {
            if talk.exchange(until: end, Int32(clamping: max(last - Clock.uptime(), 1))) { return true }
        }
        signal(SIGKILL)
        return true
    }

    /// What it left in its group ends with it: so there are never more processes than there are runs.
    private func reap(_ child: pid_t, _ talk: consuming HookTalk, _ isLate: Bool) -> HookResult {
        var information = siginfo_t()
        while waitid(P_PID, id_t(child), &information, WEXITED | WNOWAIT) < 0, errno == EINTR {}
        talk.finish()
        var status: Int32 = 0
        process.withLock { process in
            // Not yet reaped, so the number is nobody else's.
            _ = kill(-child, SIGKILL)
            while waitpid(child, &status, 0) < 0, errno == EINTR {}
            process = nil
        }
        let signal = status & 0x7f
        let ending: HookResult.Ending =
            isLate ? .timedOut : signal == 0 ? .exited(status >> 8 & 0xff) : .killed(signal)
        return HookResult(ending: ending, output: talk.output, errors: talk.errors)
    }

    private func spawn(_ child: inout pid_t, input: Int32, output: Int32, errors: Int32) -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, errors, 2)
        // Not every library marks its descriptors as ours alone.
        let confined = clinux_confine(&actions, folder)
        guard confined == 0 else { return confined }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        for signal in [SIGPIPE, SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, signal) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        let newSession: Int32 = 0x80  // POSIX_SPAWN_SETSID, which Swift does not see
        let flags = newSession | Int32(POSIX_SPAWN_SETSIGMASK) | Int32(POSIX_SPAWN_SETSIGDEF)
        posix_spawnattr_setflags(&attributes, Int16(flags))
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup(path), nil]
        var variables: [UnsafeMutablePointer<CChar>?] = environment.map { variable in strdup(variable) }
        variables.append(nil)
        defer { for text in arguments + variables { free(text) } }
        return posix_spawn(&child, path, &actions, &attributes, &arguments, &variables)
    }
}
