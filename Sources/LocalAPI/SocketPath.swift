// Where the socket is, for both sides, and whether its folder can be trusted.

#if canImport(Glibc)
    import Glibc
#endif

/// The place of imd's socket: `$XDG_RUNTIME_DIR/imd/imd.sock`, and nowhere else.
public struct SocketPath: Equatable, Sendable {
    /// The folder, to be owned by the user alone.
    public var directory: String
    /// The socket in it.
    public var path: String { directory + "/imd.sock" }

    /// - Parameter runtimeDirectory: the value of `XDG_RUNTIME_DIR`.
    /// - Throws: `.configuration` if it is unset, not absolute or too long for a socket. There is no fallback: a
    ///   folder that others can write to would let them pose as imd.
    public init(runtimeDirectory: String?) throws(UserError) {
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
        var trimmed = Substring(runtimeDirectory)
        while trimmed.hasSuffix("/") { trimmed.removeLast() }
        directory = trimmed + "/imd"
        guard path.utf8.count < Self.maxLength else {
            throw UserError(
                .configuration, "XDG_RUNTIME_DIR is too long for a socket",
                hint: "the whole path of the socket has room for \(Self.maxLength - 1) bytes")
        }
    }

    /// The place by this process's environment.
    ///
    /// - Throws: as `init(runtimeDirectory:)`.
    public static func current() throws(UserError) -> SocketPath {
        try SocketPath(runtimeDirectory: getenv("XDG_RUNTIME_DIR").map { String(cString: $0) })
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
        hint: "start it: imd &")

    static func describe(_ code: Int32) -> String {
        strerror(code).map { String(cString: $0) } ?? "error \(code)"
    }
}
