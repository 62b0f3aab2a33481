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
final class Imctl {
    private let process = Process()
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
        process.executableURL = tests.deletingLastPathComponent().appendingPathComponent("imctl")
        process.arguments = arguments
        process.environment = environment.merging(["XDG_RUNTIME_DIR": daemon.folder]) { own, _ in own }
        try input.write(toFile: folder + "/input", atomically: true, encoding: .utf8)
        process.standardInput = FileHandle(forReadingAtPath: folder + "/input")
        process.standardOutput =
            standardOutput.map { FileHandle(fileDescriptor: $0, closeOnDealloc: false) } ?? Self.file(output)
        process.standardError = Self.file(errors)
        try process.run()
    }

    deinit { kill() }

    private static func file(_ path: String) -> FileHandle? {
        FileManager.default.createFile(atPath: path, contents: nil) ? FileHandle(forWritingAtPath: path) : nil
    }

    /// Its exit status; nil if it had to be killed.
    func status(within seconds: Double = 20) -> Int32? {
        let deadline = Date(timeIntervalSinceNow: seconds)
        while process.isRunning {
            guard Date() < deadline else {
                kill()
                return nil
            }
            usleep(5000)
        }
        return process.terminationReason == .exit ? process.terminationStatus : nil
    }

    func kill() {
        guard process.isRunning else { return }
        Glibc.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
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
