// One imd per user: a lock on a file beside the database, freed by the kernel however the process ends.
import Foundation
import LocalAPI

struct InstanceLock: ~Copyable {
    private let descriptor: Int32

    /// - Throws: `.conflict` where another imd holds it.
    init(path: String) throws(UserError) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            throw UserError(
                .configuration, "cannot open \(path): \(String(cString: strerror(errno)))",
                hint: "imd must be able to write there; check its owner, mode and file system")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw UserError(
                .conflict, "another imd is already running for this user",
                hint: "use it: imctl status; or stop it first")
        }
    }

    deinit { close(descriptor) }
}
