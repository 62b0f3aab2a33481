// Where imd keeps its files (XDG base directories), and that nobody else can reach them.
import Foundation
import LocalAPI

struct Paths: Sendable {
    /// `config.toml`; the folder need not exist.
    let configuration: String
    /// Folder of the database and the lock.
    let data: String
    /// The API socket; its folder is private to the user.
    let socket: SocketPath

    /// The folder of the hooks; need not exist.
    var hooks: String { (configuration as NSString).deletingLastPathComponent + "/hooks.d" }
    var database: String { data + "/imd.sqlite" }
    var lock: String { data + "/lock" }
    /// The key file, where that is what seals the database.
    var key: String { data + "/key" }
    /// Where systemd puts the credentials of the service; nil without any.
    let credentials: String?

    init(environment: [String: String]) throws(UserError) {
        let home = environment["HOME"] ?? ""
        configuration = try Self.base("XDG_CONFIG_HOME", home + "/.config", environment) + "/imd/config.toml"
        data = try Self.base("XDG_DATA_HOME", home + "/.local/share", environment) + "/imd"
        credentials = environment["CREDENTIALS_DIRECTORY"].flatMap { $0.hasPrefix("/") ? $0 : nil }
        socket = try SocketPath(runtimeDirectory: environment["XDG_RUNTIME_DIR"])
    }

    /// The specification: a relative path in one of the variables is invalid and is ignored.
    private static func base(
        _ variable: String, _ fallback: String, _ environment: [String: String]
    ) throws(UserError) -> String {
        if let value = environment[variable], value.hasPrefix("/") { return value }
        guard fallback.hasPrefix("/") else {
            throw UserError(
                .configuration, "neither \(variable) nor HOME is set",
                hint: "set \(variable) to an absolute path")
        }
        return fallback
    }

    /// Makes `folder` where it is missing, and refuses one that others could enter, that belongs to somebody
    /// else, or that is a symbolic link.
    static func makePrivate(_ folder: String) throws(UserError) {
        try makeParents(of: folder)
        if mkdir(folder, 0o700) != 0, errno != EEXIST { throw cannot("create", folder) }
        var status = stat()
        guard lstat(folder, &status) == 0 else { throw cannot("read", folder) }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw UserError(
                .unsafeDirectory, "\(folder) is not a directory", hint: "remove it; imd makes its own")
        }
        guard status.st_uid == geteuid() else {
            throw UserError(
                .unsafeDirectory, "\(folder) belongs to another user", hint: "remove it, or change its owner")
        }
        guard status.st_mode & 0o077 == 0 else {
            let mode = String(status.st_mode & 0o777, radix: 8)
            throw UserError(
                .unsafeDirectory, "\(folder) is open to other users (mode \(mode))",
                hint: "run: chmod 700 \(folder)")
        }
    }

    private static func makeParents(of folder: String) throws(UserError) {
        let parent = (folder as NSString).deletingLastPathComponent
        do {
            try FileManager.default.createDirectory(
                atPath: parent, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw cannot("create", parent)
        }
    }

    private static func cannot(_ verb: String, _ path: String) -> UserError {
        UserError(.configuration, "cannot \(verb) \(path): \(String(cString: strerror(errno)))", hint: nil)
    }
}
