// What goes to a hook and comes from it while it runs, neither waiting for the other.
import Glibc

/// Our ends of the three pipes.
struct HookTalk: ~Copyable {
    private(set) var output: [UInt8] = []
    private(set) var errors: [UInt8] = []
    private var input: [UInt8]
    private var written = 0
    /// To its input, from its output, from its standard error; -1 when done.
    private var descriptors: [Int32]

    /// Takes the descriptors over.
    init(input: [UInt8], descriptors: [Int32]) {
        self.input = input
        self.descriptors = descriptors
        for descriptor in descriptors {
            _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        }
    }

    deinit { for descriptor in descriptors where descriptor >= 0 { close(descriptor) } }

    /// Waits for something to happen, at most so many milliseconds.
    /// - Parameter end: becomes readable when the process has ended.
    /// - Returns: whether it has.
    mutating func exchange(until end: Int32, _ milliseconds: Int32) -> Bool {
        var places = [
            pollfd(fd: descriptors[0], events: Int16(POLLOUT), revents: 0),
            pollfd(fd: descriptors[1], events: Int16(POLLIN), revents: 0),
            pollfd(fd: descriptors[2], events: Int16(POLLIN), revents: 0),
            pollfd(fd: end, events: Int16(POLLIN), revents: 0),
        ]
        guard poll(&places, nfds_t(places.count), milliseconds) > 0 else { return false }
        if places[0].revents != 0 { feed() }
        for index in 1...2 where places[index].revents != 0 { listen(index) }
        return places[3].revents != 0
    }

    /// What it printed last; not what others that hold the pipe may still print.
    mutating func finish() { for index in 1...2 { listen(index) } }

    /// A hook that does not read all of it has what it wants.
    private mutating func feed() {
        let count = input.withUnsafeBytes { bytes in
            write(descriptors[0], bytes.baseAddress.map { $0 + written }, bytes.count - written)
        }
        if count > 0 { written += count }
        let isOver = count < 0 && errno != EAGAIN && errno != EINTR
        if isOver || written == input.count { close(0) }
    }

    private mutating func listen(_ index: Int) {
        guard descriptors[index] >= 0 else { return }
        var bytes = [UInt8](repeating: 0, count: 4096)
        // No more in one go than it can have printed before it ended, so that what goes on printing ends nothing.
        for _ in 0..<32 {
            let count = bytes.withUnsafeMutableBytes { read(descriptors[index], $0.baseAddress, $0.count) }
            if count == 0 { return close(index) }
            guard count > 0 else { return }
            keep(bytes.prefix(count), index)
        }
    }

    private mutating func keep(_ bytes: ArraySlice<UInt8>, _ index: Int) {
        let limit = HookProcess.outputLimit
        if index == 1 {
            output += bytes.prefix(limit - output.count)
        } else {
            errors += bytes
            if errors.count > limit { errors.removeFirst(errors.count - limit) }
        }
    }

    private mutating func close(_ index: Int) {
        Glibc.close(descriptors[index])
        descriptors[index] = -1
    }

    private func close(_ descriptor: Int32) { Glibc.close(descriptor) }
}
