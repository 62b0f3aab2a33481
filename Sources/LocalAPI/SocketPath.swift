// Where the socket is, for both sides, and whether its folder can be trusted.

#if canImport(Glibc)
    import Glibc
#endif

/// The place of a socket of imd's: `$XDG_RUNTIME_DIR/imd/imd.sock`, beside it those of limited clients, and nowhere
/// else unless `IMD_SOCKET` names one.
public struct SocketPath: Equatable, Sendable {
    /// The folder, to be owned by the user alone.
    public var directory: String
    /// The socket's file in it.
    public var file: String
    /// The socket in it.
    public var path: String { directory + "/" + file }

    /// - Parameters:
    ///   - runtimeDirectory: the value of `XDG_RUNTIME_DIR`.
    ///   - name: of the socket; others than imd's own are those of `[access.NAME]` in the configuration.
    /// - Throws: `.configuration` if it is unset, not absolute or too long for a socket. There is no fallback: a
    ///   folder that others can write to would let them pose as imd.
    public init(runtimeDirectory: String?, name: String = "imd") throws(UserError) {
        guard let runtimeDirectory, !runtimeDirectory.isEmpty else {
            throw UserError(
                .configuration, "XDG_RUNTIME_DIR is not set",
                hint: "log in through a session that sets it, or set it to a folder only you can enter")
        }
        guard runtimeDirectory.hasPrefix("/") else {
            throw UserError(
                .configuration, "XDG_RUNTIME_DIR is not an absolute path",
                hint: "set it to a folder only you can enter")
        }
        var trimmed = runtimeDirectory
        while trimmed.hasSuffix("/") { trimmed.removeLast() }
        directory = trimmed + "/imd"
        file = name + ".sock"
        try checkLength("XDG_RUNTIME_DIR")
    }

    /// - Parameter socket: the value of `IMD_SOCKET`.
    /// - Throws: `.configuration` if it is not the absolute path of a file, or too long for a socket.
    public init(socket: String) throws(UserError) {
        guard socket.hasPrefix("/"), let slash = socket.lastIndex(of: "/"), slash > socket.startIndex,
            case let name = socket[socket.index(after: slash)...], !["", ".", ".."].contains(name)
        else {
            throw UserError(
                .configuration, "IMD_SOCKET is not the absolute path of a socket",
                hint: "unset it, or set it to one of imd's sockets")
        }
        directory = String(socket[..<slash])
        file = String(name)
        try checkLength("IMD_SOCKET")
    }

    private func checkLength(_ variable: String) throws(UserError) {
        guard path.utf8.count < Self.maxLength else {
            throw UserError(
                .configuration, "\(variable) is too long for a socket",
                hint: "the whole path of the socket has room for \(Self.maxLength - 1) bytes")
        }
    }

    /// Another socket in the same folder.
    ///
    /// - Throws: `.configuration` if the name is too long.
    public func named(_ name: String) throws(UserError) -> SocketPath {
        var other = self
        other.file = name + ".sock"
        try other.checkLength("XDG_RUNTIME_DIR")
        return other
    }

    /// The place by this process's environment: what `IMD_SOCKET` names, else below `XDG_RUNTIME_DIR`.
    ///
    /// - Throws: as `init(socket:)` and `init(runtimeDirectory:)`.
    public static func current() throws(UserError) -> SocketPath {
        if let socket = getenv("IMD_SOCKET").map({ String(cString: $0) }), !socket.isEmpty {
            return try SocketPath(socket: socket)
        }
        return try SocketPath(runtimeDirectory: getenv("XDG_RUNTIME_DIR").map { String(cString: $0) })
    }

    /// Size of `sockaddr_un.sun_path`, terminator included.
    static let maxLength = 108

    /// Makes sure the folder is a real folder, ours, and closed to others.
    ///
    /// - Throws: `.daemonNotRunning` if there is none, `.unsafeDirectory` if it cannot be trusted.
    public func check() throws(UserError) {
        var status = stat()
        guard lstat(directory, &status) == 0 else {
            switch errno {
            case ENOENT, ENOTDIR: throw Self.notRunning
            default:
                throw UserError(.unsafeDirectory, "cannot look at \(directory): \(Self.describe(errno))")
            }
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw UserError(
                .unsafeDirectory, "\(directory) is not a folder", hint: "remove it and start imd again")
        }
        guard status.st_uid == geteuid() else {
            throw UserError(
                .unsafeDirectory, "\(directory) belongs to another user",
                hint: "XDG_RUNTIME_DIR must be your own")
        }
        guard status.st_mode & 0o077 == 0 else {
            throw UserError(
                .unsafeDirectory, "\(directory) is open to other users", hint: "chmod 700 \(directory)")
        }
    }

    static let notRunning = UserError(
        .daemonNotRunning, "imd is not running",
        hint: "start it: systemctl --user start imd; without systemd: imd &")

    static func describe(_ code: Int32) -> String {
        strerror(code).map { String(cString: $0) } ?? "error \(code)"
    }
}
