// One API client: its requests begun and answered in order, its subscriptions served beside them.
import LocalAPI
import NIOCore
import Synchronization

final class APISession: Sendable {
    let channel: any Channel
    /// What the client may do; nil for everything.
    let limits: LimitedSocket?
    private let state = Mutex(State())
    private let places: AsyncStream<Void>
    private let place: AsyncStream<Void>.Continuation

    private struct State {
        var isOver = false
        /// Bytes of answers that the client has not taken.
        var untaken = 0
        /// What is to be written, in order; the number of the first of it.
        var places: [Place] = []
        var first = 0
        var outgoing = Outgoing()
        var subscriptions: [Task<Void, Never>] = []
    }

    /// What the event loop has not fetched yet.
    private struct Outgoing {
        var answers: [ByteBuffer] = []
        var readsOn = false

        var isEmpty: Bool { answers.isEmpty && !readsOn }
    }

    /// A request's place among the answers, or that of a reminder to read on.
    private struct Place {
        var request: Task<Void, Never>?
        var output: Output?
    }

    private enum Output {
        case answer(ByteBuffer?, Announcements)
        case readOn
    }

    init(channel: any Channel, limits: LimitedSocket? = nil) {
        self.channel = channel
        self.limits = limits
        (places, place) = AsyncStream<Void>.makeStream()
    }

    /// How many requests of one client may be begun and their answers not taken.
    private static let concurrency = 128

    /// Returns when the client is gone, or has said all it wants and has all its answers.
    ///
    /// A request begins when the one before it is done, or has passed its turn; so sends that a client does not
    /// wait for share a commit, and still keep their order.
    func run(_ lines: AsyncStream<[LineBuffer.Line]>, _ dispatcher: Dispatcher) async {
        channel.closeFuture.whenComplete { _ in self.cancel() }
        for _ in 0..<Self.concurrency { place.yield() }
        var free = places.makeAsyncIterator()
        for await batch in lines {
            for (number, line) in batch.enumerated() {
                // Where nothing has to wait, nothing else would let other clients have the thread.
                if number % 16 == 15 { await Task.yield() }
                await free.next()
                await drain(&free)
                let call = Call(session: self, turn: Turn(), announcements: Announcements())
                begin(line, call, dispatcher)
                await call.turn.isPassed()
            }
            settle(reserve(), .readOn)
        }
        // With all places free, the client has taken all answers.
        for _ in 0..<Self.concurrency { await free.next() }
        for subscription in state.withLock(\.subscriptions) { await subscription.value }
        channel.close(promise: nil)
    }

    /// A client that does not read its answers gets none made beyond this, in bytes.
    private static let maxUntaken = 1 << 20

    /// Waits until most of the answers are taken. All places but our own are free when all of them are.
    private func drain(_ free: inout AsyncStream<Void>.Iterator) async {
        var borrowed = 0
        while borrowed < Self.concurrency - 1, state.withLock({ $0.untaken > Self.maxUntaken }) {
            await free.next()
            borrowed += 1
        }
        for _ in 0..<borrowed { place.yield() }
    }

    /// What a client asked for before it went is begun all the same, like a notification; it only waits for nothing.
    private func begin(_ line: LineBuffer.Line, _ call: Call, _ dispatcher: Dispatcher) {
        let number = reserve()
        // What needs no waiting is answered here and now, without a change of threads.
        let request = Task.immediate {
            let answer = await dispatcher.answer(line, call)
            settle(number, .answer(answer.map { ByteBuffer(bytes: $0) }, call.announcements))
            call.turn.pass()
        }
        let isOver = state.withLock { state in
            if number >= state.first { state.places[number - state.first].request = request }
            return state.isOver
        }
        if isOver { request.cancel() }
    }

    /// - Returns: the number of the next place.
    private func reserve() -> Int {
        state.withLock { state in
            state.places.append(Place())
            return state.first + state.places.count - 1
        }
    }

    /// Hands over what is its turn to be written. A client that reads nothing costs no more memory than its requests
    /// that are begun, and the connection closes behind the last byte: a place is free once its answer was taken.
    private func settle(_ number: Int, _ output: Output) {
        state.withLock { state in
            state.places[number - state.first].output = output
            while let output = state.places.first?.output {
                state.places.removeFirst()
                state.first += 1
                handOver(output, &state)
            }
        }
    }

    private func handOver(_ output: Output, _ state: inout State) {
        let isFirst = state.outgoing.isEmpty
        switch output {
        case .answer(let line?, _):
            state.untaken += line.readableBytes
            state.outgoing.answers.append(line)
        case .answer(nil, _): place.yield()
        case .readOn: state.outgoing.readsOn = true
        }
        if isFirst, !state.outgoing.isEmpty { channel.eventLoop.execute { self.write() } }
        // Last: what a subscription writes comes behind the answer.
        if case .answer(_, let announcements) = output { begin(announcements, &state) }
    }

    /// Answers that were settled while the event loop was busy leave together.
    private func write() {
        let outgoing = state.withLock { state in
            defer { state.outgoing = Outgoing() }
            return state.outgoing
        }
        for answer in outgoing.answers {
            let written = channel.write(APIOutput.bytes(answer))
            written.whenComplete { [self] _ in
                state.withLock { $0.untaken -= answer.readableBytes }
                place.yield()
            }
        }
        channel.flush()
        if outgoing.readsOn { channel.writeAndFlush(APIOutput.readOn, promise: nil) }
    }

    /// The client is gone: nobody is left who waits for anything.
    private func cancel() {
        let (places, subscriptions) = state.withLock { state in
            state.isOver = true
            return (state.places, state.subscriptions)
        }
        for place in places { place.request?.cancel() }
        for subscription in subscriptions { subscription.cancel() }
    }

    /// Nothing overtakes the answer that says where a subscription starts.
    private func begin(_ announcements: Announcements, _ state: inout State) {
        for subscription in announcements.all {
            let task = Task { await subscription.run() }
            state.subscriptions.append(task)
            if state.isOver { task.cancel() }
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
