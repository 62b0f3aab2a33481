// The names a stream has used, each made into strings once.

import Glibc

/// An element's or attribute's name, resolved.
struct XMLName {
    let local: String
    let namespace: String
}

/// Finds names by their bytes, so that a repeated name costs a hash and a comparison but no allocation.
struct NameTable {
    /// Between the parts of a name that expat hands over; XML cannot contain it.
    static let separator: UInt8 = 0x0C

    private var names: [XMLName] = []
    private var hashes: [UInt64] = []
    private var starts: [Int] = [0]  // where each name's bytes start in `bytes`; the last, where they end
    private var bytes: [UInt8] = []
    private var slots: [Int32] = Array(repeating: -1, count: 256)  // open addressing; at most half full
    private let seed: UInt64  // so that a peer cannot choose names that collide

    init() { seed = UInt64(truncatingIfNeeded: 0x5EED.hashValue) }

    var count: Int { names.count }

    mutating func removeAll() { self = NameTable() }

    /// - Returns: the name's index for ``subscript(_:)``, stable until ``removeAll()``.
    mutating func intern(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
        let hash = Self.hash(bytes, seed: seed)
        var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while true {
            let index = Int(slots[slot])
            if index < 0 { break }
            if hashes[index] == hash && isEqual(index, bytes) { return index }
            slot = (slot + 1) & (slots.count - 1)
        }
        names.append(Self.name(bytes))
        hashes.append(hash)
        self.bytes.append(contentsOf: bytes)
        starts.append(self.bytes.count)
        slots[slot] = Int32(names.count - 1)
        if names.count * 2 > slots.count { grow() }
        return names.count - 1
    }

    subscript(_ index: Int) -> XMLName { names[index] }

    private func isEqual(_ index: Int, _ other: UnsafeBufferPointer<UInt8>) -> Bool {
        guard starts[index + 1] - starts[index] == other.count, let start = other.baseAddress else {
            return false
        }
        return bytes.withUnsafeBytes { all in
            all.baseAddress.map { memcmp($0 + starts[index], start, other.count) == 0 } ?? false
        }
    }

    private mutating func grow() {
        slots = Array(repeating: -1, count: slots.count * 2)
        for (index, hash) in hashes.enumerated() {
            var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
            while slots[slot] >= 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = Int32(index)
        }
    }

    private static func hash(_ bytes: UnsafeBufferPointer<UInt8>, seed: UInt64) -> UInt64 {
        var hash = seed ^ UInt64(bytes.count)
        var index = 0
        let raw = UnsafeRawBufferPointer(bytes)
        while index &+ 8 <= bytes.count {
            hash = (hash ^ raw.loadUnaligned(fromByteOffset: index, as: UInt64.self)) &* 0x9E37_79B9_7F4A_7C15
            hash ^= hash >> 29
            index &+= 8
        }
        while index < bytes.count {
            hash = (hash ^ UInt64(bytes[index])) &* 0x0000_0100_0000_01B3
            index &+= 1
        }
        hash ^= hash >> 32
        return hash &* 0x9E37_79B9_7F4A_7C15 ^ (hash >> 15)
    }

    /// `local`, `namespace␌local` or `namespace␌local␌prefix`.
    private static func name(_ bytes: UnsafeBufferPointer<UInt8>) -> XMLName {
        let parts = bytes.split(separator: separator, omittingEmptySubsequences: false)
        if parts.count < 2 { return XMLName(local: String(decoding: bytes, as: UTF8.self), namespace: "") }
        return XMLName(
            local: String(decoding: parts[1], as: UTF8.self),
            namespace: String(decoding: parts[0], as: UTF8.self))
    }
}
