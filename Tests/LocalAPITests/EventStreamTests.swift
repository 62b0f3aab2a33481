// The stream of events against a small server in the same process: nothing lost, nothing twice, through restarts.

import Foundation
import LocalAPI
import Testing

@testable import LocalAPI

/// Takes the subscription of consumer `c` and sends the events after its place.
private func subscribe(_ daemon: FakeDaemon, after: Int64, last: Int64) throws -> Peer {
    let peer = try daemon.accept()
    let params = try peer.answer(EventSubscribe.self, .init(consumer: "c", after: after, last: last))
    #expect(params.consumer == "c")
    if after < last { peer.send(((after + 1)...last).flatMap { messageLine($0) }) }
    peer.send(Response.caughtUp(number: last))
    return peer
}

/// Answers acknowledgements until this one comes.
private func acknowledged(_ number: Int64, _ peer: Peer) throws {
    while try peer.answer(EventAck.self, Empty()).number < number {}
}

struct EventStreamTests {
    private let daemon: FakeDaemon
    private let imd: AsyncClient

    init() throws {
        daemon = try FakeDaemon()
        imd = AsyncClient(daemon.place)
    }

    @Test func `an event is acknowledged when the next one is asked for, and not before`() async throws {
        let played = playing { [daemon] in
            let peer = try subscribe(daemon, after: 0, last: 1)
            #expect(peer.request(within: 0.3) == nil, "the first is being worked on")
            peer.send(messageLine(2))
            try acknowledged(1, peer)
            #expect(peer.request(within: 0.3) == nil, "the second is being worked on")
        }
        var events = imd.events(consumer: "c").makeAsyncIterator()
        let first = try #require(try await events.next())
        #expect(first.number == 1 && first.type == "message")
        guard case .message(let message)? = first.detail else { return #expect(Bool(false)) }
        #expect(message.body == "text 1")
        try await Task.sleep(for: .milliseconds(500))
        #expect(try await events.next()?.number == 2)
        try await played.value
    }

    @Test func `after a restart nothing is lost and nothing is shown twice`() async throws {
        let played = playing { [daemon] in
            let first = try subscribe(daemon, after: 0, last: 3)
            try acknowledged(2, first)
            daemon.stop()
            first.hangUp()
            usleep(300_000)
            try daemon.start()
            // The third was shown and not acknowledged: it comes again.
            let second = try subscribe(daemon, after: 2, last: 5)
            try acknowledged(5, second)
        }
        var numbers: [Int64] = []
        for try await event in imd.events(consumer: "c") {
            numbers.append(event.number)
            if event.number == 3 { try await Task.sleep(for: .milliseconds(200)) }
            if event.number == 5 {
                try await event.acknowledge()
                break
            }
        }
        #expect(numbers == [1, 2, 3, 4, 5])
        try await played.value
    }

    @Test func `an acknowledgement by hand is stored when it returns, through a restart too`() async throws {
        let played = playing { [daemon] in
            let first = try subscribe(daemon, after: 0, last: 2)
            let request = try #require(first.request())
            #expect(request.method == "event.ack" && request.params["number"] == .integer(2))
            first.hangUp()
            let second = try subscribe(daemon, after: 0, last: 2)
            try acknowledged(2, second)
            #expect(second.request(within: 0.3) == nil, "nothing else is acknowledged")
        }
        var events = imd.events(consumer: "c", acknowledging: .byHand).makeAsyncIterator()
        _ = try await events.next()
        let second = try #require(try await events.next())
        try await second.acknowledge()
        try await played.value
        try await second.acknowledge()
    }

    @Test func `what is newer than this version does not end the stream`() async throws {
        let played = playing { [daemon] in
            let peer = try subscribe(daemon, after: 0, last: 0)
            let at = Timestamp(milliseconds: 0)
            peer.send(
                Event.line(number: 1, type: "reaction", account: nil, at: at, payload: #"{"emoji":"x"}"#.utf8)
                    + Event.line(
                        number: 2, type: "presence", account: "a@b", at: at,
                        payload: #"{"from":"b@c","show":"asleep"}"#.utf8)
                    + Array("{\"jsonrpc\":\"2.0\",\"method\":\"news\",\"params\":{}}\n".utf8) + messageLine(3)
            )
            try acknowledged(2, peer)
        }
        var events = imd.events(consumer: "c").makeAsyncIterator()
        let first = try #require(try await events.next())
        #expect(first.type == "reaction" && first.event == nil && first.json["emoji"] == "x")
        let second = try #require(try await events.next())
        #expect(second.type == "presence" && second.detail == nil)
        #expect(try await events.next()?.number == 3)
        try await played.value
    }

    @Test func `without a consumer it goes on behind the last one shown`() async throws {
        let played = playing { [daemon] in
            let first = try daemon.accept()
            let params = try first.answer(EventSubscribe.self, .init(consumer: nil, after: 7, last: 7))
            #expect(params.since == nil && params.types == ["message"] && params.chat == "b@c")
            first.send(messageLine(9))
            first.hangUp()
            let second = try daemon.accept()
            let again = try second.answer(EventSubscribe.self, .init(consumer: nil, after: 9, last: 12))
            #expect(again.since == 9)
            second.send(messageLine(12))
            #expect(second.request(within: 0.3) == nil, "nobody acknowledges")
        }
        var events = imd.events(types: [.message], chat: "b@c").makeAsyncIterator()
        #expect(try await events.next()?.number == 9)
        #expect(try await events.next()?.number == 12)
        try await played.value
    }

    @Test func `a reader that stops is not read for`() async throws {
        let played = playing { [daemon] in
            let peer = try daemon.accept()
            try peer.answer(EventSubscribe.self, .init(consumer: nil, after: 0, last: 0))
            _ = fcntl(peer.descriptor, F_SETFL, O_NONBLOCK)
            let line = messageLine(1, String(repeating: "x", count: 60_000))
            var sent = 0
            var idle = 0
            while idle < 20, sent < 64 << 20 {
                let count = Glibc.send(peer.descriptor, line, line.count, Int32(MSG_NOSIGNAL))
                if count > 0 { sent += count } else { idle += 1 }
                if count <= 0 { usleep(20_000) }
            }
            return (peer, sent)
        }
        var events = imd.events(window: 4).makeAsyncIterator()
        #expect(try await events.next()?.number == 1)
        let (peer, sent) = try await played.value
        #expect(sent < 2 << 20, "what the kernel holds, and a window")
        withExtendedLifetime(peer) {}
        _ = events
    }

    @Test func `who stops asking ends the subscription, and can still acknowledge`() async throws {
        let played = playing { [daemon] in
            let peer = try subscribe(daemon, after: 0, last: 2)
            #expect(peer.request() == nil, "the connection has ended")
            try acknowledged(1, try daemon.accept())
        }
        let kept = try await first(imd.events(consumer: "c"))
        try await Task.sleep(for: .milliseconds(200))
        try await kept.acknowledge()
        try await played.value
    }

    private func first(_ events: EventStream) async throws -> ReceivedEvent {
        for try await event in events { return event }
        throw UserError(.internalError, "a stream has no end")
    }

    @Test func `a cancelled reader ends, also while imd is away`() async throws {
        let played = playing { [daemon] in
            let peer = try subscribe(daemon, after: 0, last: 1)
            try acknowledged(1, peer)
            daemon.stop()
            return peer
        }
        let reader = Task { [imd] in for try await _ in imd.events(consumer: "c", patience: nil) {} }
        let peer = try await played.value
        let idle = Task { [imd] in for try await _ in imd.events(patience: nil) {} }
        #expect(
            await code { try await idle.value } == .daemonNotRunning, "the first connection is not waited for"
        )
        peer.hangUp()
        try await Task.sleep(for: .milliseconds(300))
        reader.cancel()
        await #expect(throws: CancellationError.self) { try await reader.value }
    }

    @Test func `an imd that stays away is told`() async throws {
        let played = playing { [daemon] in
            let peer = try subscribe(daemon, after: 0, last: 0)
            daemon.stop()
            peer.hangUp()
        }
        var events = imd.events(consumer: "c", patience: .milliseconds(300)).makeAsyncIterator()
        let error = await #expect(throws: UserError.self) { try await events.next() }
        #expect(error?.code == .daemonNotRunning)
        try await played.value
    }

    @Test func `a refused subscription or acknowledgement is told`() async throws {
        let played = playing { [daemon] in
            try daemon.accept().refuse(EventSubscribe.self, UserError(.conflict, "connected already"))
            let peer = try subscribe(daemon, after: 0, last: 1)
            try peer.refuse(EventAck.self, UserError(.noSuchConsumer, "gone"))
        }
        var refused = imd.events(consumer: "c").makeAsyncIterator()
        #expect(await code { _ = try await refused.next() } == .conflict)
        var events = imd.events(consumer: "c").makeAsyncIterator()
        _ = try await events.next()
        #expect(await code { _ = try await events.next() } == .noSuchConsumer)
        try await played.value
    }
}

struct EventProgressTests {
    /// Which of them are handed out.
    private func shown(_ numbers: [Int64], _ progress: inout EventProgress) -> [Int64] {
        numbers.filter { progress.received($0) }
    }

    @Test func `what was shown is not shown again, and what was done is due once`() {
        var progress = EventProgress()
        progress.subscribed(after: 4, last: 9)
        #expect(progress.due == nil && progress.position == 4)
        let first = shown([5, 7, 7, 6], &progress)
        #expect(first == [5, 7])
        progress.finished(5)
        #expect(progress.due == 5)
        progress.confirmed(5)
        #expect(progress.due == nil)
        progress.finishedAll()
        progress.subscribed(after: 5, last: 9)
        let second = shown([7, 8], &progress)
        #expect(progress.due == 7 && second == [8])
    }

    @Test func `the end of the old events is due when all before it is done`() {
        var progress = EventProgress()
        progress.subscribed(after: 0, last: 9)
        let first = shown([3], &progress)
        progress.caughtUp(9)
        #expect(first == [3] && progress.due == nil)
        progress.finishedAll()
        progress.caughtUp(9)
        #expect(progress.due == 9)
    }

    @Test(arguments: [(after: 2, last: 20), (after: 10, last: 11)] as [(after: Int64, last: Int64)])
    func `an older log, or a place set back, starts anew`(_ place: (after: Int64, last: Int64)) {
        var progress = EventProgress()
        progress.subscribed(after: 5, last: 12)
        let first = shown([12], &progress)
        progress.finishedAll()
        progress.confirmed(10)
        progress.subscribed(after: place.after, last: place.last)
        let second = shown([place.after + 1], &progress)
        #expect(first == [12] && second == [place.after + 1] && progress.due == nil)
    }
}
