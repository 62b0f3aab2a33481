// Tells when the machine's network has changed: an address or a default route has come or gone.
import CLinux
import Foundation
import Logging
import NIOCore
import NIOPosix

/// Listens to the kernel, so nothing runs while nothing happens.
final class NetworkMonitor: Sendable {
    /// One element for each change, however many reports the kernel made of it. Changes that nobody has waited
    /// for count as one. Ends with `close`.
    let changes: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation
    private let channel: EventLoopFuture<any Channel>?

    /// Where the kernel does not let us listen (a sandbox), there are no changes, and connections rely on their
    /// own time limits.
    init(log: Logger, settling time: TimeAmount = .milliseconds(250)) {
        let (changes, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        self.changes = changes
        self.continuation = continuation
        let descriptor = clinux_watch_network()
        guard descriptor >= 0 else {
            log.notice(
                "changes of the network go unnoticed",
                metadata: ["error": "\(String(cString: strerror(errno)))"])
            channel = nil
            return
        }
        let opening = NIOPipeBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = NetworkChangeHandler(settling: time) {
                        log.info("the network has changed")
                        continuation.yield()
                    }
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .takingOwnershipOfDescriptor(input: descriptor)
        opening.whenFailure { error in
            Foundation.close(descriptor)
            log.notice("changes of the network go unnoticed", metadata: ["error": "\(error)"])
        }
        channel = opening
    }

    func close() {
        continuation.finish()
        channel?.whenSuccess { $0.close(promise: nil) }
    }

    /// Whether a connection from this address can still get answers: some interface has the address.
    static func hasLocalAddress(_ address: SocketAddress) -> Bool {
        guard let wanted = address.ipAddress else { return true }
        var isFound = false
        let isKnown = NetworkInterfaces.forEach { interface in
            if !isFound { isFound = NetworkInterfaces.address(of: interface)?.ipAddress == wanted }
        }
        return isFound || !isKnown
    }
}

/// Looks at the state of the network some time after the first report of a change.
private final class NetworkChangeHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let time: TimeAmount
    private let changed: @Sendable () -> Void
    private var state = NetworkState()
    private var isSettling = false

    init(settling time: TimeAmount, changed: @escaping @Sendable () -> Void) {
        self.time = time
        self.changed = changed
    }

    func channelActive(context: ChannelHandlerContext) { state = .current() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isSettling else { return }
        isSettling = true
        context.eventLoop.assumeIsolated().scheduleTask(in: time) { self.settle() }
    }

    private func settle() {
        isSettling = false
        let new = NetworkState.current()
        guard new != state else { return }
        state = new
        changed()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
