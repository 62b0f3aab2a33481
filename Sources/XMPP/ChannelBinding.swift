// The channel-binding data that a finished TLS handshake yields (RFC 5056), and what a server announces.

public import IMCrypto

extension Namespace {
    /// The stream feature that lists a server's channel-binding types (XEP-0440).
    public static let channelBindings = "urn:xmpp:sasl-cb:0"
}

/// A way to tie a login to its TLS connection; the raw value is the IANA name.
public enum ChannelBindingType: String, Sendable, CaseIterable {
    /// The exported keying material of this one connection (RFC 9266); the stronger of the two.
    case tlsExporter = "tls-exporter"
    /// The hash of the server's certificate (RFC 5929 §4): silent about a stolen private key.
    case tlsServerEndPoint = "tls-server-end-point"

    /// Larger is stronger.
    var strength: Int {
        switch self {
        case .tlsServerEndPoint: 1
        case .tlsExporter: 2
        }
    }
}

/// What a TLS connection can be bound by; nil for what it cannot.
public struct ChannelBindings: Equatable, Sendable {
    /// 32 bytes under the label `EXPORTER-Channel-Binding`, empty context, TLS 1.3 only (RFC 9266 §2).
    public var exporter: Bytes?
    /// The certificate's hash, by its signature's algorithm but at least SHA-256 (RFC 5929 §4.1).
    public var serverEndPoint: Bytes?

    /// The data at hand.
    public init(exporter: Bytes? = nil, serverEndPoint: Bytes? = nil) {
        self.exporter = exporter
        self.serverEndPoint = serverEndPoint
    }

    /// Nothing to bind to.
    public static let none = ChannelBindings()

    /// The data of one type.
    public subscript(_ type: ChannelBindingType) -> Bytes? {
        switch type {
        case .tlsExporter: exporter
        case .tlsServerEndPoint: serverEndPoint
        }
    }

    /// Whether there is no data at all.
    public var isEmpty: Bool { exporter == nil && serverEndPoint == nil }

    /// The strongest type that there is data for, among those given.
    func strongest(among types: [ChannelBindingType] = ChannelBindingType.allCases) -> ChannelBindingType? {
        types.filter { self[$0] != nil }.max { $0.strength < $1.strength }
    }
}
