// What a link's thread and its callers share, and the bytes on their way out.

#if canImport(Glibc)
    import Glibc
#endif

/// Each method changes the state and gives back whom to tell; nobody is told while the lock is held.
struct LinkState: Sendable {
    var isClosing = false
    private(set) var failure: UserError?

    private let window: Int
    private var lastID: Int64 = 0
    private var calls: [Int64: Link.Call] = [:]
    private var unwritten: [(id: Int64, line: [UInt8])] = []
    private var notifications: [Client.Notification] = []
    private var firstNotification = 0
    private var reader: CheckedContinuation<Client.Notification, any Error>?
    /// No call's time is over before this.
    private var nearest: ContinuousClock.Instant?

    init(window: Int) { self.window = window }

    mutating func nextID() -> Int64 {
        lastID += 1
        return lastID
    }

    // MARK: Calls

    /// - Returns: why it cannot begin.
    mutating func begin(_ call: Link.Call, _ line: [UInt8]) -> UserError? {
        if let failure { return failure }
        if isClosing { return SocketPath.closed }
        calls[call.id] = call
        unwritten.append((call.id, line))
        if let deadline = call.deadline { nearest = min(nearest ?? deadline, deadline) }
        return nil
    }

    mutating func answered(_ id: Int64) -> CheckedContinuation<JSONValue, any Error>? {
        calls.removeValue(forKey: id)?.continuation
    }

    /// Nobody waits for the answer any more; an unwritten request will never be written.
    mutating func withdraw(_ id: Int64) -> CheckedContinuation<JSONValue, any Error>? {
        if let index = unwritten.firstIndex(where: { $0.id == id }) { unwritten.remove(at: index) }
        return answered(id)
    }

    mutating func expired(at now: ContinuousClock.Instant) -> [Link.Call] {
        guard let nearest, nearest <= now else { return [] }
        let over = calls.values.filter { $0.deadline.map { $0 <= now } ?? false }
        for call in over { _ = withdraw(call.id) }
        self.nearest = calls.values.compactMap(\.deadline).min()
        return over
    }

    // MARK: Events

    /// - Returns: who waits for it already.
    mutating func keep(_ notification: Client.Notification) -> CheckedContinuation<
        Client.Notification, any Error
    >? {
        if let reader {
            self.reader = nil
            return reader
        }
        notifications.append(notification)
        return nil
    }

    private var waiting: Int { notifications.count - firstNotification }

    /// The next notification, or a place for the one who waits.
    ///
    /// - Returns: what there is already; and whether there is room again for what was not read.
    mutating func take(
        _ continuation: CheckedContinuation<Client.Notification, any Error>
    ) -> (Result<Client.Notification, any Error>?, readOn: Bool) {
        if waiting > 0 {
            let notification = notifications[firstNotification]
            firstNotification += 1
            let isFullAgain = waiting == window
            if waiting == 0 {
                notifications.removeAll(keepingCapacity: true)
                firstNotification = 0
            }
            return (.success(notification), isFullAgain)
        }
        if let failure { return (.failure(failure), false) }
        if isClosing { return (.failure(SocketPath.closed), false) }
        reader = continuation
        return (nil, false)
    }

    mutating func withdrawReader() -> CheckedContinuation<Client.Notification, any Error>? {
        defer { reader = nil }
        return reader
    }

    // MARK: The thread

    /// What the thread shall do next; the requests go over to it.
    mutating func wanted(
        _ output: inout LinkOutput
    ) -> (reading: Bool, isOver: Bool, deadline: ContinuousClock.Instant?) {
        if output.isEmpty {
            output.take(unwritten.map(\.line))
            unwritten = []
        }
        // One more than the window: the mark that all old events have come. An answer may lie behind more.
        return (waiting <= window || !calls.isEmpty, isClosing, nearest)
    }

    mutating func end(
        _ error: UserError
    ) -> (calls: [Link.Call], reader: CheckedContinuation<Client.Notification, any Error>?) {
        failure = error
        defer {
            calls = [:]
            unwritten = []
        }
        return (Array(calls.values), withdrawReader())
    }
}

/// The requests that are being written.
struct LinkOutput {
    private var bytes: [UInt8] = []
    private var written = 0

    var isEmpty: Bool { written == bytes.count }

    mutating func take(_ lines: [[UInt8]]) {
        bytes = Array(lines.joined())
        written = 0
    }

    /// Writes what the socket takes without waiting.
    mutating func flush(into socket: Int32) throws(UserError) {
        guard !isEmpty else { return }
        let count = bytes.withUnsafeBytes { buffer in
            send(socket, buffer.baseAddress.map { $0 + written }, buffer.count - written, Int32(MSG_NOSIGNAL))
        }
        if count >= 0 {
            written += count
        } else if errno != EINTR, errno != EAGAIN {
            throw SocketPath.broken(errno)
        }
    }
}

extension Client.Notification {
    /// Nil for a notification of another kind.
    init?(_ method: String, _ params: JSONValue) {
        switch method {
        case "event": self = .event(params)
        case "event.caughtUp": self = .caughtUp(number: params["number"]?.integer ?? 0)
        default: return nil
        }
    }
}
