// Signals that a bot waits for together with everything else: the end of a child, and its own.

import Glibc

/// A pipe that signals write into, so that none is missed between looking and waiting.
struct BotSignals {
    /// What the handler writes into; one bot per process.
    nonisolated(unsafe) private static var writer: Int32 = -1

    private let reader: Int32
    /// The signal that should end us, or 0.
    private(set) var ending: Int32 = 0

    /// - Throws: `UserError` when there is no pipe.
    init() throws {
        let ends = try PipeEnds()
        for end in [ends.reading, ends.writing] { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
        reader = ends.reading
        Self.writer = ends.writing
        for number in [SIGCHLD, SIGINT, SIGTERM, SIGHUP] {
            signal(number) { number in
                let before = errno
                var byte = UInt8(truncatingIfNeeded: number)
                _ = write(BotSignals.writer, &byte, 1)
                errno = before
            }
        }
    }

    /// Until a descriptor is ready, a signal came, or the time is over.
    mutating func wait(for interests: [pollfd], until deadline: ContinuousClock.Instant?) {
        var places = interests + [pollfd(fd: reader, events: Int16(POLLIN), revents: 0)]
        var milliseconds: Int32 = -1
        if let deadline {
            let seconds = max(0, (deadline - .now) / .seconds(1))
            milliseconds = Int32(min(86_400_000, (seconds * 1000).rounded(.up)))
        }
        poll(&places, nfds_t(places.count), milliseconds)
        var byte: UInt8 = 0
        while read(reader, &byte, 1) == 1 {
            if Int32(byte) != SIGCHLD { ending = Int32(byte) }
        }
    }
}
