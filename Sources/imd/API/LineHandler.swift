// One API client's bytes: lines in, answers out, no more read than was answered.
import LocalAPI
import NIOCore

/// What a session tells its channel.
enum APIOutput: Sendable {
    case bytes(ByteBuffer)
    /// The lines read so far are answered.
    case readOn
}

final class LineHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = APIOutput
    typealias OutboundOut = ByteBuffer

    private var buffer = LineBuffer()
    private let lines: AsyncStream<[LineBuffer.Line]>.Continuation
    private var isAnswering = false
    private var atEnd = false

    init(lines: AsyncStream<[LineBuffer.Line]>.Continuation) { self.lines = lines }

    func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        unwrapInboundIn(data).withUnsafeReadableBytes { buffer.append($0) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if !isAnswering { readOn(context) }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .bytes(let bytes):
            context.write(wrapOutboundOut(bytes), promise: promise)
        case .readOn:
            isAnswering = false
            readOn(context)
            promise?.succeed()
        }
    }

    /// A client that has said all it wants still gets its answers (`nc -N`).
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed? = event as? ChannelEvent {
            atEnd = true
            if !isAnswering { readOn(context) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    /// Also where the channel is closed before it was active.
    func handlerRemoved(context: ChannelHandlerContext) { lines.finish() }

    func channelInactive(context: ChannelHandlerContext) {
        lines.finish()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func readOn(_ context: ChannelHandlerContext) {
        var complete: [LineBuffer.Line] = []
        while let line = buffer.next() { complete.append(line) }
        if atEnd, let last = buffer.finish() { complete.append(last) }
        if !complete.isEmpty {
            isAnswering = true
            lines.yield(complete)
        } else if atEnd {
            lines.finish()
        } else {
            context.read()
        }
    }
}
