// A socket that API clients connect to: handed over by a service manager, or bound here.
import Foundation
import Glibc
import LocalAPI
import NIOCore

struct ListeningSocket: Sendable {
    let descriptor: Int32
    let path: String
    /// A service manager made it, and keeps it when imd ends.
    let isInherited: Bool
    /// As it was made here: device and inode.
    private var file: [UInt64]?

    /// As many may connect before they are accepted, as far as the system allows.
    static let backlog: Int32 = 4096

    /// The socket file goes, unless it is somebody else's.
    func remove() { if file != nil, file == Self.file(path) { unlink(path) } }

    // MARK: Handed over

    /// The sockets that the service manager opened for imd, as sd_listen_fds(3) describes, by their paths. What imd
    /// starts does not see the variables or the descriptors.
    ///
    /// Where a socket is says whose it is, not its name in `LISTEN_FDNAMES`: that is where clients find it.
    ///
    /// Call it before other threads read the environment.
    ///
    /// - Throws: `.configuration` where one is not a Unix stream socket that listens at one of `places`, or two are at
    ///   one.
    static func inherited(at places: [SocketPath]) throws(UserError) -> [String: ListeningSocket] {
        let environment = ProcessInfo.processInfo.environment
        for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"] { unsetenv(name) }
        guard environment["LISTEN_PID"].flatMap(pid_t.init) == getpid(), let given = environment["LISTEN_FDS"]
        else { return [:] }
        guard let count = Int32(given), (0...1024).contains(count) else {
            throw UserError(
                .configuration, "LISTEN_FDS is not a number of sockets", hint: "see imd(1), ENVIRONMENT")
        }
        let start: Int32 = 3
        for descriptor in start..<start + count { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        var sockets: [String: ListeningSocket] = [:]
        for descriptor in start..<start + count {
            let socket = try ListeningSocket(inherited: descriptor, at: places)
            guard sockets.updateValue(socket, forKey: socket.path) == nil else {
                throw UserError(
                    .configuration, "two sockets were handed over for \(socket.path)",
                    hint: "leave one ListenStream= for it in the socket units")
            }
        }
        return sockets
    }

    private init(inherited descriptor: Int32, at places: [SocketPath]) throws(UserError) {
        guard Self.option(SO_DOMAIN, of: descriptor) == AF_UNIX,
            Self.option(SO_TYPE, of: descriptor) == Int32(SOCK_STREAM.rawValue),
            Self.option(SO_ACCEPTCONN, of: descriptor) == 1
        else {
            throw UserError(
                .configuration, "what was handed over is not a listening Unix stream socket",
                hint: "the socket unit needs ListenStream=%t/imd/imd.sock")
        }
        // The folders on the way may have several names; elsewhere no client would look, and nobody has checked
        // who else can get there.
        guard let own = Self.path(of: descriptor), let file = Self.file(own),
            let place = places.first(where: { Self.file($0.path) == file })
        else {
            let paths = places.map(\.path).joined(separator: " or ")
            throw UserError(
                .configuration, "a socket that was handed over is not at \(paths)",
                hint: "the socket unit needs ListenStream=%t/imd/imd.sock, or NAME.sock of an [access.NAME]")
        }
        self.init(descriptor: descriptor, path: place.path, isInherited: true)
    }

    private static func option(_ name: Int32, of descriptor: Int32) -> Int32? {
        var value: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, name, &value, &size) == 0 ? value : nil
    }

    /// Nil for a socket without a file.
    private static func path(of descriptor: Int32) -> String? {
        var address = sockaddr_un()
        var size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        guard result == 0 else { return nil }
        let path = withUnsafeBytes(of: address.sun_path) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        return path.isEmpty ? nil : path
    }

    private static func file(_ path: String) -> [UInt64]? {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return nil }
        return [UInt64(status.st_dev), UInt64(status.st_ino)]
    }

    // MARK: Bound here

    /// - Throws: `.conflict` where another imd listens there, `.configuration` where the system refuses.
    static func bind(at place: SocketPath) throws(UserError) -> ListeningSocket {
        try refuseSecond(at: place)
        unlink(place.path)
        let descriptor = try stream()
        guard call(Glibc.bind, descriptor, place) else { throw refused(place, descriptor) }
        var made = ListeningSocket(descriptor: descriptor, path: place.path, isInherited: false)
        made.file = file(place.path)
        guard chmod(place.path, 0o600) == 0, listen(descriptor, backlog) == 0 else {
            let error = refused(place, descriptor)
            made.remove()
            throw error
        }
        return made
    }

    private static func stream(isBlocking: Bool = true) throws(UserError) -> Int32 {
        let kind = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | (isBlocking ? 0 : SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_UNIX, Int32(kind), 0)
        guard descriptor >= 0 else {
            throw UserError(.configuration, "cannot make a socket: \(String(cString: strerror(errno)))")
        }
        return descriptor
    }

    private static func refused(_ place: SocketPath, _ descriptor: Int32) -> UserError {
        let reason = String(cString: strerror(errno))
        close(descriptor)
        return UserError(.configuration, "cannot listen on \(place.path): \(reason)")
    }

    private static func call(
        _ function: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32, _ descriptor: Int32,
        _ place: SocketPath
    ) -> Bool {
        let address = try? SocketAddress(unixDomainSocketPath: place.path)
        return address?.withSockAddr { function(descriptor, $0, socklen_t($1)) } == 0
    }

    private init(descriptor: Int32, path: String, isInherited: Bool) {
        self.descriptor = descriptor
        self.path = path
        self.isInherited = isInherited
    }

    /// Another imd with its data elsewhere may own the socket; a dead one's socket refuses connections. One that
    /// accepts none is not waited for.
    private static func refuseSecond(at place: SocketPath) throws(UserError) {
        let descriptor = try stream(isBlocking: false)
        defer { close(descriptor) }
        guard call(Glibc.connect, descriptor, place) || errno == EAGAIN else { return }
        throw UserError(
            .conflict, "another imd already listens on \(place.path)",
            hint: "use it: imctl status; or stop it first")
    }
}
