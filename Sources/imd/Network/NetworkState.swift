// Which of the machine's addresses and routes a connection to a server can depend on.
import Foundation
import NIOCore

/// Two states that are equal mean the same to a connection, whatever the kernel reported in between.
struct NetworkState: Equatable, Sendable {
    /// Address and interface; only of interfaces that have a carrier.
    var addresses: Set<String> = []
    /// Interface, gateway and metric.
    var defaultRoutes: Set<String> = []

    /// The machine's state now.
    static func current() -> NetworkState {
        var state = NetworkState()
        state.addIPv4Addresses()
        state.addIPv6Addresses(read("/proc/net/if_inet6"))
        state.addIPv4Routes(read("/proc/net/route"))
        state.addIPv6Routes(read("/proc/net/ipv6_route"))
        return state
    }

    private static func read(_ path: String) -> String {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    private static func rows(_ table: String) -> [[Substring]] {
        table.split(separator: "\n").map { $0.split { $0 == " " || $0 == "\t" } }
    }

    private mutating func addIPv4Addresses() {
        NetworkInterfaces.forEach { interface in
            let flags = Int(interface.ifa_flags)
            guard flags & IFF_RUNNING != 0, flags & IFF_LOOPBACK == 0,
                let address = NetworkInterfaces.address(of: interface), address.protocol == .inet
            else { return }
            addresses.insert("\(address.ipAddress ?? "") \(String(cString: interface.ifa_name))")
        }
    }

    /// Columns: address, interface number, prefix length, scope, flags, name; all but the name hexadecimal.
    /// Left out are those of the link and of the machine itself, and those the kernel still checks for
    /// duplicates: nothing can be sent from them yet.
    mutating func addIPv6Addresses(_ table: String) {
        let tentative: UInt32 = 0x40
        for row in Self.rows(table) where row.count >= 6 && row[3] == "00" {
            guard let flags = UInt32(row[4], radix: 16), flags & tentative == 0 else { continue }
            addresses.insert("\(row[0]) \(row[5])")
        }
    }

    /// Columns: interface, destination, gateway, flags, references, uses, metric, mask, …; a title comes first.
    mutating func addIPv4Routes(_ table: String) {
        for row in Self.rows(table) where row.count >= 8 && row[1] == "00000000" && row[7] == "00000000" {
            defaultRoutes.insert("\(row[0]) \(row[2]) \(row[6])")
        }
    }

    /// Columns: destination, its length, source, its length, next hop, metric, references, uses, flags,
    /// interface. The loopback interface has a default route that leads nowhere.
    mutating func addIPv6Routes(_ table: String) {
        for row in Self.rows(table) where row.count >= 10 && row[1] == "00" && row[9] != "lo" {
            defaultRoutes.insert("\(row[9]) \(row[4]) \(row[5])")
        }
    }
}

/// The system's list of interfaces and their addresses.
enum NetworkInterfaces {
    /// - Returns: false where the list cannot be had.
    @discardableResult
    static func forEach(_ body: (ifaddrs) -> Void) -> Bool {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else { return false }
        defer { freeifaddrs(first) }
        var next = first
        while let interface = next {
            body(interface.pointee)
            next = interface.pointee.ifa_next
        }
        return true
    }

    /// The IP address of an entry; nil where it has none.
    static func address(of interface: ifaddrs) -> SocketAddress? {
        guard let address = interface.ifa_addr else { return nil }
        switch Int32(address.pointee.sa_family) {
        case AF_INET:
            return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { SocketAddress($0.pointee) }
        case AF_INET6:
            return address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { SocketAddress($0.pointee) }
        default: return nil
        }
    }
}
