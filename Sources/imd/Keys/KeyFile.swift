// A key in a file of the user's: the default.
import Foundation
import Glibc
import IMCrypto
import LocalAPI

/// 32 bytes, mode 0600.
struct KeyFile {
    let path: String

    var exists: Bool {
        var status = stat()
        return lstat(path, &status) == 0
    }

    /// - Throws: for a file that is missing, open to others, not the user's, or no key. It is never made anew: what
    ///   was sealed with it would be lost.
    func read() throws(UserError) -> SecretBytes {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw failure(
                errno == ENOENT ? "is missing" : "cannot be read: \(String(cString: strerror(errno)))",
                "bring it back from a backup; without it the database cannot be opened")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw failure("is not a regular file", "bring the key file back")
        }
        guard status.st_uid == geteuid() else {
            throw failure("belongs to another user", "run: chown \(geteuid()) \(path)")
        }
        guard status.st_mode & 0o077 == 0 else {
            throw failure("is open to other users", "run: chmod 600 \(path)")
        }
        guard status.st_size == off_t(Seal.keyCount) else {
            throw failure("is not a key", "bring the key file back from a backup")
        }
        var isComplete = false
        let key = SecretBytes(count: Seal.keyCount) { out in
            isComplete = Glibc.read(descriptor, out.baseAddress, out.count) == out.count
        }
        guard isComplete else { throw failure("cannot be read", "check the disk") }
        return key
    }

    /// Makes the file with a new key, complete or not at all.
    func make() throws(UserError) -> SecretBytes {
        let key = SecretBytes.newKey()
        let draft = "\(path).new"
        unlink(draft)
        let descriptor = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw cannotMake() }
        let isWritten = key.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) == $0.count }
        guard isWritten, fsync(descriptor) == 0 else {
            let failure = cannotMake()
            close(descriptor)
            unlink(draft)
            throw failure
        }
        close(descriptor)
        guard link(draft, path) == 0 else {
            let failure = cannotMake()
            unlink(draft)
            throw failure
        }
        unlink(draft)
        let folder = open((path as NSString).deletingLastPathComponent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if folder >= 0 {
            fsync(folder)
            close(folder)
        }
        return key
    }

    private func cannotMake() -> UserError {
        failure("cannot be made: \(String(cString: strerror(errno)))", "check the folder and the disk")
    }

    private func failure(_ what: String, _ hint: String) -> UserError {
        UserError(.configuration, "the key file \(path) \(what)", hint: hint)
    }
}
