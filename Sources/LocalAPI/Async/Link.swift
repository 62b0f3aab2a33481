// One connection for code that does not block: calls and events, read and written by a thread of its own.

import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// The thread waits in poll(2) and does the parsing, so that no thread of the concurrency runtime ever waits for imd.
///
/// It keeps the link alive; `close()` ends it.
final class Link: Sendable {
    private let socket: Int32
    /// A byte into the first has the thread, which looks at the second, look at the state again.
    private let bell: (rope: Int32, clapper: Int32)
    private let state: Mutex<LinkState>

    /// Connects and begins to read.
    ///
    /// - Parameter window: events that wait for `nextNotification` before no more is read.
    /// - Throws: as `SocketPath.connect`.
    convenience init(_ place: SocketPath, window: Int = 1) throws(UserError) {
        try self.init(connected: try place.connect(isBlocking: false), window: window)
    }

    /// Talks over a connected stream socket, which it then owns.
    init(connected socket: Int32, window: Int = 1) throws(UserError) {
        self.socket = socket
        var ends: [Int32] = [-1, -1]
        let kind = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
        let result = socketpair(AF_UNIX, Int32(kind), 0, &ends)
        bell = (ends[0], ends[1])
        state = Mutex(LinkState(window: window))
        _ = fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK)
        guard result == 0 else { throw SocketPath.broken(errno) }
        guard Self.start({ [self] in run() }) else {
            throw UserError(.internalError, "no thread can be started")
        }
    }

    deinit {
        Glibc.close(socket)
        Glibc.close(bell.rope)
        Glibc.close(bell.clapper)
    }

    /// What was written goes out, as far as imd takes it at once; who waits gets `.daemonNotRunning`.
    func close() {
        state.withLock { $0.isClosing = true }
        ring()
    }

    /// False when nothing can be called any more.
    var isOpen: Bool { state.withLock { !$0.isClosing && $0.failure == nil } }

    // MARK: Calls

    /// Calls a method; any number may be under way.
    ///
    /// - Throws: the daemon's error, `.timeout`, `.daemonNotRunning`, or `CancellationError`: then the request is
    ///   taken back where it was not yet written.
    func call(_ method: String, _ params: JSONValue, timeout: Duration?) async throws -> JSONValue {
        let id = state.withLock { $0.nextID() }
        let line = Request(id: .integer(id), method: method, params: params).line
        guard line.count <= maxLineLength + 1 else {
            throw UserError(.tooLarge, "the request is longer than \(maxLineLength) bytes")
        }
        let deadline = timeout.map { ContinuousClock.now + $0 }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let refusal = state.withLock { state -> (any Error)? in
                    if Task.isCancelled { return CancellationError() }
                    return state.begin(Call(id: id, method: method, deadline: deadline, continuation), line)
                }
                if let refusal { continuation.resume(throwing: refusal) } else { ring() }
            }
        } onCancel: {
            state.withLock { $0.withdraw(id) }?.resume(throwing: CancellationError())
        }
    }

    struct Call: Sendable {
        let id: Int64
        let method: String
        let deadline: ContinuousClock.Instant?
        let continuation: CheckedContinuation<JSONValue, any Error>

        init(
            id: Int64, method: String, deadline: ContinuousClock.Instant?,
            _ continuation: CheckedContinuation<JSONValue, any Error>
        ) {
            self.id = id
            self.method = method
            self.deadline = deadline
            self.continuation = continuation
        }
    }

    // MARK: Events

    /// The next event or mark; for one caller at a time.
    ///
    /// - Throws: `.daemonNotRunning` once the connection has ended and all that came before was taken, or
    ///   `CancellationError`.
    func nextNotification() async throws -> Client.Notification {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let (outcome, readOn) = state.withLock {
                    state -> (Result<Client.Notification, any Error>?, readOn: Bool) in
                    if Task.isCancelled { return (.failure(CancellationError()), false) }
                    return state.take(continuation)
                }
                if let outcome { continuation.resume(with: outcome) }
                if readOn { ring() }
            }
        } onCancel: {
            state.withLock { $0.withdrawReader() }?.resume(throwing: CancellationError())
        }
    }

    // MARK: The thread

    private func ring() {
        var byte: UInt8 = 1
        // Where there is no room it rings already.
        _ = send(bell.rope, &byte, 1, Int32(MSG_NOSIGNAL))
    }

    private static func start(_ body: @escaping @Sendable () -> Void) -> Bool {
        final class Body {
            let run: @Sendable () -> Void
            init(_ run: @escaping @Sendable () -> Void) { self.run = run }
        }
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(&attributes, 512 << 10)
        // The program's signals are for its own threads.
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        let argument = Unmanaged.passRetained(Body(body))
        var thread = pthread_t()
        let result = pthread_create(
            &thread, &attributes,
            { argument in
                if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, argument.toOpaque())
        if result != 0 { argument.release() }
        return result == 0
    }

    private func run() {
        var output = LinkOutput()
        var lines = LineBuffer(limit: 256 << 20)  // an answer may be far longer than a request
        var chunk = [UInt8](repeating: 0, count: 65_536)
        do throws(UserError) {
            while true {
                let wanted = state.withLock { $0.wanted(&output) }
                if wanted.isOver {
                    try output.flush(into: socket)
                    throw SocketPath.closed
                }
                let ready = try wait(
                    reading: wanted.reading, writing: !output.isEmpty, until: wanted.deadline)
                // First what imd said: it may say why it takes no more.
                if ready.reading { try read(&chunk, &lines) }
                if ready.writing { try output.flush(into: socket) }
                expire()
            }
        } catch {
            shutdown(socket, Int32(SHUT_RDWR))
            let left = state.withLock { $0.end(error) }
            for call in left.calls { call.continuation.resume(throwing: error) }
            left.reader?.resume(throwing: error)
        }
    }

    private func wait(
        reading: Bool, writing: Bool, until deadline: ContinuousClock.Instant?
    ) throws(UserError) -> (reading: Bool, writing: Bool) {
        let asked = (reading ? Int16(POLLIN) : 0) | (writing ? Int16(POLLOUT) : 0)
        // A negative descriptor is ignored; else one that has ended would wake us for ever.
        var places = [
            pollfd(fd: asked == 0 ? -1 : socket, events: asked, revents: 0),
            pollfd(fd: bell.clapper, events: Int16(POLLIN), revents: 0),
        ]
        let limit = deadline.map { max(0, ($0 - .now) / .milliseconds(1)) + 1 } ?? -1
        if poll(&places, 2, Int32(min(limit, 1e9))) < 0, errno != EINTR { throw SocketPath.broken(errno) }
        if places[1].revents != 0 {
            var bytes = [UInt8](repeating: 0, count: 256)
            _ = recv(bell.clapper, &bytes, bytes.count, 0)
        }
        let events = places[0].revents
        return (reading && events & ~Int16(POLLOUT) != 0, writing && events & ~Int16(POLLIN) != 0)
    }

    private func read(_ chunk: inout [UInt8], _ lines: inout LineBuffer) throws(UserError) {
        let count = chunk.withUnsafeMutableBytes { recv(socket, $0.baseAddress, $0.count, 0) }
        guard count > 0 else {
            if count == 0 { throw SocketPath.closed }
            if errno == EINTR || errno == EAGAIN { return }
            throw SocketPath.broken(errno)
        }
        chunk.withUnsafeBytes { lines.append(UnsafeRawBufferPointer(rebasing: $0[0..<count])) }
        while let line = lines.next() {
            guard case .line(let bytes) = line else {
                throw UserError(.tooLarge, "imd answered with more than can be read")
            }
            try take(try Incoming(line: bytes))
        }
    }

    private func take(_ incoming: Incoming) throws(UserError) {
        switch incoming {
        case .notification(let method, let params):
            guard let notification = Client.Notification(method, params) else { return }
            state.withLock { $0.keep(notification) }?.resume(returning: notification)
        case .response(.integer(let id), let result):
            state.withLock { $0.answered(id) }?.resume(with: result)
        // An error that belongs to no request is about the connection: there are too many.
        case .response(.null, .failure(let error)): throw error
        case .response: break
        }
    }

    private func expire() {
        let now = ContinuousClock.now
        for call in state.withLock({ $0.expired(at: now) }) {
            call.continuation.resume(
                throwing: UserError(.timeout, "imd did not answer \(call.method) in time"))
        }
    }
}
