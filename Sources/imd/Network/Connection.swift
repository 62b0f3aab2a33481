// One connection to a server: finds it, opens it, and carries commands and events.
import Foundation
import IMCrypto
import NIOCore
import NIOPosix
import XMPP

/// How to reach and log in to one account's server.
struct Login: Sendable {
    var stream: ClientStream.Configuration
    /// Where to connect instead of asking the DNS.
    var server: Endpoint?
    /// PEM file of the only authorities to trust; nil for the system's.
    var caFile: String?
    var password: SecretBytes
    /// Whether stanzas beyond the parser's limits are left out instead of ending the stream.
    var discardsPoison = false
}

struct Connection: Sendable {
    private let channel: any Channel
    /// Ends with `.closed`.
    let events: AsyncStream<ConnectionEvent>
    let endpoint: Endpoint

    /// Opens a TCP connection to the first endpoint that answers and starts negotiating.
    ///
    /// - Parameter deadline: nil for as long as it takes.
    /// - Throws: `.stream(.timeout)` at the deadline, or at once when the task is cancelled.
    static func open(
        _ login: Login, on group: any EventLoopGroup, before deadline: ContinuousClock.Instant? = nil
    ) async throws(ConnectionError) -> Connection {
        let attempt = Task { () -> Result<Connection, ConnectionError> in
            do throws(ConnectionError) {
                return .success(try await openFirst(login, on: group))
            } catch {
                return .failure(error)
            }
        }
        let timer = Task {
            guard let deadline else { return }
            try await Task.sleep(until: deadline)
            attempt.cancel()
        }
        defer { timer.cancel() }
        return try await withTaskCancellationHandler {
            await attempt.value
        } onCancel: {
            attempt.cancel()
        }.get()
    }

    private static func openFirst(
        _ login: Login, on group: any EventLoopGroup
    ) async throws(ConnectionError) -> Connection {
        let domain = login.stream.jid.domainpart
        var last = ConnectionError.unresolvable(domain)
        for endpoint in try await endpoints(login) {
            if Task.isCancelled { throw .stream(.timeout) }
            let settings = try TLSSettings(
                domain: domain, mode: endpoint.tls, caFile: login.caFile)
            do {
                return try await open(login, endpoint, settings, on: group)
            } catch {
                last = error
            }
        }
        throw last
    }

    private static func endpoints(_ login: Login) async throws(ConnectionError) -> [Endpoint] {
        let preferred = Endpoint(
            location: login.stream.resumption?.location, tls: login.server?.tls ?? .startTLS)
        if let server = login.server { return [preferred, server].compactMap(\.self) }
        let domain = login.stream.jid.domainpart
        // The resolver cannot be interrupted, only left alone.
        let (answers, answer) = AsyncStream<Result<[Endpoint], ConnectionError>>.makeStream()
        NIOThreadPool.singleton.submit { _ in
            answer.yield(
                Result { () throws(ConnectionError) in
                    var random = SystemRandomNumberGenerator()
                    return try EndpointSearch.lookUp(domain, using: &random)
                })
        }
        for await found in answers {
            guard let preferred else { return try found.get() }
            // Where the server keeps the stream to be resumed it need not be found by name.
            return [preferred] + ((try? found.get()) ?? [])
        }
        throw .stream(.timeout)
    }

    private static func open(
        _ login: Login, _ endpoint: Endpoint, _ tls: TLSSettings, on group: any EventLoopGroup
    ) async throws(ConnectionError) -> Connection {
        var configuration = login.stream
        configuration.tls = endpoint.tls
        let (events, continuation) = AsyncStream<ConnectionEvent>.makeStream()
        var random = SystemRandomNumberGenerator()
        let nonce = StanzaID.random(using: &random)
        let stream = ClientStream(configuration, password: login.password, nonce: nonce)
        let limits = login.discardsPoison ? XMLParser.Limits.lenient : XMLParser.Limits()
        let opening = ClientBootstrap(group: group)
            .connectTimeout(.seconds(10))
            .channelOption(.autoRead, value: false)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        StreamHandler(stream: stream, limits: limits, tls: tls, events: continuation))
                    try? setLiveness(channel)
                }
            }
            .connect(host: endpoint.host, port: endpoint.port)
        let (results, result) = AsyncStream<Result<any Channel, any Error>>.makeStream()
        opening.whenComplete { result.yield($0) }
        for await opened in results {
            switch opened {
            case .success(let channel):
                return Connection(channel: channel, events: events, endpoint: endpoint)
            case .failure(let error): throw .stream(.unreachable(describe(error, endpoint)))
            }
        }
        // Cancelled: what still comes about is closed.
        opening.whenSuccess { $0.close(promise: nil) }
        throw .stream(.timeout)
    }

    /// The kernel notices a dead link by itself, so nothing here has to wake up: idle, within 20 + 2 × 5 s;
    /// with data unacknowledged, within 10 s.
    private static func setLiveness(_ channel: any Channel) throws {
        let options: [(NIOBSDSocket.Option, ChannelOptions.Types.SocketOption.Value)] = [
            (.init(rawValue: 4), 20),  // TCP_KEEPIDLE, seconds
            (.init(rawValue: 5), 5),  // TCP_KEEPINTVL, seconds
            (.init(rawValue: 6), 2),  // TCP_KEEPCNT
            (.init(rawValue: 18), 10_000),  // TCP_USER_TIMEOUT, milliseconds
        ]
        for (option, value) in options {
            try channel.syncOptions?.setOption(.tcpOption(option), value: value)
        }
    }

    private static func describe(_ error: any Error, _ endpoint: Endpoint) -> String {
        let place = "\(endpoint.host) port \(endpoint.port)"
        switch error {
        case let error as NIOConnectionError:
            guard let first = error.connectionErrors.first?.error else { return "\(place): no such host" }
            return describe(first, endpoint)
        case let error as IOError:
            return "\(place): \(String(cString: strerror(error.errnoCode)))"
        case ChannelError.connectTimeout: return "\(place): no answer within 10 seconds"
        default: return place
        }
    }

    func send(_ command: StreamCommand) {
        channel.writeAndFlush(command, promise: nil)
    }

    /// Closes the stream in order, and the socket when the server does not answer within half a second.
    func close() async {
        send(.close)
        let channel = channel
        let cut = channel.eventLoop.scheduleTask(in: .milliseconds(500)) { channel.close(promise: nil) }
        try? await channel.closeFuture.get()
        cut.cancel()
    }

    /// Closes the socket.
    func cut() { channel.close(promise: nil) }

    /// Whether this machine still has the address that the connection uses.
    var hasLocalAddress: Bool {
        guard let address = channel.localAddress else { return false }
        return NetworkMonitor.hasLocalAddress(address)
    }

    static func === (a: Connection, b: Connection?) -> Bool { a.channel === b?.channel }
}
