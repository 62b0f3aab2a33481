// The client for async code against a small server in the same process: calls.

import Foundation
import LocalAPI
import Testing

extension FakeDaemon: @unchecked Sendable {}

/// Plays imd on a thread of its own: what blocks must not hold up the tasks of the test.
func playing<T: Sendable>(_ body: @escaping @Sendable () throws -> T) -> Task<T, any Error> {
    Task {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
        }
    }
}

func code(_ body: () async throws -> Void) async -> ErrorCode? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? UserError)?.code
    }
}

private func remove(_ name: String, _ imd: AsyncClient) async throws {
    _ = try await imd.call(ConsumerRemove.self, .init(name: name))
}

/// Answers `consumer.remove` for each name but those that hold an exclamation mark, which fail with the name.
private func answer(_ requests: [Request], _ peer: Peer) {
    for request in requests {
        guard let id = request.id, let name = request.params["name"]?.string else { continue }
        peer.send(
            name.contains("!")
                ? Response.failure(id, UserError(.noSuchConsumer, name)) : Response.success(id, [:]))
    }
}

struct AsyncClientTests {
    @Test func `calls share a connection, and each gets the answer with its id`() async throws {
        let daemon = try FakeDaemon()
        let imd = AsyncClient(daemon.place)
        let played = playing {
            let peer = try daemon.accept()
            let requests = (0..<20).compactMap { _ in peer.request() }
            answer(requests.reversed(), peer)
            return requests.count
        }
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<20 {
                group.addTask {
                    do {
                        try await remove(number % 2 == 0 ? "c\(number)" : "c\(number)!", imd)
                        #expect(number % 2 == 0)
                    } catch {
                        #expect((error as? UserError)?.message == "c\(number)!")
                    }
                }
            }
        }
        #expect(try await played.value == 20)
    }

    @Test func `many calls at once all come back`() async throws {
        let daemon = try FakeDaemon()
        let imd = AsyncClient(daemon.place)
        let count = 3000
        let played = playing {
            let peer = try daemon.accept()
            for _ in 0..<count { if let request = peer.request() { answer([request], peer) } }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<count { group.addTask { try await remove("c\(number)", imd) } }
            try await group.waitForAll()
        }
        try await played.value
    }

    @Test func `a cancelled call ends at once, and its late answer goes to nobody else`() async throws {
        let daemon = try FakeDaemon()
        let imd = AsyncClient(daemon.place)
        let played = playing {
            let peer = try daemon.accept()
            return (peer, [try #require(peer.request())])
        }
        let call = Task { try await remove("late!", imd) }
        let (peer, late) = try await played.value
        call.cancel()
        await #expect(throws: CancellationError.self) { try await call.value }
        let next = playing { answer(late + [try #require(peer.request())], peer) }
        try await remove("next", imd)
        try await next.value
        let cancelled = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try await remove("never", imd)
        }
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        #expect(try await playing { peer.request(within: 0.2) }.value == nil, "nothing was written for it")
    }

    @Test func `no answer in time is a timeout, and the connection goes on`() async throws {
        let daemon = try FakeDaemon()
        let imd = AsyncClient(daemon.place)
        let played = playing {
            let peer = try daemon.accept()
            answer([try #require(peer.request()), try #require(peer.request())], peer)
        }
        let slow = await code {
            _ = try await imd.call(
                ConsumerRemove.self, .init(name: "slow"), timeout: .milliseconds(100))
        }
        #expect(slow == .timeout)
        try await remove("quick", imd)
        try await played.value
    }

    @Test func `a daemon that goes away fails its calls, and the next call finds the new one`() async throws {
        let daemon = try FakeDaemon()
        let imd = AsyncClient(daemon.place)
        let first = playing { try #require(try daemon.accept().request()) }
        #expect(await code { try await remove("one", imd) } == .daemonNotRunning)
        _ = try await first.value
        let second = playing {
            let peer = try daemon.accept()
            answer([try #require(peer.request())], peer)
        }
        try await remove("two", imd)
        try await second.value
        daemon.stop()
        let third = playing {
            usleep(300_000)
            try daemon.start()
            let peer = try daemon.accept()
            answer([try #require(peer.request())], peer)
            daemon.stop()
        }
        _ = try await imd.call(ConsumerRemove.self, .init(name: "patient"), patience: .seconds(20))
        try await third.value
        imd.close()
        #expect(await code { try await remove("three", imd) } == .daemonNotRunning)
    }

    @Test func `an imd with too many clients is busy`() async throws {
        let daemon = try FakeDaemon()
        let imd = AsyncClient(daemon.place)
        let played = playing {
            let peer = try daemon.accept()
            peer.send(Response.failure(.null, UserError(.busy, "too many")))
            _ = peer.request()
        }
        #expect(await code { try await remove("one", imd) } == .busy)
        try await played.value
    }

    @Test func `an answer that makes no sense is an error, not a trap`() async throws {
        for answer in ["nonsense\n", "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"version\":7}}\n"] {
            let daemon = try FakeDaemon()
            let imd = AsyncClient(daemon.place)
            let played = playing {
                let peer = try daemon.accept()
                _ = peer.request()
                peer.send(Array(answer.utf8))
            }
            let error = await code { _ = try await imd.call(DaemonStatus.self, Empty()) }
            #expect(error == .internalError)
            try await played.value
        }
    }

    @Test func `a folder open to others is refused`() async throws {
        let daemon = try FakeDaemon()
        chmod(daemon.place.directory, 0o755)
        let imd = AsyncClient(daemon.place)
        #expect(await code { try await remove("one", imd) } == .unsafeDirectory)
    }

    @Test func `a subscription is not a call`() async throws {
        let imd = AsyncClient(try FakeDaemon().place)
        let error = await code { _ = try await imd.call(EventSubscribe.self, .init(consumer: "c")) }
        #expect(error == .usage)
    }
}
