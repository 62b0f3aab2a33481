// What the service manager that started imd is told (sd_notify(3)), and how often it wants a sign of life.
import Foundation

struct Supervisor: Sendable {
    /// Name of the manager's socket, as bytes of `sun_path`; nil where nobody wants to know.
    private let address: [UInt8]?
    /// The manager ends imd where no sign of life came for so long; nil for never.
    let patience: Duration?

    /// What imd starts does not see the variables. Call it before other threads read the environment.
    static func inherited() -> Supervisor {
        let environment = ProcessInfo.processInfo.environment
        for name in ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"] { unsetenv(name) }
        return Supervisor(environment: environment, pid: getpid())
    }

    init(environment: [String: String], pid: pid_t) {
        address = environment["NOTIFY_SOCKET"].flatMap(Self.address)
        let isMeant = environment["WATCHDOG_PID"].map { pid_t($0) == pid } ?? true
        patience = environment["WATCHDOG_USEC"].flatMap(Int64.init).flatMap {
            isMeant && $0 > 0 ? .microseconds($0) : nil
        }
    }

    var isPresent: Bool { address != nil }

    /// A path, or an abstract name behind an `@`; nil for anything else.
    static func address(_ name: String) -> [UInt8]? {
        var bytes = Array(name.utf8)
        let room = MemoryLayout.size(ofValue: sockaddr_un().sun_path)
        guard bytes.count > 1, bytes.count < room, !bytes.contains(0) else { return nil }
        switch bytes[0] {
        case UInt8(ascii: "/"): break
        case UInt8(ascii: "@"): bytes[0] = 0
        default: return nil
        }
        return bytes
    }

    /// Tells it `state`, assignments such as `READY=1` in lines; nothing happens where nobody listens.
    func tell(_ state: String) {
        guard let address else { return }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        // A manager that is busy is waited for, one that hangs is not.
        var limit = timeval(tv_sec: 1, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var place = sockaddr_un()
        place.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &place.sun_path) { $0.copyBytes(from: address) }
        let size = socklen_t(MemoryLayout<sa_family_t>.size + address.count)
        let text = Array(state.utf8)
        withUnsafePointer(to: &place) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = sendto(descriptor, text, text.count, Int32(MSG_NOSIGNAL), $0, size)
            }
        }
    }
}
