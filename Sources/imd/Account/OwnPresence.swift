// The presence that an account shows, and the features behind it (RFC 6121 §4, XEP-0115).
import LocalAPI
import OMEMO
import XMPP

struct OwnPresence: Equatable, Sendable {
    var show: Show = .online
    var status: String?

    /// What this client can do; `+notify` asks the server to push device lists (XEP-0163 §4).
    static let disco = DiscoInfo(
        identities: [DiscoInfo.Identity("client", "bot", name: "imd")],
        features: [
            Namespace.caps, Namespace.chatMarkers, Namespace.discoInfo, Namespace.time,
            Namespace.ping, Namespace.receipts, Namespace.softwareVersion,
        ] + ProtocolVersion.allCases.map { OMEMO.DeviceList.node($0) + "+notify" })
    static let capabilities = try? EntityCapabilities(node: "urn:imd", disco)

    static let unavailable = Presence(.unavailable).element

    var element: Element {
        if show == .offline { return Self.unavailable }
        let payloads = Self.capabilities.map { [$0.element] } ?? []
        return Presence(show: Presence.Show(rawValue: show.rawValue), status: status, payloads: payloads)
            .element
    }
}
