// Connecting to imd, and what it means when that fails or the connection breaks.

#if canImport(Glibc)
    import Glibc
#endif

extension SocketPath {
    /// Connects; closed on exec.
    ///
    /// - Parameter isBlocking: false for a descriptor that never makes its caller wait, from the first moment on.
    /// - Throws: `.daemonNotRunning`, `.busy`, or `.unsafeDirectory` if the folder of the socket cannot be trusted.
    func connect(isBlocking: Bool = true) throws(UserError) -> Int32 {
        try check()
        let flags =
            Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
            | (isBlocking ? 0 : Int32(SOCK_NONBLOCK.rawValue))
        let descriptor = Glibc.socket(AF_UNIX, flags, 0)
        guard descriptor >= 0 else {
            throw UserError(.internalError, "cannot make a socket: \(Self.describe(errno))")
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { room in
            for (index, byte) in path.utf8.prefix(room.count - 1).enumerated() { room[index] = byte }
        }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            let code = errno
            close(descriptor)
            switch code {
            case ENOENT, ENOTDIR, ECONNREFUSED: throw Self.notRunning
            case EAGAIN: throw UserError(.busy, "imd has too many connections waiting", hint: "try again")
            default:
                throw UserError(.unsafeDirectory, "cannot connect to \(path): \(Self.describe(code))")
            }
        }
        return descriptor
    }

    static let closed = UserError(
        .daemonNotRunning, "imd closed the connection",
        hint: "it was stopped or restarted; look at its log")

    static func broken(_ code: Int32) -> UserError {
        UserError(
            .daemonNotRunning, "the connection to imd broke: \(describe(code))",
            hint: "it was stopped or restarted; look at its log")
    }
}
