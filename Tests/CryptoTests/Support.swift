// What the tests share: hexadecimal, reproducible randomness, vector files.
import Foundation
import IMCrypto

enum VectorError: Error { case notHexadecimal, missing(String) }

func bytes(hex: String) throws -> Bytes {
    let digits = Array(hex.utf8)
    guard digits.count.isMultiple(of: 2) else { throw VectorError.notHexadecimal }
    return try stride(from: 0, to: digits.count, by: 2).map { index in
        let pair = String(decoding: digits[index...index + 1], as: UTF8.self)
        guard let byte = UInt8(pair, radix: 16) else { throw VectorError.notHexadecimal }
        return byte
    }
}

func secret(hex: String) throws -> SecretBytes { SecretBytes(try bytes(hex: hex)) }

/// SplitMix64: the same numbers in every run.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// Yields recorded bytes, then zeros.
struct ScriptedGenerator: RandomNumberGenerator {
    var bytes: ArraySlice<UInt8>

    init(_ bytes: Bytes) { self.bytes = bytes[...] }

    mutating func next() -> UInt64 {
        let word = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
        bytes = bytes.dropFirst(8)
        return word
    }
}

extension MessageKeys {
    /// Cipher key, MAC key, IV.
    var material: Bytes { cipherKey.bytes + macKey.bytes + iv }
}

func recorded<T: Decodable>(_ type: T.Type, _ name: String) throws -> T {
    guard let url = Bundle.module.url(forResource: name, withExtension: "json", subdirectory: "Vectors")
    else {
        throw VectorError.missing(name)
    }
    return try JSONDecoder().decode(type, from: Data(contentsOf: url))
}
