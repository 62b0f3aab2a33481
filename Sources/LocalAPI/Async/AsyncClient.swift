// The client for async code: calls that share a connection, and streams of events.

import Synchronization

/// A client of imd for programs that use Swift's concurrency; any number of tasks may share one.
///
/// It connects when it is first used, and again when imd was restarted. No task ever blocks a thread of the
/// concurrency runtime.
///
/// ```swift
/// let imd = try AsyncClient()
/// let sent = try await imd.call(
///     MessageSend.self, .init(to: "ops@example.org", body: "deploy done", id: "deploy-7", wait: .server))
/// ```
public final class AsyncClient: Sendable {
    let place: SocketPath
    private let link = Mutex<Link?>(nil)

    /// A client of the imd that listens at `place`.
    public init(_ place: SocketPath) { self.place = place }

    /// A client of this user's imd: by `IMD_SOCKET`, else below `XDG_RUNTIME_DIR`.
    ///
    /// - Throws: `.configuration` if the environment says neither.
    public convenience init() throws(UserError) { self.init(try .current()) }

    deinit { close() }

    /// Ends the connection; calls under way throw `.daemonNotRunning`. The next call connects again.
    public func close() {
        link.withLock { link in
            link?.close()
            link = nil
        }
    }

    /// Calls a method and waits for its answer.
    ///
    /// Calls from several tasks share a connection. imd answers in the order they were made: one that waits, as
    /// `message.send` with `wait` does, delays those behind it; give it a client of its own.
    ///
    /// - Parameters:
    ///   - method: one of the API's, such as `MessageSend.self`.
    ///   - params: what it is called with.
    ///   - timeout: nil waits for ever.
    ///   - patience: how long to try again while imd is away, as it is when it is restarted. Only for what may be done
    ///     twice: a message needs an `id`.
    /// - Throws: the daemon's `UserError`; `.timeout` or `.daemonNotRunning` if no answer came, and
    ///   `CancellationError` if the task was cancelled: the call may have been carried out all the same. To send again
    ///   without sending twice, give the message an `id`.
    public func call<M: Method>(
        _ method: M.Type, _ params: M.Params, timeout: Duration? = .seconds(60), patience: Duration = .zero
    ) async throws -> M.Result {
        let json: JSONValue
        do {
            json = try JSONValue(encoding: params)
        } catch {
            throw UserError(.internalError, "the parameters of \(M.name) cannot be written")
        }
        let result = try await call(M.name, json, timeout: timeout, patience: patience)
        do {
            return try M.Result(json: result)
        } catch {
            throw UserError(
                .internalError, "the answer to \(M.name) cannot be understood",
                hint: "are this program and imd of the same version?")
        }
    }

    /// Calls a method by name and gives its result as it came.
    ///
    /// - Throws: as the typed form; `.usage` for `event.subscribe`, which needs
    ///   ``events(consumer:since:types:account:chat:window:acknowledging:patience:)``.
    public func call(
        _ method: String, _ params: JSONValue = [:], timeout: Duration? = .seconds(60),
        patience: Duration = .zero
    ) async throws -> JSONValue {
        guard method != EventSubscribe.name else {
            throw UserError(.usage, "event.subscribe needs a connection of its own", hint: "use events()")
        }
        let deadline = ContinuousClock.now + patience
        var pauses = Pauses()
        var random = SystemRandomNumberGenerator()
        while true {
            try Task.checkCancellation()
            do {
                return try await connected().call(method, params, timeout: timeout)
            } catch let error as UserError {
                let pause = pauses.next(using: &random)
                guard error.isTemporary, .now + pause < deadline else { throw error }
                try await Task.sleep(for: pause)
            }
        }
    }

    private func connected() throws(UserError) -> Link {
        try link.withLock { link throws(UserError) in
            if let link, link.isOpen { return link }
            let new = try Link(place)
            link = new
            return new
        }
    }

    /// The events of imd's log, in order, also across restarts of imd.
    ///
    /// ```swift
    /// for try await event in imd.events(consumer: "bot", types: [.message]) {
    ///     guard case .message(let message)? = event.detail, message.direction == .in else { continue }
    ///     print(message.from, message.body)
    /// }
    /// ```
    ///
    /// A consumer goes on after the last event it has acknowledged, also in another process: what was not acknowledged
    /// comes again there. Within one stream no event comes twice. Nothing is asked of imd until the first event is
    /// asked for, and each iteration is a connection of its own.
    ///
    /// - Parameters:
    ///   - consumer: name of a durable consumer; only one stream can use it at a time.
    ///   - since: without a consumer: begins after the event with this number, 0 for all; nil for new ones only.
    ///   - types: only these.
    ///   - account: bare JID; only its events.
    ///   - chat: bare JID; only its events.
    ///   - window: how many events may be on the way or unacknowledged, 1 to 10000; more than that are not read.
    ///   - acknowledging: when an event counts as done.
    ///   - patience: how long a restart of imd may take before the stream throws; nil waits for ever. The first
    ///     connection is not waited for.
    public func events(
        consumer: String? = nil, since: Int64? = nil, types: [EventType]? = nil, account: String? = nil,
        chat: String? = nil, window: Int = 100,
        acknowledging: EventStream.Acknowledging = .whenNextIsAskedFor,
        patience: Duration? = .seconds(60)
    ) -> EventStream {
        EventStream(
            place: place,
            params: .init(
                consumer: consumer, since: since, types: types?.map(\.rawValue), account: account, chat: chat,
                window: window),
            acknowledging: acknowledging, patience: patience)
    }
}
