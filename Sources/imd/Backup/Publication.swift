// How a complete file gets its name: never over another file, and never before it is complete;
// where a file system offers nothing better, an empty file holds the name for a moment.
import CLinux
import Glibc

/// Ways to do that, the best first; no file system knows all of them.
enum Publication: CaseIterable {
    /// A rename that refuses to replace.
    case rename
    /// A second name, as on NFS, where a rename cannot refuse.
    case link
    /// An empty file that reserves the name and is replaced at once, where there are no second names either.
    case reservation

    /// Names `draft`, which has that name alone afterwards.
    ///
    /// - Returns: false where that failed, with `errno` set; EEXIST for a name that is taken.
    static func publish(_ draft: String, as path: String, by ways: [Publication]) -> Bool {
        for way in ways {
            let reason = way.publish(draft, as: path)
            if reason == 0 { return true }
            errno = reason
            // What the file system, or a sandbox, does not know may be possible in another way.
            guard [EINVAL, ENOSYS, EOPNOTSUPP, EPERM].contains(reason) else { return false }
        }
        return false
    }

    /// - Returns: 0, or what `errno` said.
    private func publish(_ draft: String, as path: String) -> Int32 {
        switch self {
        case .rename: return clinux_rename_new(draft, path) == 0 ? 0 : errno
        case .link:
            guard Glibc.link(draft, path) == 0 else { return errno }
            unlink(draft)
            return 0
        case .reservation: return Self.replaceReservation(draft, path)
        }
    }

    private static func replaceReservation(_ draft: String, _ path: String) -> Int32 {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return errno }
        close(descriptor)
        var status = stat()
        // Somebody else may have written into it meanwhile.
        guard lstat(path, &status) == 0, status.st_size == 0 else { return EEXIST }
        if Glibc.rename(draft, path) == 0 { return 0 }
        let reason = errno
        unlink(path)
        return reason
    }
}
