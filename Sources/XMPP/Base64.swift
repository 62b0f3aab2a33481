// Base64 exactly as RFC 4648 §4 defines it: padded and canonical.

public import IMCrypto

/// One byte string, one text: the strict form that SASL demands (RFC 6120 §6.4.2).
public enum Base64 {
    private static let alphabet = Bytes(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let padding = UInt8(ascii: "=")
    private static let space: UInt8 = 0xfe
    private static let foreign: UInt8 = 0xff

    /// The six bits of each character; `space` for white space.
    private static let values: Bytes = {
        var values = Bytes(repeating: foreign, count: 256)
        for (value, character) in alphabet.enumerated() { values[Int(character)] = UInt8(value) }
        for character in Bytes(" \t\r\n".utf8) { values[Int(character)] = space }
        return values
    }()

    /// With padding, without line breaks.
    public static func encode(_ bytes: Bytes) -> String {
        let count = (bytes.count + 2) / 3 * 4
        return String(unsafeUninitializedCapacity: count) { output in
            var at = 0
            var index = 0
            while index < bytes.count {
                let second = index + 1 < bytes.count ? bytes[index + 1] : 0
                let third = index + 2 < bytes.count ? bytes[index + 2] : 0
                let group = UInt32(bytes[index]) << 16 | UInt32(second) << 8 | UInt32(third)
                output[at] = alphabet[Int(group >> 18)]
                output[at + 1] = alphabet[Int(group >> 12 & 63)]
                output[at + 2] = index + 1 < bytes.count ? alphabet[Int(group >> 6 & 63)] : padding
                output[at + 3] = index + 2 < bytes.count ? alphabet[Int(group & 63)] : padding
                at += 4
                index += 3
            }
            return count
        }
    }

    /// - Parameter ignoringWhiteSpace: lets it stand anywhere, as XML Schema does.
    /// - Returns: nil for a foreign character, missing or misplaced padding, or bits that no encoder writes.
    public static func decode(_ text: String, ignoringWhiteSpace: Bool = false) -> Bytes? {
        var text = text
        return text.withUTF8 { decode($0, ignoringWhiteSpace) }
    }

    /// As above, for text that is in bytes.
    public static func decode(_ text: Bytes, ignoringWhiteSpace: Bool = false) -> Bytes? {
        text.withUnsafeBufferPointer { decode($0, ignoringWhiteSpace) }
    }

    private static func decode(_ text: UnsafeBufferPointer<UInt8>, _ ignoringWhiteSpace: Bool) -> Bytes? {
        var output = Bytes()
        output.reserveCapacity(text.count / 4 * 3 + 3)
        var group: UInt32 = 0
        var digits = 0
        var pads = 0
        for character in text {
            let value = values[Int(character)]
            if value < 64 {
                guard pads == 0 else { return nil }
                group = group << 6 | UInt32(value)
                digits += 1
                if digits == 4 {
                    output.append(UInt8(truncatingIfNeeded: group >> 16))
                    output.append(UInt8(truncatingIfNeeded: group >> 8))
                    output.append(UInt8(truncatingIfNeeded: group))
                    group = 0
                    digits = 0
                }
            } else if character == padding {
                pads += 1
                guard pads <= 2 else { return nil }
            } else if value == foreign || !ignoringWhiteSpace {
                return nil
            }
        }
        switch (digits, pads) {
        case (0, 0): return output
        case (2, 2) where group & 0xf == 0:
            output.append(UInt8(truncatingIfNeeded: group >> 4))
            return output
        case (3, 1) where group & 0x3 == 0:
            output.append(UInt8(truncatingIfNeeded: group >> 10))
            output.append(UInt8(truncatingIfNeeded: group >> 2))
            return output
        default: return nil
        }
    }
}
