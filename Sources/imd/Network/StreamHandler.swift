// Drives one `ClientStream` over one channel: moves bytes, performs actions in order, decides nothing.
import NIOCore
import NIOSSL
import NIOTLS
import XMPP

/// What an account tells its stream.
enum StreamCommand: Sendable {
    /// Finished stanzas, in the order in which they go out.
    case send([[UInt8]])
    /// So many received stanzas are on disk: they may count in `h`, and reading goes on.
    case stored(Int)
    case close
}

/// What a stream tells its account.
enum ConnectionEvent: Sendable {
    case bound(BoundStream, tls: String?)
    /// All stanzas of one read. The stream reads no more until they are `stored`.
    case stanzas([Element])
    /// The server took responsibility for so many more of the stanzas sent.
    case acknowledged(Int)
    /// The last event.
    case closed(ConnectionError)
}

final class StreamHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = StreamCommand
    typealias OutboundOut = ByteBuffer

    private var stream: ClientStream
    private let parser = XMLParser()
    private let tls: TLSSettings
    private let events: AsyncStream<ConnectionEvent>.Continuation
    private var stanzas: [Element] = []
    private var isAwaitingStorage = false
    private var ended = false
    private var deadline: Scheduled<Void>?
    private var tlsVersion: String?

    init(stream: ClientStream, tls: TLSSettings, events: AsyncStream<ConnectionEvent>.Continuation) {
        self.stream = stream
        self.tls = tls
        self.events = events
    }

    // MARK: Channel events

    func channelActive(context: ChannelHandlerContext) {
        let loopBound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: .seconds(30)) {
            let (handler, context) = loopBound.value
            handler.end(.stream(.timeout), context)
        }
        if tls.mode == .direct { startTLS(context) }
        perform(stream.connected(), context)
        context.flush()
        context.fireChannelActive()
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        do throws(XMLError) {
            let received = try unwrapInboundIn(data).withUnsafeReadableBytes { (bytes) throws(XMLError) in
                try parser.feed(bytes)
            }
            perform(received.flatMap { stream.received($0) }, context)
        } catch {
            // What the server sent whole before the error counts.
            let received = parser.takeCompleted()
            perform(received.flatMap { stream.received($0) } + stream.received(error), context)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        quickAck(context)
        if !stanzas.isEmpty {
            isAwaitingStorage = true
            events.yield(.stanzas(stanzas))
            stanzas.removeAll(keepingCapacity: true)
        }
        context.flush()
        if !isAwaitingStorage { context.read() }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .send(let stanzas): perform(stream.send(stanzas), context)
        case .stored(let count):
            perform(stream.stored(count), context)
            isAwaitingStorage = false
            context.read()
        case .close: perform(stream.close(), context)
        }
        promise?.succeed()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted? = event as? TLSUserEvent { secured(context) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        perform(stream.disconnected(), context)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(tls.describe(error), context)
    }

    // MARK: Actions

    private func perform(_ actions: [ClientStream.Action], _ context: ChannelHandlerContext) {
        for action in actions where !ended {
            switch action {
            case .send(let bytes):
                context.write(wrapOutboundOut(context.channel.allocator.buffer(bytes: bytes)), promise: nil)
            case .startTLS:
                // What came behind `<proceed/>` in clear has ended the stream, further on in `actions`.
                let isOver = actions.contains { if case .close = $0 { true } else { false } }
                if !isOver { startTLS(context) }
            case .restartParser:
                parser.reset()
            case .bound(let bound):
                deadline?.cancel()
                events.yield(.bound(bound, tls: tlsVersion))
            case .stanza(let element):
                stanzas.append(element)
            case .acknowledged(let count):
                events.yield(.acknowledged(count))
            case .close(let failure):
                end(.stream(failure), context)
            }
        }
    }

    private func startTLS(_ context: ChannelHandlerContext) {
        context.flush()
        do {
            try context.pipeline.syncOperations.addHandler(tls.makeHandler(), position: .first)
        } catch {
            end(tls.describe(error), context)
        }
    }

    private func secured(_ context: ChannelHandlerContext) {
        do throws(ConnectionError) {
            let handler = try? context.pipeline.syncOperations.handler(type: NIOSSLClientHandler.self)
            let bindings = try tls.verify(handler?.peerCertificate)
            tlsVersion = handler?.tlsVersion.map { $0 == .tlsv13 ? "TLSv1.3" : "TLSv1.2" }
            perform(stream.tlsEstablished(bindings), context)
            context.flush()
        } catch {
            end(error, context)
        }
    }

    private func end(_ reason: ConnectionError, _ context: ChannelHandlerContext) {
        guard !ended else { return }
        ended = true
        deadline?.cancel()
        if !stanzas.isEmpty { events.yield(.stanzas(stanzas)) }
        events.yield(.closed(reason))
        events.finish()
        context.flush()
        context.close(promise: nil)
    }

    /// Servers leave Nagle's algorithm on, so a delayed ACK here holds their next stanza for 40 ms.
    /// Linux forgets the option, hence at every read.
    private func quickAck(_ context: ChannelHandlerContext) {
        try? context.channel.syncOptions?.setOption(.tcpOption(.init(rawValue: 12)), value: 1)
    }
}
