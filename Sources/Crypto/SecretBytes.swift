// Key memory: wiped when the last reference goes, never printed, never encoded by accident.
import CSodium

/// Immutable secret bytes, in locked memory as far as there is any, overwritten with zeros before it is freed.
///
/// Prints as `<secret>` and shows nothing to reflection. Comparison takes constant time.
public final class SecretBytes: Sendable, Equatable {
    /// Size in bytes.
    public let count: Int
    // Written only during initialisation.
    nonisolated(unsafe) private let base: UnsafeMutableRawPointer

    /// Reserves `count` zeroed bytes and lets `fill` write them in place.
    ///
    /// - Throws: what `fill` throws; the memory is wiped then too.
    public init<E: Error>(count: Int, fill: (UnsafeMutableRawBufferPointer) throws(E) -> Void) throws(E) {
        precondition(count >= 0)
        self.count = count
        base = LockedMemory.allocate(count)
        try fill(UnsafeMutableRawBufferPointer(start: base, count: count))
    }

    /// Copies `bytes`. The original is the caller's to forget.
    public convenience init(_ bytes: some Collection<UInt8>) {
        self.init(count: bytes.count) { $0.copyBytes(from: bytes) }
    }

    /// Draws `count` bytes: one 64-bit word per 8 bytes, little-endian.
    public static func random(count: Int, using random: inout some RandomNumberGenerator) -> SecretBytes {
        SecretBytes(count: count) { buffer in
            var word: UInt64 = 0
            for index in 0..<buffer.count {
                if index % 8 == 0 { word = random.next() }
                buffer[index] = UInt8(truncatingIfNeeded: word)
                word >>= 8
            }
        }
    }

    deinit { LockedMemory.deallocate(base, count) }

    /// Lends the bytes. The pointer must not outlive `body`.
    @inline(__always)
    public func withUnsafeBytes<R, E: Error>(
        _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        defer { withExtendedLifetime(self) {} }
        return try body(UnsafeRawBufferPointer(start: base, count: count))
    }

    /// A copy of part of the bytes, equally protected.
    ///
    /// - Parameter range: must lie within `0..<count`.
    public func slice(_ range: Range<Int>) -> SecretBytes {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "slice outside the secret")
        return withUnsafeBytes { SecretBytes(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    /// An unprotected copy, for handing to storage or to the wire only.
    public var bytes: Bytes { withUnsafeBytes { Bytes($0) } }

    /// Constant-time; sizes are not secret.
    public static func == (a: SecretBytes, b: SecretBytes) -> Bool {
        a.count == b.count && sodium_memcmp(a.base, b.base, a.count) == 0
    }
}

extension SecretBytes: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Always `<secret>`.
    public var description: String { "<secret>" }
    /// Always `<secret>`.
    public var debugDescription: String { "<secret>" }
    /// Shows no children.
    public var customMirror: Mirror { Mirror(self, children: EmptyCollection<Mirror.Child>()) }
}
