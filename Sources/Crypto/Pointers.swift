// Non-optional buffer starts, as libsodium's declarations demand, also of empty buffers.

/// Where empty buffers point: never read or written.
nonisolated(unsafe) private let nowhere = UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 1)

extension UnsafeRawBufferPointer {
    var start: UnsafeRawPointer { baseAddress ?? UnsafeRawPointer(nowhere) }
}

extension UnsafeMutableRawBufferPointer {
    var start: UnsafeMutableRawPointer { baseAddress ?? nowhere }
}

extension UnsafeMutableBufferPointer where Element == UInt8 {
    var start: UnsafeMutablePointer<UInt8> { baseAddress ?? nowhere.assumingMemoryBound(to: UInt8.self) }
}
