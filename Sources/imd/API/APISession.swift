// One API client: its requests begun and answered in order, its subscriptions served beside them.
import LocalAPI
import NIOCore
import Synchronization

final class APISession: Sendable {
    let channel: any Channel
    private let state = Mutex(State())

    private struct State {
        var isOver = false
        var requests: Set<Task<[UInt8]?, Never>> = []
        var subscriptions: [Task<Void, Never>] = []
    }

    private enum Output: Sendable {
        case answer(Task<[UInt8]?, Never>, Announcements)
        case readOn
    }

    init(channel: any Channel) { self.channel = channel }

    /// How many requests of one client may be begun and not answered.
    private static let concurrency = 128

    /// Returns when the client is gone, or has said all it wants and has all its answers.
    ///
    /// A request begins when the one before it is done, or has passed its turn; so sends that a client does not
    /// wait for share a commit, and still keep their order.
    func run(_ lines: AsyncStream<[LineBuffer.Line]>, _ dispatcher: Dispatcher) async {
        channel.closeFuture.whenComplete { _ in self.cancel() }
        let (outputs, output) = AsyncStream<Output>.makeStream()
        let (places, place) = AsyncStream<Void>.makeStream()
        for _ in 0..<Self.concurrency { place.yield() }
        async let written: Void = write(outputs, freeing: place)
        var free = places.makeAsyncIterator()
        for await batch in lines {
            for line in batch {
                await free.next()
                let turn = Turn()
                let call = Call(session: self, turn: turn, announcements: Announcements())
                output.yield(.answer(begin(line, call, dispatcher), call.announcements))
                await turn.isPassed()
            }
            output.yield(.readOn)
        }
        output.finish()
        await written
        for subscription in state.withLock(\.subscriptions) { await subscription.value }
        channel.close(promise: nil)
    }

    /// What a client asked for before it went is begun all the same, like a notification; it only waits for nothing.
    private func begin(
        _ line: LineBuffer.Line, _ call: Call, _ dispatcher: Dispatcher
    ) -> Task<[UInt8]?, Never> {
        let request = Task {
            defer { call.turn.pass() }
            return await dispatcher.answer(line, call)
        }
        let isOver = state.withLock { state in
            state.requests.insert(request)
            return state.isOver
        }
        if isOver { request.cancel() }
        return request
    }

    /// Waits until the client has taken each answer: one that reads nothing costs no more memory than its requests
    /// that are begun, and the connection closes behind the last byte.
    private func write(_ outputs: AsyncStream<Output>, freeing place: AsyncStream<Void>.Continuation) async {
        for await output in outputs {
            switch output {
            case .answer(let request, let announcements):
                if let line = await request.value {
                    do {
                        try await channel.writeAndFlush(APIOutput.bytes(ByteBuffer(bytes: line))).get()
                    } catch {
                        cancel()
                    }
                }
                _ = state.withLock { $0.requests.remove(request) }
                begin(announcements)
                place.yield()
            case .readOn:
                channel.writeAndFlush(APIOutput.readOn, promise: nil)
            }
        }
    }

    /// The client is gone: nobody is left who waits for anything.
    private func cancel() {
        let (requests, subscriptions) = state.withLock { state in
            state.isOver = true
            return (state.requests, state.subscriptions)
        }
        for request in requests { request.cancel() }
        for subscription in subscriptions { subscription.cancel() }
    }

    /// Nothing overtakes the answer that says where a subscription starts.
    private func begin(_ announcements: Announcements) {
        for subscription in announcements.all {
            let task = Task { await subscription.run() }
            let isOver = state.withLock { state in
                state.subscriptions.append(task)
                return state.isOver
            }
            if isOver { task.cancel() }
        }
    }
}

/// What a handler knows of the request beside its parameters.
struct Call: Sendable {
    let session: APISession
    let turn: Turn
    /// Of the line that holds the request.
    let announcements: Announcements

    /// The same for one request of a batch.
    func within(_ turn: Turn) -> Call { Call(session: session, turn: turn, announcements: announcements) }
}

/// The subscriptions that begin when the answer to their line is on the way.
final class Announcements: Sendable {
    private let subscriptions = Mutex<[EventSubscription]>([])

    var all: [EventSubscription] { subscriptions.withLock { $0 } }

    func add(_ subscription: EventSubscription) { subscriptions.withLock { $0.append(subscription) } }
}

/// A request's place in the order of its connection.
final class Turn: Sendable {
    private enum State {
        case held
        case awaited(CheckedContinuation<Void, Never>)
        case passed
    }

    private let state = Mutex(State.held)

    /// What must happen in order has happened: the next request may begin. The first call counts.
    func pass() {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            defer { state = .passed }
            guard case .awaited(let waiter) = state else { return nil }
            return waiter
        }
        waiter?.resume()
    }

    /// Returns once the turn is passed. Called once.
    func isPassed() async {
        await withCheckedContinuation { continuation in
            let isPassed = state.withLock { state in
                if case .passed = state { return true }
                state = .awaited(continuation)
                return false
            }
            if isPassed { continuation.resume() }
        }
    }
}
