// A blocking client: calls methods and reads events over the Unix socket.

#if canImport(Glibc)
    import Glibc
#endif

/// One connection to imd. Not safe to share between threads.
///
/// Answers and events may arrive interleaved; each `call` keeps the notifications that came before its answer
/// for `nextNotification`.
public final class Client {
    /// Something the daemon told without being asked on this line.
    public enum Notification: Equatable, Sendable {
        /// An event; its members as they were sent.
        case event(JSONValue)
        /// Everything that existed at subscription time has been sent.
        case caughtUp(number: Int64)
    }

    /// Another descriptor to look at while waiting: when its other end goes away, waiting ends with
    /// `.inputOutput`. For programs that wait for events on behalf of a reader.
    public var watched: Int32?

    private let socket: Int32
    private var lines = LineBuffer(limit: 256 << 20)  // an answer may be far longer than a request
    private var waiting: [Notification] = []
    private var waitingStart = 0
    private var lastID: Int64 = 0
    private var chunk = [UInt8](repeating: 0, count: 65_536)

    /// Connects.
    ///
    /// - Throws: `.daemonNotRunning`, or `.unsafeDirectory` if the folder of the socket cannot be trusted.
    public init(_ place: SocketPath) throws(UserError) {
        socket = try place.connect()
    }

    /// Talks over a connected stream socket, which it then owns.
    public init(connected socket: Int32) { self.socket = socket }

    deinit { close(socket) }

    /// Calls a method and waits for its answer.
    ///
    /// - Parameters:
    ///   - method: one of the API's, such as `MessageSend.self`.
    ///   - params: what it is called with.
    ///   - timeout: in seconds; nil waits for ever.
    /// - Throws: the daemon's error; `.timeout` or `.daemonNotRunning` if no answer came: the call may have been
    ///   carried out all the same.
    public func call<M: Method>(
        _ method: M.Type, _ params: M.Params, timeout: Double? = 60
    ) throws(UserError) -> M.Result {
        let json: JSONValue
        do {
            json = try JSONValue(encoding: params)
        } catch {
            throw UserError(.internalError, "the parameters of \(M.name) cannot be written")
        }
        let result = try call(M.name, json, timeout: timeout)
        do {
            return try M.Result(json: result)
        } catch {
            throw UserError(
                .internalError, "the answer to \(M.name) cannot be understood",
                hint: "are imctl and imd of the same version? see \"imctl status\"")
        }
    }

    /// Calls a method by name and gives its result as it came.
    ///
    /// - Throws: as the typed form.
    public func call(_ method: String, _ params: JSONValue, timeout: Double? = 60) throws(UserError)
        -> JSONValue
    {
        let id = try request(method, params)
        let deadline = timeout.map { Deadline(seconds: $0) }
        while let incoming = try next(deadline) {
            switch incoming {
            case .notification(let method, let params): keep(method, params)
            case .response(id, let result): return try result.get()
            // An error that belongs to no request can only be about ours: nothing else is under way.
            case .response(.null, .failure(let error)): throw error
            case .response: continue
            }
        }
        throw UserError(.timeout, "imd did not answer \(method) in time")
    }

    /// The next event or mark.
    ///
    /// - Parameter timeout: in seconds; 0 gives what is there already, nil waits for ever.
    /// - Returns: nil when the time is over.
    /// - Throws: `.daemonNotRunning` when imd closed the connection.
    public func nextNotification(timeout: Double?) throws(UserError) -> Notification? {
        let deadline = timeout.map { Deadline(seconds: $0) }
        while true {
            if waitingStart < waiting.count {
                defer {
                    waitingStart += 1
                    if waitingStart == waiting.count {
                        waiting.removeAll(keepingCapacity: true)
                        waitingStart = 0
                    }
                }
                return waiting[waitingStart]
            }
            guard let incoming = try next(deadline) else { return nil }
            if case .notification(let method, let params) = incoming { keep(method, params) }
        }
    }

    /// For programs that look after other descriptors as well: readable when there is something to read.
    public var descriptor: Int32 { socket }

