// Serves the clients of one socket of the API: every one's uid checked, no more than there is room for.
import Foundation
import LocalAPI
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

struct APIServer: Service {
    private let place: SocketPath
    private let inherited: ListeningSocket?
    private let limits: LimitedSocket?
    private let dispatcher: Dispatcher
    private let group: any EventLoopGroup
    private let log: Logger
    private let onServing: @Sendable () -> Void
    private let sessions: Sessions

    /// - Parameters:
    ///   - inherited: what a service manager handed over; without it a socket is bound at `place`.
    ///   - access: what its clients may do; nil for everything.
    ///   - onServing: called once clients are answered.
    init(
        place: SocketPath, inherited: ListeningSocket?, access: Access? = nil, dispatcher: Dispatcher,
        group: any EventLoopGroup, log: Logger, onServing: @escaping @Sendable () -> Void = {}
    ) {
        self.onServing = onServing
        self.place = place
        self.inherited = inherited
        limits = access.map { LimitedSocket($0) }
        self.dispatcher = dispatcher
        self.group = group
        self.log = log
        // The other half is for the database, the accounts, and for telling clients that there is no room.
        let most = access == nil ? 4096 : LimitedSocket.clients
        sessions = Sessions(limit: min(most, Int(clamping: Hardening.fileLimit().rlim_cur / 2)))
    }

    /// Serves until the daemon shuts down; then the socket is gone, and so are the clients.
    func run() async throws {
        let socket = try inherited ?? ListeningSocket.bind(at: place)
        let channel = try await serve(socket)
        log.info("listening", metadata: ["socket": "\(socket.path)", "inherited": "\(socket.isInherited)"])
        onServing()
        try await withTaskCancellationHandler {
            try await withGracefulShutdownHandler {
                try await channel.closeFuture.get()
            } onGracefulShutdown: {
                channel.close(promise: nil)
            }
        } onCancel: {  // another service failed
            channel.close(promise: nil)
        }
        socket.remove()
        await sessions.end()
    }

    private func serve(_ socket: ListeningSocket) async throws -> any Channel {
        let dispatcher = dispatcher
        let log = log
        let sessions = sessions
        let limits = limits
        let channel = try await ServerBootstrap(group: group)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                Self.checkPeer(channel, log).flatMapThrowing {
                    let session = APISession(channel: channel, limits: limits)
                    guard sessions.add(session) else {
                        log.debug("a client was refused: there are too many")
                        try channel.pipeline.syncOperations.addHandler(RefusalHandler())
                        return
                    }
                    let (lines, continuation) = AsyncStream<[LineBuffer.Line]>.makeStream()
                    try channel.pipeline.syncOperations.addHandler(LineHandler(lines: continuation))
                    Task {
                        await session.run(lines, dispatcher)
                        sessions.remove(session)
                    }
                }
            }
            .withBoundSocket(socket.descriptor).get()
        // The bootstrap asks for 128.
        listen(socket.descriptor, ListeningSocket.backlog)
        return channel
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
    private let limit: Int
    private let sessions = Mutex<[ObjectIdentifier: APISession]>([:])

    init(limit: Int) { self.limit = limit }

    /// - Returns: false where there is no room for one more.
    func add(_ session: APISession) -> Bool {
        sessions.withLock { sessions in
            guard sessions.count < limit else { return false }
            sessions[ObjectIdentifier(session)] = session
            return true
        }
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
