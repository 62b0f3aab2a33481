// Message keys kept for messages that were overtaken, oldest first, within a limit.

/// Runs of message keys by ratchet key. Copying costs nothing; a change rewrites one run.
struct SkippedKeys: Sendable {
    /// A message number, big-endian, and a message key.
    static let entrySize = 4 + 32

    /// Keys of one chain that were skipped one after the other. A chain may own several runs.
    struct Run: Sendable {
        let dh: PublicKey
        let entries: SecretBytes

        var count: Int { entries.count / SkippedKeys.entrySize }

        func offset(of n: UInt32) -> Int? {
            entries.withUnsafeBytes { bytes in
                stride(from: 0, to: bytes.count, by: SkippedKeys.entrySize).first { start in
                    UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self)) == n
                }
            }
        }
    }

    private(set) var runs: [Run] = []
    private(set) var count = 0

    init() {}

    init(runs: [Run]) {
        self.runs = runs
        count = runs.reduce(0) { $0 + $1.count }
    }

    func contains(_ dh: PublicKey) -> Bool { runs.contains { $0.dh == dh } }

    /// Adds keys as the newest and lets the oldest go beyond `DoubleRatchet.maxSkip`.
    mutating func append(_ entries: SecretBytes, of dh: PublicKey) {
        count += entries.count / Self.entrySize
        if let last = runs.last, last.dh == dh {
            let joined = SecretBytes(count: last.entries.count + entries.count) { out in
                last.entries.withUnsafeBytes { out.copyMemory(from: $0) }
                let rest = UnsafeMutableRawBufferPointer(rebasing: out[last.entries.count...])
                entries.withUnsafeBytes { rest.copyMemory(from: $0) }
            }
            runs[runs.count - 1] = Run(dh: dh, entries: joined)
        } else {
            runs.append(Run(dh: dh, entries: entries))
        }
        while count > DoubleRatchet.maxSkip {
            removeOldest(count - DoubleRatchet.maxSkip)
        }
    }

    /// Removes one message's key and derives its keys.
    ///
    /// - Returns: nil if it is not kept; nothing changes.
    mutating func take(
        _ n: UInt32, of dh: PublicKey, _ parameters: DoubleRatchet.Parameters
    ) -> MessageKeys? {
        for (index, run) in runs.enumerated() where run.dh == dh {
            guard let offset = run.offset(of: n) else { continue }
            let end = offset + Self.entrySize
            let keys = run.entries.withUnsafeBytes {
                MessageKeys(UnsafeRawBufferPointer(rebasing: $0[(offset + 4)..<end]), parameters)
            }
            remove(offset..<end, inRun: index)
            return keys
        }
        return nil
    }

    private mutating func removeOldest(_ excess: Int) {
        guard let first = runs.first else { return }
        remove(0..<min(excess * Self.entrySize, first.entries.count), inRun: 0)
    }

    private mutating func remove(_ range: Range<Int>, inRun index: Int) {
        let (dh, old) = (runs[index].dh, runs[index].entries)
        count -= range.count / Self.entrySize
        guard range.count < old.count else {
            runs.remove(at: index)
            return
        }
        let shorter = SecretBytes(count: old.count - range.count) { out in
            old.withUnsafeBytes { old in
                out.copyMemory(from: UnsafeRawBufferPointer(rebasing: old[..<range.lowerBound]))
                UnsafeMutableRawBufferPointer(rebasing: out[range.lowerBound...])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: old[range.upperBound...]))
            }
        }
        runs[index] = Run(dh: dh, entries: shorter)
    }
}
