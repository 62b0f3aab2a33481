// Where to connect for a domain: SRV records, or what the user gave (RFC 6120 §3.2, XEP-0368).
import CLinux
import XMPP

/// One address to try.
struct Endpoint: Equatable, Sendable {
    var host: String
    var port: Int
    var tls: ClientStream.Configuration.TLS
}

extension Endpoint {
    /// Where a server wants a stream to be resumed (XEP-0198 §3): `host`, `host:port`, `[IPv6]` or `[IPv6]:port`.
    ///
    /// - Returns: nil for anything else. The certificate is checked against the account's domain as everywhere.
    init?(location: String?, tls: ClientStream.Configuration.TLS) {
        guard let location, !location.isEmpty, location.utf8.count <= 260 else { return nil }
        var (host, rest) = (location[...], Substring())
        if location.hasPrefix("[") {
            guard let end = location.firstIndex(of: "]") else { return nil }
            host = location[..<end].dropFirst()
            rest = location[location.index(after: end)...]
        } else if let colon = location.firstIndex(of: ":"), colon == location.lastIndex(of: ":") {
            (host, rest) = (location[..<colon], location[colon...])
        }
        let port = rest.isEmpty ? (tls == .direct ? 5223 : 5222) : Int(rest.dropFirst())
        guard rest.isEmpty || rest.hasPrefix(":"), let port, (1...65535).contains(port), !host.isEmpty,
            host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
        else { return nil }
        self.init(host: String(host), port: port, tls: tls)
    }
}

/// One SRV record, with the service it was found under.
struct ServiceRecord: Equatable, Sendable {
    var priority: UInt16
    var weight: UInt16
    var port: UInt16
    var target: String
    var tls: ClientStream.Configuration.TLS
}

enum EndpointSearch {
    /// Orders the records of both services for trying, as XEP-0368 §3 merges them: by priority,
    /// and within one by weighted chance (RFC 2782).
    ///
    /// - Returns: empty where every record says "not here" (target `.`), nil where there are no records.
    static func order(
        _ records: [ServiceRecord], using random: inout some RandomNumberGenerator
    ) -> [Endpoint]? {
        guard !records.isEmpty else { return nil }
        let offered = records.filter { $0.target != "." }
        let priorities = Set(offered.map(\.priority)).sorted()
        return priorities.flatMap { priority in
            shuffle(offered.filter { $0.priority == priority }, using: &random)
        }
    }

    private static func shuffle(
        _ records: [ServiceRecord], using random: inout some RandomNumberGenerator
    ) -> [Endpoint] {
        // RFC 2782: records of weight 0 stand first, so that they keep a small chance.
        var left = records.sorted { $0.weight < $1.weight }
        var ordered: [Endpoint] = []
        while !left.isEmpty {
            let total = left.reduce(0) { $0 + Int($1.weight) }
            let mark = Int.random(in: 0...total, using: &random)
            var sum = 0
            let index =
                left.firstIndex {
                    sum += Int($0.weight); return sum >= mark
                } ?? 0
            let record = left.remove(at: index)
            ordered.append(
                Endpoint(host: record.target, port: Int(record.port), tls: record.tls))
        }
        return ordered
    }

    /// Asks the resolver for both services of `domain`. Blocks; call it on a thread pool.
    ///
    /// - Throws: `ConnectionError.unresolvable` where the domain declares that it has no service here.
    static func lookUp(
        _ domain: String, using random: inout some RandomNumberGenerator
    ) throws(ConnectionError) -> [Endpoint] {
        let name = domain.hasSuffix(".") ? domain : domain + "."
        let records =
            query("_xmpps-client._tcp." + name, .direct) + query("_xmpp-client._tcp." + name, .startTLS)
        // Without records the domain itself on the registered port (RFC 6120 §3.2.2).
        guard let ordered = order(records, using: &random) else {
            return [Endpoint(host: domain, port: 5222, tls: .startTLS)]
        }
        guard !ordered.isEmpty else { throw .unresolvable(domain) }
        return ordered
    }

    private static func query(_ name: String, _ tls: ClientStream.Configuration.TLS) -> [ServiceRecord] {
        let capacity = 32
        return withUnsafeTemporaryAllocation(of: clinux_srv.self, capacity: capacity) { buffer in
            guard let base = buffer.baseAddress else { return [] }
            let count = max(0, Int(clinux_srv(name, base, Int32(capacity))))
            return buffer.prefix(count).map { record in
                ServiceRecord(
                    priority: record.priority, weight: record.weight, port: record.port,
                    target: withUnsafeBytes(of: record.target) {
                        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
                    }, tls: tls)
            }
        }
    }
}
