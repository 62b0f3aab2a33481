// The folder of the hooks: which files in it are hooks, and why the others are not.
import Foundation
import Glibc
import LocalAPI

/// One file of the folder.
struct HookFile: Equatable, Sendable {
    let name: String
    let path: String
    var settings = HookSettings()
    /// Why it is not run; nil for a good one.
    var refusal: String?

    /// The consumer that has its place. No client can subscribe under a name with a colon.
    var consumer: String { Self.consumerPrefix + name }

    static let consumerPrefix = "hook:"
}

struct HookFolder: Sendable {
    let path: String

    /// What tells it from another one of its name; nil where there is none. An inode alone may be used again.
    var identity: [Int64]? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return [
            Int64(truncatingIfNeeded: status.st_dev), Int64(truncatingIfNeeded: status.st_ino),
            Int64(status.st_ctim.tv_sec), Int64(status.st_ctim.tv_nsec),
        ]
    }

    /// More files than that are not looked at.
    static let limit = 64

    /// Every file whose name does not begin with a dot, by name. A folder that is missing is empty.
    ///
    /// - Parameter overrides: what the configuration says, by name.
    func scan(_ overrides: [String: HookOverrides]) -> [HookFile] {
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else { return [] }
        var status = stat()
        let isOurs = stat(path, &status) == 0 && Self.refusal(status) == nil
        return names.filter { !$0.hasPrefix(".") }.sorted().prefix(Self.limit).map { name in
            var file = HookFile(name: name, path: path + "/" + name)
            guard isOurs else {
                file.refusal = "its folder belongs to somebody else or can be written by others"
                return file
            }
            file.refusal = Self.refusal(file)
            guard file.refusal == nil else { return file }
            do throws(HookSettingsError) {
                let header = try HookOverrides(header: Self.beginning(of: file.path))
                let settings = header.applied(to: HookSettings())
                file.settings = overrides[name]?.applied(to: settings) ?? settings
            } catch {
                file.refusal = "header: \(error.text)"
            }
            return file
        }
    }

    /// Why a file must not be run now; nil if it may. The target of a symbolic link counts.
    static func refusal(_ file: HookFile) -> String? {
        guard (try? ConsumerName.check(file.name)) != nil, file.name.utf8.count <= 56 else {
            return "its name is not 1 to 56 letters, digits, dots, underscores or hyphens"
        }
        var status = stat()
        guard stat(file.path, &status) == 0 else { return "it cannot be read" }
        guard status.st_mode & S_IFMT == S_IFREG else { return "it is not a file" }
        if let refusal = refusal(status) { return refusal }
        return access(file.path, X_OK) == 0 ? nil : "it is not executable"
    }

    private static func refusal(_ status: stat) -> String? {
        guard status.st_uid == geteuid() || status.st_uid == 0 else { return "it belongs to somebody else" }
        return status.st_mode & 0o022 == 0 ? nil : "it can be written by others"
    }

    private static func beginning(of path: String) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: HookOverrides.headerLength)
        let count = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        return Array(bytes.prefix(max(count, 0)))
    }
}
