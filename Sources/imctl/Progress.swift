// A sign of life on the terminal for what takes longer than a second.

import Glibc
import LocalAPI

/// Shows a few words and the seconds that have passed, on standard error where that is a terminal.
///
/// A timer's signal writes it: the command waits in one system call, which goes on after it.
enum Progress {
    /// The line so far, written as it is: a signal handler must not allocate.
    nonisolated(unsafe) private static var line: UnsafeMutableBufferPointer<UInt8> = .allocate(capacity: 96)
    nonisolated(unsafe) private static var length = 0
    nonisolated(unsafe) private static var seconds: Int32 = 0

    /// Runs `body`; after a second its `label` is on the screen, and gone when it is done.
    static func shown<T, E: Error>(_ label: String, _ body: () throws(E) -> T) throws(E) -> T {
        guard isatty(STDERR_FILENO) == 1 else { return try body() }
        begin(label)
        defer { end() }
        return try body()
    }

    private static func begin(_ label: String) {
        let text = Array("\r\(label) ".utf8.prefix(80))
        for (index, byte) in text.enumerated() { line[index] = byte }
        (length, seconds) = (text.count, 0)
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in Progress.tick() }
        action.sa_flags = SA_RESTART
        sigaction(SIGALRM, &action, nil)
        var every = itimerval(
            it_interval: timeval(tv_sec: 1, tv_usec: 0), it_value: timeval(tv_sec: 1, tv_usec: 0))
        setitimer(__itimer_which_t(ITIMER_REAL.rawValue), &every, nil)
    }

    private static func tick() {
        let code = errno
        seconds += 1
        var (end, divisor) = (length, Int32(10_000))
        while divisor > 0 {
            if seconds >= divisor || divisor == 1 {
                line[end] = UInt8(truncatingIfNeeded: 0x30 + seconds / divisor % 10)
                end += 1
            }
            divisor /= 10
        }
        line[end] = 0x20
        line[end + 1] = 0x73  // s
        _ = write(STDERR_FILENO, line.baseAddress, end + 2)
        errno = code
    }

    private static func end() {
        var never = itimerval()
        setitimer(__itimer_which_t(ITIMER_REAL.rawValue), &never, nil)
        signal(SIGALRM, SIG_DFL)
        guard seconds > 0 else { return }
        Output.clearLine()
    }
}
