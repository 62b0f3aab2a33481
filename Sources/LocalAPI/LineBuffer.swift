// Bytes to lines, with a limit: a line over it is skipped, not kept.

/// Collects bytes and gives out whole lines. Lines that hold only white space are skipped.
public struct LineBuffer: Sendable {
    /// What came.
    public enum Line: Equatable, Sendable {
        /// A line without its line feed.
        case line([UInt8])
        /// A line was longer than the limit; it was dropped up to its end.
        case tooLong
    }

    private let limit: Int
    private var bytes: [UInt8] = []
    private var start = 0  // where the unread part begins
    private var scanned = 0  // no line feed before this
    private var isSkipping = false

    /// - Parameter limit: the longest line in bytes, without its line feed.
    public init(limit: Int = maxLineLength) { self.limit = limit }

    /// Adds bytes as they were read. Call `next()` until it gives nil before adding more, so that memory stays
    /// within the limit plus one read.
    public mutating func append(_ more: UnsafeRawBufferPointer) {
        compact()
        bytes.append(contentsOf: more)
    }

    /// Adds bytes as they were read.
    public mutating func append(_ more: some Sequence<UInt8>) {
        compact()
        bytes.append(contentsOf: more)
    }

    /// The next whole line, or nil when more bytes are needed.
    public mutating func next() -> Line? {
        while true {
            guard let end = lineFeed() else {
                scanned = bytes.count
                if isSkipping {
                    start = bytes.count
                } else if bytes.count - start > limit {
                    isSkipping = true
                    start = bytes.count
                    return .tooLong
                }
                return nil
            }
            let line = bytes[start..<end]
            start = end + 1
            scanned = start
            if isSkipping {
                isSkipping = false
            } else if line.count > limit {
                return .tooLong
            } else if !line.allSatisfy({ $0 == 0x20 || $0 == 0x0d || $0 == 0x09 }) {
                return .line(Array(line))
            }
        }
    }

    /// The input has ended: what is left is a line too.
    public mutating func finish() -> Line? {
        if let line = next() { return line }
        guard !isSkipping, start < bytes.count else { return nil }
        bytes.append(0x0a)
        return next()
    }

    private func lineFeed() -> Int? {
        bytes.withUnsafeBufferPointer { buffer in
            var index = scanned
            while index < buffer.count {
                if buffer[index] == 0x0a { return index }
                index += 1
            }
            return nil
        }
    }

    /// Moves the unread part to the front once that is worth it, so that each byte moves a bounded number of times.
    private mutating func compact() {
        if start == bytes.count {
            bytes.removeAll(keepingCapacity: bytes.count <= 65_536)
        } else if start > 65_536, start > bytes.count / 2 {
            bytes.removeFirst(start)
        } else {
            return
        }
        scanned -= start
        start = 0
    }
}
