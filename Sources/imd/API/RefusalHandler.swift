// A client too many: it is told so, and its connection ends.
import LocalAPI
import NIOCore

/// Closes once the client has sent something, so that its request does not fail before it has read the answer, or
/// after a second.
final class RefusalHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private static let line = ByteBuffer(
        bytes: Response.failure(
            .null,
            UserError(
                .busy, "too many programs are connected to imd",
                hint: "end some of them: each reader of events counts")))

    func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        context.writeAndFlush(wrapOutboundOut(Self.line), promise: nil)
        context.close(mode: .output, promise: nil)
        context.read()
        let channel = context.channel
        channel.eventLoop.scheduleTask(in: .seconds(1)) { channel.close(promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.close(promise: nil) }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed? = event as? ChannelEvent { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
