// Tells when something in a folder has changed: a file has come, gone, or got other contents or another mode.
import CLinux
import Foundation
import NIOCore
import NIOPosix

/// Listens to the kernel, so nothing runs while nothing happens.
final class FolderWatch: Sendable {
    private let channel: EventLoopFuture<any Channel>

    /// - Parameter changed: called once for changes that come together.
    /// - Returns: nil where there is no such folder, or the kernel does not let us listen.
    init?(
        _ path: String, settling time: TimeAmount = .milliseconds(200),
        changed: @escaping @Sendable () -> Void
    ) {
        let descriptor = clinux_watch_folder(path)
        guard descriptor >= 0 else { return nil }
        channel = NIOPipeBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        FolderChangeHandler(settling: time, changed: changed))
                }
            }
            .takingOwnershipOfDescriptor(input: descriptor)
        channel.whenFailure { _ in Foundation.close(descriptor) }
    }

    func close() { channel.whenSuccess { $0.close(promise: nil) } }
}

/// What changed does not matter: who is told looks at the whole folder.
private final class FolderChangeHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let time: TimeAmount
    private let changed: @Sendable () -> Void
    private var isSettling = false

    init(settling time: TimeAmount, changed: @escaping @Sendable () -> Void) {
        self.time = time
        self.changed = changed
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isSettling else { return }
        isSettling = true
        context.eventLoop.assumeIsolated().scheduleTask(in: time) {
            self.isSettling = false
            self.changed()
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
