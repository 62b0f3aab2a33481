// A terminal that does not show what is typed, and shows it again however the program ends.

import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// Asks for secrets, echo off.
package enum SilentTerminal {
    /// What ends the program or stops it, and has to wait until the echo is back.
    private static let signals = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP]
    /// The signal that came while the echo was off; 0 for none.
    private static let caught = Atomic<Int32>(0)

    /// Asks for a line, and asks again when the program was stopped meanwhile.
    ///
    /// - Parameter buffer: where what is typed goes, without the line's end; it is the caller's to wipe.
    /// - Returns: how many bytes; nil where the line does not end, or has no room.
    package static func line(
        _ prompt: String, from terminal: Int32, into buffer: UnsafeMutableRawBufferPointer
    ) -> Int? {
        while true {
            let count = attempt(prompt, terminal, buffer)
            let signal = caught.exchange(0, ordering: .relaxed)
            if signal == 0 { return count }
            take(signal)
        }
    }

    private static func attempt(
        _ prompt: String, _ terminal: Int32, _ buffer: UnsafeMutableRawBufferPointer
    ) -> Int? {
        var settings = termios()
        guard tcgetattr(terminal, &settings) == 0 else { return nil }
        caught.store(0, ordering: .relaxed)
        let handlers = catchSignals()
        var silent = settings
        silent.c_lflag &= ~tcflag_t(ECHO)
        apply(silent, terminal)
        defer {
            apply(settings, terminal)
            say("\n", terminal)
            for (signal, handler) in handlers {
                var handler = handler
                sigaction(signal, &handler, nil)
            }
        }
        say(prompt, terminal)
        return read(terminal, buffer)
    }

    /// - Returns: what was done about them before.
    private static func catchSignals() -> [(signal: Int32, handler: sigaction)] {
        signals.map { signal in
            var (new, old) = (sigaction(), sigaction())
            new.__sigaction_handler.sa_handler = { SilentTerminal.caught.store($0, ordering: .relaxed) }
            sigaction(signal, &new, &old)
            return (signal, old)
        }
    }

    private static func apply(_ settings: termios, _ terminal: Int32) {
        var settings = settings
        while tcsetattr(terminal, TCSAFLUSH, &settings) != 0, errno == EINTR {}
    }

    private static func read(_ terminal: Int32, _ buffer: UnsafeMutableRawBufferPointer) -> Int? {
        var count = 0
        while count < buffer.count {
            // Not for ever: a signal may come just before the wait, or to another thread.
            var interest = pollfd(fd: terminal, events: Int16(POLLIN), revents: 0)
            let ready = poll(&interest, 1, 100)
            guard caught.load(ordering: .relaxed) == 0 else { return nil }
            if ready == 0 || (ready < 0 && errno == EINTR) { continue }
            guard ready > 0 else { return nil }
            let received = Glibc.read(terminal, buffer.baseAddress?.advanced(by: count), 1)
            if received < 0, errno == EINTR { continue }
            guard received == 1 else { return nil }
            if buffer[count] == 0x0a { return count }
            count += 1
        }
        return nil
    }

    /// Does what the signal would have done at once. The thread may be one that is closed to signals.
    private static func take(_ signal: Int32) {
        var (open, before) = (sigset_t(), sigset_t())
        sigemptyset(&open)
        sigaddset(&open, signal)
        pthread_sigmask(SIG_UNBLOCK, &open, &before)
        raise(signal)
        pthread_sigmask(SIG_SETMASK, &before, nil)
    }

    private static func say(_ text: String, _ terminal: Int32) {
        _ = write(terminal, text, text.utf8.count)
    }
}
