// Paths as they are typed, for a daemon that has another working directory.

import Glibc
import LocalAPI

/// The path from the root on.
func absolutePath(_ path: String) throws(UserError) -> String {
    if path.hasPrefix("/") { return path }
    guard let folder = getcwd(nil, 0) else {
        throw UserError(.unreadableFile, "the current folder is gone, so \(path) cannot be found")
    }
    defer { free(folder) }
    return String(cString: folder) + "/" + path
}

/// The content of a small text file, of standard input for `-`.
func readText(_ path: String) throws(UserError) -> String {
    let limit = 4 << 20
    if path == "-" {
        let bytes = try Terminal.input(limit: limit, what: "file")
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw UserError(.badText, "standard input is not UTF-8")
        }
        return text
    }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
        throw UserError(.unreadableFile, "cannot read \(path): \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    var (bytes, chunk): ([UInt8], [UInt8]) = ([], [UInt8](repeating: 0, count: 16_384))
    while bytes.count <= limit {
        let count = read(descriptor, &chunk, chunk.count)
        guard count >= 0 else {
            throw UserError(.unreadableFile, "cannot read \(path): \(String(cString: strerror(errno)))")
        }
        if count == 0 { break }
        bytes += chunk[..<count]
    }
    guard bytes.count <= limit, let text = String(validating: bytes, as: UTF8.self) else {
        throw UserError(.badText, "\(path) is too long or not UTF-8")
    }
    return text
}

/// Writes a new file, mode 0600, or over an old one.
func writeText(_ text: String, to path: String) throws(UserError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
        throw UserError(.inputOutput, "cannot write \(path): \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        guard count > 0 else {
            throw UserError(.inputOutput, "cannot write \(path): \(String(cString: strerror(errno)))")
        }
        rest = rest.dropFirst(count)
    }
}
