// How user names and passwords are prepared before SASL hashes them (RFC 4013).

import Foundation
import IMCrypto

/// The stringprep profile of SASL. Code points that Unicode 3.2 did not know are let through, as a query may.
enum SASLprep {
    /// The prepared string; nil if it is empty or holds what is prohibited (RFC 4013 §2).
    static func prepare(_ string: String) -> String? {
        if let plain = isPlain(string.utf8) { return plain ? string : nil }
        var mapped = String.UnicodeScalarView()
        for scalar in string.unicodeScalars {
            if isSpace(scalar) {
                mapped.append(" ")
            } else if !isMappedToNothing(scalar) {
                mapped.append(scalar)
            }
        }
        // COMPAT: Foundation's NFKC (Swift 6.3) leaves half-width marks uncomposed, which the second step
        // mends, and composes tag characters as if they were letters, so those are looked for first.
        guard !mapped.contains(where: isTag) else { return nil }
        let result = String(mapped).precomposedStringWithCompatibilityMapping
            .precomposedStringWithCanonicalMapping
        let scalars = result.unicodeScalars
        guard !scalars.isEmpty, !scalars.contains(where: isProhibited), followsBidiRule(scalars) else {
            return nil
        }
        return result
    }

    /// A password in UTF-8, prepared. An ASCII one never leaves protected memory.
    static func prepare(_ password: SecretBytes) -> SecretBytes? {
        let plain = password.withUnsafeBytes { isPlain($0) }
        if let plain { return plain ? password : nil }
        let string = password.withUnsafeBytes { String(validating: $0, as: UTF8.self) }
        return string.flatMap { prepare($0) }.map { SecretBytes($0.utf8) }
    }

    /// Whether an ASCII string is fine as it is; nil if it is not ASCII.
    private static func isPlain(_ bytes: some Collection<UInt8>) -> Bool? {
        if bytes.contains(where: { $0 >= 0x80 }) { return nil }
        return !bytes.isEmpty && bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    }
}

// MARK: The tables of RFC 3454

extension SASLprep {
    /// C.1.2, non-ASCII spaces.
    private static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0xA0, 0x1680, 0x2000...0x200B, 0x202F, 0x205F, 0x3000: true
        default: false
        }
    }

    /// B.1, commonly mapped to nothing.
    private static func isMappedToNothing(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0xAD, 0x34F, 0x1806, 0x180B...0x180D, 0x200C, 0x200D, 0x2060, 0xFE00...0xFE0F, 0xFEFF: true
        default: false
        }
    }

    /// C.9.
    private static func isTag(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value == 0xE0001 || (0xE0020...0xE007F).contains(scalar.value)
    }

    /// C.1.2 and C.2.1 to C.9.
    private static func isProhibited(_ scalar: Unicode.Scalar) -> Bool {
        if isSpace(scalar) || isTag(scalar) || scalar.value & 0xFFFE == 0xFFFE { return true }
        switch scalar.value {
        case 0...0x1F, 0x7F...0x9F,  // control characters
            0x6DD, 0x70F, 0x180E, 0x200C, 0x200D, 0x2028, 0x2029, 0x2060...0x2063, 0xFEFF,
            0x1D173...0x1D17A,
            0xE000...0xF8FF, 0xF0000...0xFFFFD, 0x100000...0x10FFFD,  // private use
            0xFDD0...0xFDEF,  // not characters
            0xFFF9...0xFFFD,  // inappropriate for plain text
            0x2FF0...0x2FFB,  // inappropriate for canonical representation
            0x340, 0x341, 0x200E, 0x200F, 0x202A...0x202E, 0x206A...0x206F:  // display and deprecated
            return true
        default: return false
        }
    }

    /// RFC 3454 §6: right-to-left text holds nothing left-to-right, and begins and ends right-to-left.
    private static func followsBidiRule(_ scalars: String.UnicodeScalarView) -> Bool {
        guard scalars.contains(where: isRightToLeft) else { return true }
        guard let first = scalars.first, let last = scalars.last else { return true }
        return isRightToLeft(first) && isRightToLeft(last) && !scalars.contains(where: isLeftToRight)
    }

    /// D.1.
    private static func isRightToLeft(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x5BE, 0x5C0, 0x5C3, 0x5D0...0x5EA, 0x5F0...0x5F4, 0x61B, 0x61F, 0x621...0x63A, 0x640...0x64A,
            0x66D...0x66F, 0x671...0x6D5, 0x6DD, 0x6E5, 0x6E6, 0x6FA...0x6FE, 0x700...0x70D, 0x710,
            0x712...0x72C, 0x780...0x7A5, 0x7B1, 0x200F, 0xFB1D, 0xFB1F...0xFB28, 0xFB2A...0xFB36,
            0xFB38...0xFB3C, 0xFB3E, 0xFB40, 0xFB41, 0xFB43, 0xFB44, 0xFB46...0xFBB1, 0xFBD3...0xFD3D,
            0xFD50...0xFD8F, 0xFD92...0xFDC7, 0xFDF0...0xFDFC, 0xFE70...0xFE74, 0xFE76...0xFEFC:
            true
        default: false
        }
    }

    /// D.2, from the character's category: the table is what Unicode calls bidirectional class L, and its
    /// letters and spacing marks are what matters in words.
    private static func isLeftToRight(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x590...0x8FF, 0xFB1D...0xFDFF, 0xFE70...0xFEFF, 0x10800...0x10FFF, 0x1E800...0x1EFFF:
            return false
        default: break
        }
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter,
            .spacingMark, .letterNumber:
            return true
        default: return false
        }
    }
}
