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
    /// Is anybody there? No answer within `StreamHandler.patience` ends the stream.
    case requestAck
    case close
}

/// What a stream tells its account.
enum ConnectionEvent: Sendable {
    /// An earlier stream cannot be taken up again; the server had so many more of the stanzas sent on it. `bound`
    /// follows for another one.
    case resumptionFailed(acknowledged: Int)
    case bound(BoundStream, tls: String?)
    /// All stanzas of one read. The stream reads no more until they are `stored`.
    case received(StanzaBatch)
    /// The server took responsibility for so many more of the stanzas sent.
    case acknowledged(Int)
    /// The last event.
    case closed(ConnectionError)
}

/// What one read delivered.
struct StanzaBatch: Sendable {
    enum Item: Sendable {
        case stanza(Element)
        /// Beyond the parser's limits: its root alone.
        case discarded(Element, XMLError)
    }

    var items: [Item] = []
    /// What `h` will be once all of them are on disk (XEP-0198 §4); nil without stream management.
    var handled: UInt32?
}

final class StreamHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = StreamCommand
    typealias OutboundOut = ByteBuffer

    private var stream: ClientStream
    private let parser: XMLParser
    private let tls: TLSSettings
    private let events: AsyncStream<ConnectionEvent>.Continuation
    private var batch = StanzaBatch()
    private var isAwaitingStorage = false
    private var watch: Scheduled<Void>?
    private var lastReadAt = NIODeadline.now()
    /// Since when an acknowledgement is being waited for.
    private var awaitingSince: NIODeadline?
    private var ended = false
    private var deadline: Scheduled<Void>?
    private var tlsVersion: String?

    /// How long the server may be silent while it owes an acknowledgement.
    static let patience = TimeAmount.seconds(10)

    init(
        stream: ClientStream, limits: XMLParser.Limits, tls: TLSSettings,
        events: AsyncStream<ConnectionEvent>.Continuation
    ) {
        self.stream = stream
        parser = XMLParser(limits: limits)
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
        lastReadAt = .now()
        if !batch.items.isEmpty {
            isAwaitingStorage = true
            handOver()
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
            // What lay unread meanwhile was not the server's silence.
            lastReadAt = .now()
            context.read()
        case .requestAck: perform(stream.requestAck(), context)
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
            case .resumptionFailed(let acknowledged):
                events.yield(.resumptionFailed(acknowledged: acknowledged))
            case .stanza(let element):
                batch.items.append(.stanza(element))
            case .discarded(let element, let reason):
                batch.items.append(.discarded(element, reason))
            case .acknowledged(let count):
                events.yield(.acknowledged(count))
            case .close(let failure):
                end(.stream(failure), context)
            }
        }
        watchForAck(context)
    }

    private func handOver() {
        batch.handled = stream.receivedCount
        events.yield(.received(batch))
        batch.items.removeAll(keepingCapacity: true)
    }

    // MARK: Liveness

    /// A dead server is noticed by what it owes; with nothing owed nothing wakes up here (the kernel's keepalive
    /// notices a dead link).
    private func watchForAck(_ context: ChannelHandlerContext) {
        guard stream.isAwaitingAck, !ended else { return awaitingSince = nil }
        guard awaitingSince == nil else { return }
        awaitingSince = .now()
        if watch == nil { scheduleWatch(Self.patience, context) }
    }

    private func scheduleWatch(_ time: TimeAmount, _ context: ChannelHandlerContext) {
        let loopBound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        watch = context.eventLoop.scheduleTask(in: time) {
            let (handler, context) = loopBound.value
            handler.watch = nil
            handler.checkSilence(context)
        }
    }

    private func checkSilence(_ context: ChannelHandlerContext) {
        guard let awaitingSince, !ended else { return }
        let silence = NIODeadline.now() - max(awaitingSince, lastReadAt)
        if isAwaitingStorage || silence < Self.patience {
            scheduleWatch(isAwaitingStorage ? Self.patience : Self.patience - silence, context)
        } else {
            end(.stream(.timeout), context)
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
        watch?.cancel()
        if !batch.items.isEmpty { handOver() }
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
