// What counts as a change of the network. Tests/Interop/test_network.py changes a real one.
import NIOCore
import Testing

@testable import imd

struct NetworkStateTests {
    @Test func `of the IPv4 routes only default ones count, with their gateway and metric`() {
        var state = NetworkState()
        state.addIPv4Routes(
            """
            Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
            eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
            eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
            tun0\t00000000\t00000000\t0001\t0\t0\t50\t00000080\t0\t0\t0

            """)
        #expect(state.defaultRoutes == ["eth0 0101A8C0 100"])
    }

    @Test func `of the IPv6 routes only default ones count, and not that of the loopback interface`() {
        let zero = String(repeating: "0", count: 32)
        let router = "fe800000000000000000000000000001"
        var state = NetworkState()
        state.addIPv6Routes(
            """
            20010db8000000000000000000000000 40 \(zero) 00 \(zero) 00000100 00000001 00000000 00000001     eth0
            \(zero) 00 \(zero) 00 \(router) 00000400 00000002 00000000 00450003     eth0
            \(zero) 00 \(zero) 00 \(zero) ffffffff 00000001 00000000 00200200       lo

            """)
        #expect(state.defaultRoutes == ["eth0 \(router) 00000400"])
    }

    @Test func `an IPv6 address counts once it can be used, and whatever its lifetime`() {
        let address = "20010db8000000000000000000000005"
        let table = { (flags: String) in
            """
            fe80000000000000021122fffe334455 02 40 20 80     eth0
            00000000000000000000000000000001 01 80 10 80       lo
            \(address) 02 40 00 \(flags)     eth0

            """
        }
        var states: [NetworkState] = []
        for flags in ["40", "00", "01", "21"] {  // tentative, stable, temporary, deprecated
            var state = NetworkState()
            state.addIPv6Addresses(table(flags))
            states.append(state)
        }
        #expect(states[0].addresses.isEmpty)
        #expect(states[1].addresses == ["\(address) eth0"])
        #expect(states[2] == states[1] && states[3] == states[1])
    }

    @Test func `tables that cannot be read or understood are empty`() {
        var state = NetworkState()
        state.addIPv4Routes("")
        state.addIPv6Routes("nonsense\n\n1 2 3\n")
        state.addIPv6Addresses("20010db8000000000000000000000005 02 40 00 zz eth0\nx\n")
        #expect(state == NetworkState())
    }

    @Test func `the state of this machine does not change by looking at it`() {
        #expect(NetworkState.current() == NetworkState.current())
    }
}

struct NetworkMonitorTests {
    @Test func `an address of this machine is known, another one is not`() throws {
        #expect(NetworkMonitor.hasLocalAddress(try SocketAddress(ipAddress: "127.0.0.1", port: 40_000)))
        // TEST-NET-1 and the documentation prefix are nobody's.
        #expect(!NetworkMonitor.hasLocalAddress(try SocketAddress(ipAddress: "192.0.2.77", port: 40_000)))
        #expect(!NetworkMonitor.hasLocalAddress(try SocketAddress(ipAddress: "2001:db8::77", port: 40_000)))
    }

    @Test func `a monitor that is closed tells nothing more`() async {
        let monitor = NetworkMonitor(log: .init(label: "test"))
        monitor.close()
        var count = 0
        for await _ in monitor.changes { count += 1 }
        #expect(count == 0)
    }
}
