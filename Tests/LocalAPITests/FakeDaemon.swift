// The other end of the socket, played by a test: it listens, reads requests and answers as it is told.

import Foundation
import LocalAPI
import Testing

/// One connection, as the daemon sees it.
final class Peer: @unchecked Sendable {
    let descriptor: Int32
    private var lines = LineBuffer()

    init(_ descriptor: Int32) { self.descriptor = descriptor }
    deinit { close(descriptor) }

    /// - Returns: nil when the other end closed, or nothing came in time.
    func request(within seconds: Double = 20) -> Request? {
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            if case .line(let line)? = lines.next() { return try? Request(line: line) }
            var place = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&place, 1, Int32(seconds * 1000)) == 1 else { return nil }
            let count = read(descriptor, &chunk, chunk.count)
            guard count > 0 else { return nil }
            lines.append(chunk[0..<count])
        }
    }

    func hangUp() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    func send(_ bytes: [UInt8]) {
        _ = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }

    private func next<M: LocalAPI.Method>(_: M.Type) throws -> Request {
        let next = request()
        let request = try #require(next, "no \(M.name) came")
        try #require(request.method == M.name)
        return request
    }

    /// The next request, which must be for this method, answered.
    @discardableResult
    func answer<M: LocalAPI.Method>(_: M.Type, _ result: M.Result) throws -> M.Params {
        let request = try next(M.self)
        send(Response.success(try #require(request.id), try M.encode(result)))
        return try M.decode(request.params)
    }

    /// The next request, which must be for this method, refused.
    func refuse<M: LocalAPI.Method>(_: M.Type, _ error: UserError) throws {
        let request = try next(M.self)
        send(Response.failure(try #require(request.id), error))
    }
}

/// A socket where imctl looks for it.
final class FakeDaemon {
    let folder: String
    let place: SocketPath
    private var listener: Int32 = -1

    init() throws {
        folder = try temporaryFolder()
        place = try SocketPath(runtimeDirectory: folder)
        mkdir(place.directory, 0o700)
        try start()
    }

    deinit {
        stop()
        try? FileManager.default.removeItem(atPath: folder)
    }

    func start() throws { listener = try listen(on: place.path) }

    /// Refuses further connections.
    func stop() {
        guard listener >= 0 else { return }
        close(listener)
        unlink(place.path)
        listener = -1
    }

    func accept(within seconds: Double = 20) throws -> Peer {
        var place = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
        try #require(poll(&place, 1, Int32(seconds * 1000)) == 1, "nobody connected")
        let descriptor = Glibc.accept(listener, nil, nil)
        try #require(descriptor >= 0)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        return Peer(descriptor)
    }
}

/// imctl as it was built beside this test.
///
/// COMPAT: Foundation's `Process` (Swift 6.3) reads beyond the end of a buffer while it lists the open descriptors, and
/// there are thousands while all tests run.
final class Imctl {
    /// Not in Swift's Glibc.
    private typealias CloseFrom =
        @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32

    private var pid: pid_t = 0
    private var ending: Int32?
    private let output: String
    private let errors: String

    /// - Parameters:
    ///   - input: what is on standard input.
    ///   - standardOutput: where to write instead of a file.
    ///   - environment: what it gets beside `XDG_RUNTIME_DIR`.
    init(
        _ arguments: [String], _ daemon: FakeDaemon, input: String = "", standardOutput: Int32? = nil,
        environment: [String: String] = [:]
    ) throws {
        let folder = try temporaryFolder(below: daemon.folder)
        output = folder + "/output"
        errors = folder + "/errors"
        let tests = URL(
            fileURLWithPath: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
        let program = tests.deletingLastPathComponent().appendingPathComponent("imctl").path
        let environment = environment.merging(["XDG_RUNTIME_DIR": daemon.folder]) { own, _ in own }
        try input.write(toFile: folder + "/input", atomically: true, encoding: .utf8)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, folder + "/input", O_RDONLY, 0)
        if let standardOutput {
            posix_spawn_file_actions_adddup2(&actions, standardOutput, 1)
        } else {
            posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT, 0o600)
        }
        posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT, 0o600)
        // What other tests have open without O_CLOEXEC is not for imctl.
        let closeFrom = try #require(dlsym(nil, "posix_spawn_file_actions_addclosefrom_np"))
        _ = unsafeBitCast(closeFrom, to: CloseFrom.self)(&actions, 3)
        let words = ([program] + arguments).map { strdup($0) } + [nil]
        let variables = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in words + variables { free(text) } }
        try #require(posix_spawn(&pid, program, &actions, nil, words, variables) == 0)
    }

    deinit { kill() }

    /// Its exit status; nil if it had to be killed.
    func status(within seconds: Double = 20) -> Int32? {
        let deadline = Date(timeIntervalSinceNow: seconds)
        while isRunning {
            guard Date() < deadline else {
                kill()
                return nil
            }
            usleep(5000)
        }
        // The lower seven bits are those of a signal.
        return ending.flatMap { $0 & 0x7f == 0 ? $0 >> 8 & 0xff : nil }
    }

    private var isRunning: Bool {
        var status: Int32 = 0
        if ending == nil, waitpid(pid, &status, WNOHANG) == pid { ending = status }
        return ending == nil
    }

    func kill() {
        guard pid > 0, isRunning else { return }
        Glibc.kill(pid, SIGKILL)
        var status: Int32 = 0
        waitpid(pid, &status, 0)
        ending = status
    }

    var printed: String { (try? String(contentsOfFile: output, encoding: .utf8)) ?? "" }
    var diagnosed: String { (try? String(contentsOfFile: errors, encoding: .utf8)) ?? "" }
}

func temporaryFolder(below parent: String = "/tmp") throws -> String {
    var template = Array("\(parent)/imd-test-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

func listen(on path: String) throws -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    try #require(descriptor >= 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let result = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
    try #require(result == 0)
    try #require(Glibc.listen(descriptor, 5) == 0)
    return descriptor
}

/// A message event as imd sends it.
func messageLine(_ number: Int64, _ body: String = "text") -> [UInt8] {
    let message = Message(
        account: "a@b", chat: "b@c", from: "b@c", direction: .in, body: "\(body) \(number)", encryption: nil,
        id: "m\(number)", at: Timestamp(milliseconds: 0))
    return Event.line(number: number, message: message)
}
