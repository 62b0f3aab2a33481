// From an account's settings to what a connection needs to log in.
import Foundation
import Glibc
import IMCrypto
import NIOPosix
import Store
import Synchronization
import XMPP

enum Credentials {
    /// - Parameter pinned: the strongest mechanism the server ever accepted.
    static func login(
        _ jid: JID, _ settings: AccountSettings, pinned: String?
    ) async throws(ConnectionError) -> Login {
        let tls: ClientStream.Configuration.TLS = settings.tls == .direct ? .direct : .startTLS
        let port = settings.port ?? (settings.tls == .direct ? 5223 : 5222)
        return Login(
            stream: ClientStream.Configuration(
                jid: jid, tls: tls, resource: settings.resource, allowPlain: settings.allowPlain,
                pinnedMechanism: pinned),
            server: settings.host.map { Endpoint(host: $0, port: port, tls: tls) }, caFile: settings.caFile,
            password: try await password(settings))
    }

    private static func password(_ settings: AccountSettings) async throws(ConnectionError) -> SecretBytes {
        if let password = settings.password { return password }
        guard let command = settings.passwordCommand else { throw .password("none is stored") }
        return try await PasswordCommand.run(command)
    }
}

/// The user's own command line, run in a shell; its first line of output is the password.
private enum PasswordCommand {
    private static let timeLimit = Duration.seconds(30)
    /// Bytes of the first line.
    private static let lineLimit = 4096

    /// Ends the command when it takes too long, or the task is cancelled.
    static func run(_ command: String) async throws(ConnectionError) -> SecretBytes {
        let isCancelled = Flag()
        let (results, result) = AsyncStream<Result<SecretBytes, ConnectionError>>.makeStream()
        NIOThreadPool.singleton.submit { _ in
            result.yield(Result { () throws(ConnectionError) in try read(command, isCancelled) })
        }
        let password = await withTaskCancellationHandler {
            await results.first { _ in true }
        } onCancel: {
            isCancelled.value.store(true, ordering: .relaxed)
        }
        guard let password else { throw .stream(.closed) }
        return try password.get()
    }

    private final class Flag: Sendable {
        let value = Atomic(false)
    }

    /// Blocks.
    private static func read(_ command: String, _ isCancelled: Flag) throws(ConnectionError) -> SecretBytes {
        let deadline = ContinuousClock.now + timeLimit
        let (process, output) = try spawn(command)
        let line = UnsafeMutableRawBufferPointer.allocate(byteCount: lineLimit, alignment: 1)
        defer {
            if let start = line.baseAddress { explicit_bzero(start, line.count) }
            line.deallocate()
        }
        let count: Int
        let status: Int32
        do {
            defer { close(output) }
            let isOver = { ContinuousClock.now >= deadline || isCancelled.value.load(ordering: .relaxed) }
            count = try readLine(output, into: line, isOver)
            status = try wait(for: process, isOver)
        } catch {
            kill(-process, SIGKILL)
            while waitpid(process, nil, 0) < 0, errno == EINTR {}
            throw error
        }
        guard status == 0 else {
            // As a shell's `$?` has it.
            let shown = status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
            throw .password("the password command failed with status \(shown)")
        }
        guard count > 0 else { throw .password("the password command printed nothing") }
        return SecretBytes(UnsafeRawBufferPointer(rebasing: line[..<count]))
    }

    /// - Returns: the length of the first line. What follows it is read and dropped.
    private static func readLine(
        _ output: Int32, into line: UnsafeMutableRawBufferPointer, _ isOver: () -> Bool
    ) throws(ConnectionError) -> Int {
        var count = 0
        var isComplete = false
        while true {
            try check(isOver)
            var interest = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
            guard poll(&interest, 1, 50) > 0 else { continue }
            let room = UnsafeMutableRawBufferPointer(rebasing: line[count...])
            // Of a line that fills the buffer the end is not known.
            guard !room.isEmpty else {
                throw .password("the password command printed a line that is too long")
            }
            let received = Glibc.read(output, room.baseAddress, room.count)
            if received == 0 { return count }
            guard received > 0, !isComplete else { continue }
            let new = room.prefix(received)
            if let end = new.firstIndex(of: UInt8(ascii: "\n")) {
                isComplete = true
                count += end - new.startIndex
            } else {
                count += received
            }
        }
    }

    private static func wait(for process: pid_t, _ isOver: () -> Bool) throws(ConnectionError) -> Int32 {
        var status: Int32 = 0
        while waitpid(process, &status, WNOHANG) != process {
            try check(isOver)
            usleep(2000)
        }
        return status
    }

    private static func check(_ isOver: () -> Bool) throws(ConnectionError) {
        if isOver() {
            throw .password("the password command did not end within \(timeLimit.components.seconds) s")
        }
    }

    /// Starts the shell in a session of its own, so that all it starts can be ended with it and nothing asks on
    /// imd's terminal.
    private static func spawn(_ command: String) throws(ConnectionError) -> (process: pid_t, output: Int32) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw .password("the password command cannot be run") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[1]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        // Not every library marks its descriptors as ours alone.
        let open = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        for descriptor in open.compactMap(Int32.init) where descriptor > 2 {
            posix_spawn_file_actions_addclose(&actions, descriptor)
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // The daemon ignores some signals; what it starts must not.
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        for signal in [SIGPIPE, SIGINT, SIGTERM] { sigaddset(&signals, signal) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        let newSession: Int32 = 0x80  // POSIX_SPAWN_SETSID, which Swift does not see
        let flags = newSession | Int32(POSIX_SPAWN_SETSIGMASK) | Int32(POSIX_SPAWN_SETSIGDEF)
        posix_spawnattr_setflags(&attributes, Int16(flags))
        let words: [String] = ["/bin/sh", "-c", command]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { word in strdup(word) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        var process: pid_t = 0
        guard posix_spawn(&process, "/bin/sh", &actions, &attributes, &arguments, environ) == 0 else {
            close(ends[0])
            throw .password("the password command cannot be run")
        }
        return (process, ends[0])
    }
}
