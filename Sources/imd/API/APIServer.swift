// The Unix socket: bound where only the user can reach it, every client's uid checked.
import Foundation
import LocalAPI
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

struct APIServer: Service {
    let socket: SocketPath
    let dispatcher: Dispatcher
    let group: any EventLoopGroup
    let log: Logger
    private let sessions = Sessions()

    init(socket: SocketPath, dispatcher: Dispatcher, group: any EventLoopGroup, log: Logger) {
        self.socket = socket
        self.dispatcher = dispatcher
        self.group = group
        self.log = log
    }

    /// Serves until the daemon shuts down; then the socket is gone, and so are the clients.
    func run() async throws {
        let channel = try await bind()
        log.info("listening", metadata: ["socket": "\(socket.path)"])
        try await withGracefulShutdownHandler {
            try await channel.closeFuture.get()
        } onGracefulShutdown: {
            channel.close(promise: nil)
        }
        unlink(socket.path)
        await sessions.end()
    }

    private func bind() async throws -> any Channel {
        try refuseSecond()
        unlink(socket.path)
        let dispatcher = dispatcher
        let log = log
        let sessions = sessions
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                Self.checkPeer(channel, log).flatMapThrowing {
                    let (lines, continuation) = AsyncStream<[LineBuffer.Line]>.makeStream()
                    try channel.pipeline.syncOperations.addHandler(LineHandler(lines: continuation))
                    let session = APISession(channel: channel)
                    sessions.add(session)
                    Task {
                        await session.run(lines, dispatcher)
                        sessions.remove(session)
                    }
                }
            }
            .bind(unixDomainSocketPath: socket.path).get()
        chmod(socket.path, 0o600)
        return channel
    }

    /// Another imd with its data elsewhere may own the socket; a dead one's socket refuses connections.
    private func refuseSecond() throws(UserError) {
        guard (try? Client(socket)) != nil else { return }
        throw UserError(
            .conflict, "another imd already listens on \(socket.path)",
            hint: "use it: imctl status; or stop it first")
    }

    private struct Peer {
        var pid: Int32 = 0
        var uid: UInt32 = 0
        var gid: UInt32 = 0
    }

    /// Modes keep others out; this holds even after somebody opened the folder.
    private static func checkPeer(_ channel: any Channel, _ log: Logger) -> EventLoopFuture<Void> {
        guard let options = channel as? any SocketOptionProvider else {
            return channel.eventLoop.makeFailedFuture(ChannelError.operationUnsupported)
        }
        let level = NIOBSDSocket.OptionLevel(rawValue: SOL_SOCKET)
        let credentials = NIOBSDSocket.Option(rawValue: SO_PEERCRED)
        let peer: EventLoopFuture<Peer> = options.unsafeGetSocketOption(level: level, name: credentials)
        return peer.flatMapThrowing { peer in
            guard peer.uid == geteuid() else {
                log.warning("a client of another user was refused", metadata: ["uid": "\(peer.uid)"])
                throw ChannelError.inappropriateOperationForState
            }
        }
    }
}

/// The clients that are served.
private final class Sessions: Sendable {
    private let sessions = Mutex<[ObjectIdentifier: APISession]>([:])

    func add(_ session: APISession) {
        sessions.withLock { $0[ObjectIdentifier(session)] = session }
    }

    func remove(_ session: APISession) {
        sessions.withLock { $0[ObjectIdentifier(session)] = nil }
    }

    /// Closes all connections and returns when their requests are done, or after 150 ms: one that waits for a
    /// server ends with its account's connection.
    func end() async {
        for session in sessions.withLock({ Array($0.values) }) { session.channel.close(promise: nil) }
        let deadline = ContinuousClock.now + .milliseconds(150)
        while !sessions.withLock(\.isEmpty), ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(5))
        }
    }
}
