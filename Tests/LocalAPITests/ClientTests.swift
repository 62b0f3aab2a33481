// The client against a small server in the same process, over real Unix sockets.

import Foundation
import LocalAPI
import Testing

private func pair() throws -> (Client, Peer) {
    var descriptors: [Int32] = [0, 0]
    try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &descriptors) == 0)
    return (Client(connected: descriptors[0]), Peer(descriptors[1]))
}

private func code(_ body: () throws -> Void) -> ErrorCode? {
    do {
        try body()
        return nil
    } catch {
        return (error as? UserError)?.code
    }
}

struct ClientTests {
    @Test func `a call gets its answer, and events before it are kept in order`() throws {
        let (client, peer) = try pair()
        Thread.detachNewThread {
            guard let request = peer.request(), let id = request.id else { return }
            peer.send(
                Event.line(
                    number: 1, type: "error", account: nil, at: .init(milliseconds: 0), payload: "{}".utf8))
            let answer = Response.success(id, ["consumer": "c", "after": .integer(0), "last": .integer(2)])
            // Cut in the middle: the answer comes in two reads.
            peer.send(Array(answer.prefix(20)))
            usleep(20_000)
            peer.send(Array(answer.dropFirst(20)) + Response.caughtUp(number: 2))
            _ = peer.request()
        }
        let result = try client.call(EventSubscribe.self, .init(consumer: "c"))
        #expect(result == .init(consumer: "c", after: 0, last: 2))
        guard case .event(let json)? = try client.nextNotification(timeout: 5) else {
            return #expect(Bool(false))
        }
        #expect(json["number"] == .integer(1))
        #expect(try client.nextNotification(timeout: 5) == .caughtUp(number: 2))
        #expect(try client.nextNotification(timeout: 0.05) == nil)
    }

    @Test func `the daemon's error comes out as it went in`() throws {
        let (client, peer) = try pair()
        let error = UserError(.noTrustedDevice, "no trusted device for b@c", hint: "h")
        Thread.detachNewThread {
            if let id = peer.request()?.id { peer.send(Response.failure(id, error)) }
        }
        let thrown = #expect(throws: UserError.self) {
            try client.call(MessageSend.self, .init(to: "b@c", body: "x"))
        }
        #expect(thrown == error)
    }

    @Test func `no answer in time is a timeout`() throws {
        let (client, peer) = try pair()
        #expect(code { _ = try client.call(DaemonStatus.self, Empty(), timeout: 0.05) } == .timeout)
        _ = peer
    }

    @Test func `a daemon that goes away is not running`() throws {
        let (client, peer) = try pair()
        shutdown(peer.descriptor, Int32(SHUT_RDWR))
        #expect(code { _ = try client.call(DaemonStatus.self, Empty()) } == .daemonNotRunning)
    }

    @Test func `an answer that makes no sense is an error, not a trap`() throws {
        for answer in ["nonsense\n", "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"version\":7}}\n"] {
            let (client, peer) = try pair()
            peer.send(Array(answer.utf8))
            #expect(code { _ = try client.call(DaemonStatus.self, Empty()) } == .internalError)
        }
    }

    @Test func `no socket, and a socket nobody listens on, mean that imd is not running`() throws {
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let place = try SocketPath(runtimeDirectory: folder)
        #expect(code { _ = try Client(place) } == .daemonNotRunning)
        mkdir(place.directory, 0o700)
        #expect(code { _ = try Client(place) } == .daemonNotRunning)
        close(try listen(on: place.path))
        #expect(code { _ = try Client(place) } == .daemonNotRunning)
    }

    @Test func `a folder that is a link or open to others is refused`() throws {
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let place = try SocketPath(runtimeDirectory: folder)
        mkdir(folder + "/elsewhere", 0o700)
        symlink(folder + "/elsewhere", place.directory)
        #expect(code { _ = try Client(place) } == .unsafeDirectory)
        unlink(place.directory)
        mkdir(place.directory, 0o700)
        chmod(place.directory, 0o777)
        #expect(code { _ = try Client(place) } == .unsafeDirectory)
        chmod(place.directory, 0o700)
        let listener = try listen(on: place.path)
        defer { close(listener) }
        #expect(throws: Never.self) { try Client(place) }
    }

    @Test func `the socket is in XDG_RUNTIME_DIR or nowhere`() throws {
        #expect(try SocketPath(runtimeDirectory: "/run/user/7").path == "/run/user/7/imd/imd.sock")
        #expect(try SocketPath(runtimeDirectory: "/run/user/7//").path == "/run/user/7/imd/imd.sock")
        for wrong in [nil, "", "relative/path", "/" + String(repeating: "x", count: 100)] {
            #expect(code { _ = try SocketPath(runtimeDirectory: wrong) } == .configuration)
        }
    }
}
