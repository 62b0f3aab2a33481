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
    private let access: Access?
    private let dispatcher: Dispatcher
    private let group: any EventLoopGroup
    private let log: Logger
    private let onServing: @Sendable () -> Void

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
        self.access = access
        self.dispatcher = dispatcher
        self.group = group
        self.log = log
    }

    /// Serves until the daemon shuts down; then the socket is gone, and so are the clients.
    func run() async throws {
        let serving = try await open()
        onServing()
        try await serving.run()
    }

    /// Clients that connect are answered from now on.
    func open() async throws -> Serving {
        let socket = try inherited ?? ListeningSocket.bind(at: place)
        // The other half is for the database, the accounts, and for telling clients that there is no room.
        let most = access == nil ? 4096 : LimitedSocket.clients
        let sessions = Sessions(
            limit: min(most, Int(clamping: Hardening.fileLimit().rlim_cur / 2)), access: access)
        do {
            let channel = try await serve(socket, sessions)
            log.info(
                "listening", metadata: ["socket": "\(socket.path)", "inherited": "\(socket.isInherited)"])
            return Serving(socket: socket, channel: channel, sessions: sessions)
        } catch {
            socket.remove()
            throw error
        }
    }

    private func serve(_ socket: ListeningSocket, _ sessions: Sessions) async throws -> any Channel {
        let dispatcher = dispatcher
        let log = log
        let channel = try await ServerBootstrap(group: group)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                Self.checkPeer(channel, log).flatMapThrowing {
                    guard let session = sessions.admit(channel) else {
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

/// A socket whose clients are answered.
struct Serving: Sendable {
    fileprivate let socket: ListeningSocket
    fileprivate let channel: any Channel
    fileprivate let sessions: Sessions

    /// A service manager keeps it open, whether it is served or not.
    var isInherited: Bool { socket.isInherited }

    /// Returns when the daemon shuts down, or after `close`, and the clients are gone.
    func run() async throws {
        try await withTaskCancellationHandler {
            try await withGracefulShutdownHandler {
                try await channel.closeFuture.get()
            } onGracefulShutdown: {
                close()
            }
        } onCancel: {  // another service failed
            close()
        }
        await sessions.end()
    }

    /// The file goes first: once this has returned there may be another socket of that name.
    func close() {
        socket.remove()
        channel.close(promise: nil)
    }

    /// Who connects from now on may do this; who is connected has to connect again, and nothing that it has asked for
    /// and is not begun is done any more.
    func limit(to access: Access) { sessions.limit(to: access) }
}

/// The clients that are served.
private final class Sessions: Sendable {
    private let limit: Int
    private let state: Mutex<State>

    private struct State {
        var limits: LimitedSocket?
        var sessions: [ObjectIdentifier: APISession] = [:]
        /// Those that were hung up and still have something under way: they take nobody's place.
        var leaving: [ObjectIdentifier: APISession] = [:]

        mutating func hangUp() {
            for session in sessions.values { session.channel.close(promise: nil) }
            leaving.merge(sessions) { session, _ in session }
            sessions = [:]
        }
    }

    init(limit: Int, access: Access?) {
        self.limit = limit
        state = Mutex(State(limits: access.map { LimitedSocket($0) }))
    }

    /// - Returns: nil where there is no room for one more.
    func admit(_ channel: any Channel) -> APISession? {
        state.withLock { state in
            guard state.sessions.count < limit else { return nil }
            let session = APISession(channel: channel, limits: state.limits)
            state.sessions[ObjectIdentifier(session)] = session
            return session
        }
    }

    func remove(_ session: APISession) {
        state.withLock { state in
            state.sessions[ObjectIdentifier(session)] = nil
            state.leaving[ObjectIdentifier(session)] = nil
        }
    }

    func limit(to access: Access) {
        state.withLock { state in
            state.limits?.revoke()
            state.limits = LimitedSocket(access)
            state.hangUp()
        }
    }

    /// Closes all connections and returns when their requests are done, or after 150 ms: one that waits for a
    /// server ends with its account's connection.
    func end() async {
        state.withLock { $0.hangUp() }
        let deadline = ContinuousClock.now + .milliseconds(150)
        while !state.withLock(\.leaving.isEmpty), ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(5))
        }
    }
}
