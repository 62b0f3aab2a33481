// One running command of a bot: starts it without a shell, feeds it, reads what it prints, ends it.

import Glibc
import LocalAPI

/// A process in a group of its own. Standard error is ours.
final class BotProcess {
    /// How it ended.
    enum Ending: Equatable {
        case exited(Int32)
        case killed(by: Int32)
    }

    /// What there is between SIGTERM and SIGKILL.
    static let grace = Duration.seconds(2)
    /// The most that one message may make it print.
    static let outputLimit = 1 << 20

    let pid: pid_t
    private var input: Int32
    private var output: Int32
    private let keepsInput: Bool
    private var unwritten: ArraySlice<UInt8>
    /// What it printed and nobody took yet.
    var printed: [UInt8] = []
    private(set) var ending: Ending?
    private var isCondemned = false

    /// - Parameters:
    ///   - first: is there when it begins to read; even if we are killed, unless it is longer than a pipe is.
    ///   - keepsInput: more may be fed later; otherwise its input ends behind that.
    /// - Throws: why it cannot be started.
    init(
        _ words: [String], environment: [String], first: [UInt8] = [], keepsInput: Bool
    ) throws(UserError) {
        let pipes: (input: PipeEnds, output: PipeEnds)
        pipes.input = try PipeEnds()
        do throws(UserError) {
            pipes.output = try PipeEnds()
        } catch {
            pipes.input.close()
            throw error
        }
        defer {
            close(pipes.input.reading)
            close(pipes.output.writing)
        }
        for end in [pipes.input.writing, pipes.output.reading] { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
        let fed = first.withUnsafeBytes { Glibc.write(pipes.input.writing, $0.baseAddress, $0.count) }
        unwritten = first.dropFirst(max(0, fed))
        do throws(UserError) {
            pid = try Self.spawn(words, environment, pipes.input.reading, pipes.output.writing)
        } catch {
            close(pipes.input.writing)
            close(pipes.output.reading)
            throw error
        }
        (input, output) = (pipes.input.writing, pipes.output.reading)
        self.keepsInput = keepsInput
        write()
    }

    deinit {
        closeInput()
        closeOutput()
    }

    private func closeInput() {
        if input >= 0 { close(input) }
        input = -1
    }

    private func closeOutput() {
        if output >= 0 { close(output) }
        output = -1
    }

    /// What to wait for; a negative descriptor is not waited for.
    var interests: [pollfd] {
        [
            pollfd(fd: unwritten.isEmpty ? -1 : input, events: Int16(POLLOUT), revents: 0),
            pollfd(fd: printed.count > Self.outputLimit ? -1 : output, events: Int16(POLLIN), revents: 0),
        ]
    }

    /// Gives it this on standard input.
    func feed(_ bytes: [UInt8]) {
        unwritten += bytes
        write()
    }

    /// It printed more than it may.
    var isTooLoud: Bool { printed.count > Self.outputLimit }

    /// Moves what can be moved, and looks whether it has ended.
    func step() {
        write()
        let hasEnded = reap()
        // What it wrote before its end is there by now; what it left in the background may hold the pipe open.
        read()
        if hasEnded {
            closeInput()
            closeOutput()
        }
    }

    private func write() {
        while !unwritten.isEmpty, input >= 0 {
            let count = unwritten.withUnsafeBytes { Glibc.write(input, $0.baseAddress, $0.count) }
            if count > 0 {
                unwritten = unwritten.dropFirst(count)
            } else if errno != EINTR {
                guard errno != EAGAIN else { return }
                // It does not want it: that is its business.
                unwritten = []
                closeInput()
            }
        }
        if !keepsInput { closeInput() }
    }

    private func read() {
        while output >= 0, !isTooLoud {
            let count = withUnsafeTemporaryAllocation(byteCount: 16_384, alignment: 1) { room in
                let count = Glibc.read(output, room.baseAddress, room.count)
                if count > 0 { printed += room[..<count] }
                return count
            }
            if count == 0 { return closeOutput() }
            if count < 0, errno != EINTR { return errno == EAGAIN ? () : closeOutput() }
        }
    }

    private func reap() -> Bool {
        guard ending == nil else { return true }
        var news = siginfo_t()
        guard waitid(P_PID, id_t(pid), &news, WEXITED | WNOHANG | WNOWAIT) == 0, news.si_signo == SIGCHLD
        else { return false }
        // While it is not reaped, the number of its group cannot be another's.
        if isCondemned { kill(-pid, SIGKILL) }
        var status: Int32 = 0
        guard waitpid(pid, &status, 0) == pid else { return false }
        ending = status & 0x7f == 0 ? .exited(status >> 8 & 0xff) : .killed(by: status & 0x7f)
        return true
    }

    /// Has it and all it started end; what is left of them when it has ended is killed.
    func signal(_ number: Int32) {
        isCondemned = true
        if ending == nil { kill(-pid, number) }
    }

    /// Ends it at once.
    func destroy() {
        guard ending == nil else { return }
        kill(-pid, SIGKILL)
        while waitpid(pid, nil, 0) < 0, errno == EINTR {}
        ending = .killed(by: SIGKILL)
    }

    private static func spawn(
        _ words: [String], _ environment: [String], _ input: Int32, _ output: Int32
    ) throws(UserError) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        for number in [SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGCHLD] { sigaddset(&signals, number) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
        let arguments = words.map { strdup($0) } + [nil]
        let variables = inherited() + environment.map { strdup($0) } + [nil]
        defer { for text in arguments + variables { free(text) } }
        var pid: pid_t = 0
        let status = posix_spawnp(&pid, words[0], &actions, &attributes, arguments, variables)
        guard status == 0 else {
            throw UserError(
                .unreadableFile, "cannot run \"\(words[0])\": \(String(cString: strerror(status)))",
                hint: "give its path, and make it executable")
        }
        return pid
    }

    /// Our environment, to the byte, without what could pass for an id of the message.
    private static func inherited() -> [UnsafeMutablePointer<CChar>?] {
        var lines: [UnsafeMutablePointer<CChar>?] = []
        var place = environ
        while let line = place.pointee {
            let isOurs = BotEnvironment.names.contains { strncmp(line, "\($0)=", $0.utf8.count + 1) == 0 }
            if !isOurs { lines.append(strdup(line)) }
            place += 1
        }
        return lines
    }
}

/// Both ends of a pipe, for this process alone.
struct PipeEnds {
    let reading: Int32
    let writing: Int32

    init() throws(UserError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw UserError(.busy, "cannot make a pipe: \(String(cString: strerror(errno)))")
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (reading, writing) = (ends[0], ends[1])
    }

    func close() {
        Glibc.close(reading)
        Glibc.close(writing)
    }
}