    /// Sends a request and does not wait: `nextAnswer` has what comes of it. Answers come in the order of requests.
    ///
    /// - Throws: `.daemonNotRunning`, `.tooLarge`.
    public func begin<M: Method>(_: M.Type, _ params: M.Params) throws(UserError) {
        guard let json = try? JSONValue(encoding: params) else {
            throw UserError(.internalError, "the parameters of \(M.name) cannot be written")
        }
        try request(M.name, json)
    }

    /// The next answer to what was begun; notifications are kept for `nextNotification`.
    ///
    /// - Parameter timeout: in seconds; 0 gives what is there already, nil waits for ever.
    /// - Returns: nil when the time is over.
    /// - Throws: `.daemonNotRunning` when imd closed the connection.
    public func nextAnswer(timeout: Double?) throws(UserError) -> Result<JSONValue, UserError>? {
        let deadline = timeout.map { Deadline(seconds: $0) }
        while let incoming = try next(deadline) {
            switch incoming {
            case .notification(let method, let params): keep(method, params)
            case .response(_, let result): return result
            }
        }
        return nil
    }

    @discardableResult
    private func request(_ method: String, _ params: JSONValue) throws(UserError) -> RequestID {
        lastID += 1
        let id = RequestID.integer(lastID)
        let line = Request(id: id, method: method, params: params).line
        guard line.count <= maxLineLength + 1 else {
            throw UserError(.tooLarge, "the request is longer than \(maxLineLength) bytes")
        }
        try write(line)
        return id
    }

    private func keep(_ method: String, _ params: JSONValue) {
        if let notification = Notification(method, params) { waiting.append(notification) }
    }

    private func next(_ deadline: Deadline?) throws(UserError) -> Incoming? {
        while true {
            switch lines.next() {
            case .line(let line): return try Incoming(line: line)
            case .tooLong: throw UserError(.tooLarge, "imd answered with more than can be read")
            case nil: guard try read(deadline) else { return nil }
            }
        }
    }

    /// - Returns: false when the time is over.
    private func read(_ deadline: Deadline?) throws(UserError) -> Bool {
        var descriptors = [pollfd(fd: socket, events: Int16(POLLIN), revents: 0)]
        // No events asked for: only errors and hang-ups are told. A negative descriptor is ignored.
        descriptors.append(pollfd(fd: watched ?? -1, events: 0, revents: 0))
        while true {
            let ready = poll(&descriptors, 2, deadline?.milliseconds ?? -1)
            if descriptors[1].revents & Int16(POLLERR | POLLHUP) != 0 {
                throw UserError(.inputOutput, "the other end of standard output has gone away")
            }
            if ready > 0 { break }
            if ready == 0 {
                if deadline?.isOver ?? false { return false }
            } else if errno != EINTR {
                throw SocketPath.broken(errno)
            }
        }
        while true {
            let count = chunk.withUnsafeMutableBytes { recv(socket, $0.baseAddress, $0.count, 0) }
            if count > 0 {
                chunk.withUnsafeBytes { lines.append(UnsafeRawBufferPointer(rebasing: $0[0..<count])) }
                return true
            }
            if count == 0 {
                throw SocketPath.closed
            }
            if errno != EINTR { throw SocketPath.broken(errno) }
        }
    }

    private func write(_ line: [UInt8]) throws(UserError) {
        var sent = 0
        while sent < line.count {
            let count = line.withUnsafeBytes { buffer in
                send(socket, buffer.baseAddress.map { $0 + sent }, buffer.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count >= 0 {
                sent += count
            } else if errno != EINTR {
                throw SocketPath.broken(errno)
            }
        }
    }
}

/// A moment on the monotonic clock.
private struct Deadline {
    private let end: Int64  // milliseconds

    init(seconds: Double) { end = Self.now &+ Int64((seconds * 1000).clamped(to: 0...1e15)) }

    private static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    var isOver: Bool { end <= Self.now }

    /// For poll(2): rounded so that waking up means the time is over.
    var milliseconds: Int32 { Int32((end - Self.now).clamped(to: 0...Int64(Int32.max))) }
}
