// How each part of an address is checked and normalised (RFC 7622 §3, PRECIS: RFC 8264 and 8265).

import Foundation

enum JIDPreparation {
    /// UsernameCaseMapped (RFC 8265 §3.3) without the characters of RFC 7622 §3.3.1.
    static func localpart(_ string: String) throws(JIDError) -> String {
        if string.isEmpty { throw .empty(.localpart) }
        let mapped = widthMapped(string)
        try check(mapped, .localpart, isIdentifier)
        let result = mapped.lowercased().precomposedStringWithCanonicalMapping
        try check(result, .localpart, isIdentifier)
        for scalar in result.unicodeScalars where isForbiddenInLocalpart(scalar) {
            throw .forbidden(scalar, .localpart)
        }
        guard followsBidiRule(result) else { throw .mixedDirections(.localpart) }
        return try fitting(result, .localpart)
    }

    /// OpaqueString (RFC 8265 §4.2).
    static func resourcepart(_ string: String) throws(JIDError) -> String {
        if string.isEmpty { throw .empty(.resourcepart) }
        var mapped = string
        if mapped.utf8.contains(where: { $0 >= 0x80 }) {
            var view = String.UnicodeScalarView()
            for scalar in string.unicodeScalars {
                view.append(scalar.properties.generalCategory == .spaceSeparator ? " " : scalar)
            }
            mapped = String(view).precomposedStringWithCanonicalMapping
        }
        try check(mapped, .resourcepart, isFreeform)
        return try fitting(mapped, .resourcepart)
    }

    /// A host name or IP address (RFC 7622 §3.2) in lower case, without the root's trailing dot.
    static func domainpart(_ string: String) throws(JIDError) -> String {
        var string = string
        if string.utf8.last == UInt8(ascii: ".") { string.removeLast() }
        if string.isEmpty { throw .empty(.domainpart) }
        if string.utf8.first == UInt8(ascii: "[") {
            guard isIPv6Literal(string) else { throw .notADomain }
            return string.lowercased()
        }
        let mapped = widthMapped(string)
        try check(mapped, .domainpart) { isIdentifier($0) && (!$0.isASCII || isHostCharacter($0)) }
        let result = mapped.lowercased().precomposedStringWithCanonicalMapping
        try check(result, .domainpart) { isIdentifier($0) && (!$0.isASCII || isHostCharacter($0)) }
        let labels = result.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        for label in labels {
            guard isLabel(label), followsBidiRule(String(decoding: label, as: UTF8.self)) else {
                throw .notADomain
            }
        }
        return try fitting(result, .domainpart)
    }

    private static func fitting(_ string: String, _ part: JIDError.Part) throws(JIDError) -> String {
        guard string.utf8.count <= JID.maxPartLength else { throw .tooLong(part) }
        return string
    }

    private static func check(
        _ string: String, _ part: JIDError.Part, _ isAllowed: (Unicode.Scalar) -> Bool
    ) throws(JIDError) {
        for scalar in string.unicodeScalars where !isAllowed(scalar) { throw .forbidden(scalar, part) }
    }
}

// MARK: ASCII

extension JIDPreparation {
    /// Letters may be of either case: the caller maps them. Empty is accepted: there is no localpart then.
    static func isPlainLocalpart(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> Bool {
        bytes.allSatisfy { $0 > 0x20 && !isForbiddenInLocalpart(Unicode.Scalar($0)) }
    }

    static func isPlainDomain(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> Bool {
        guard (1...JID.maxPartLength).contains(bytes.count) else { return false }
        var before = UInt8(ascii: ".")
        for byte in bytes {
            guard isHostCharacter(Unicode.Scalar(byte)) else { return false }
            let dot = UInt8(ascii: ".")
            let hyphen = UInt8(ascii: "-")
            if before == dot && (byte == dot || byte == hyphen) { return false }
            if before == hyphen && byte == dot { return false }
            before = byte
        }
        return before != UInt8(ascii: ".") && before != UInt8(ascii: "-")
    }

    static func isForbiddenInLocalpart(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "\"", "&", "'", "/", ":", "<", ">", "@", " ": true
        default: false
        }
    }

    /// Letters, digits, hyphen and dot; the underscore too, which host names of private networks contain.
    private static func isHostCharacter(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", "-", ".", "_": true
        default: false
        }
    }

    private static func isLabel(_ label: Substring.UTF8View) -> Bool {
        label.first != nil && label.first != UInt8(ascii: "-") && label.last != UInt8(ascii: "-")
    }

    private static func isIPv6Literal(_ string: String) -> Bool {
        guard string.utf8.last == UInt8(ascii: "]"), string.utf8.count <= 48 else { return false }
        var address = in6_addr()
        return inet_pton(AF_INET6, String(string.dropFirst().dropLast()), &address) == 1
    }
}

// MARK: PRECIS string classes

extension JIDPreparation {
    /// Full-width and half-width characters become the ordinary ones (RFC 8264 §5.2.1).
    private static func widthMapped(_ string: String) -> String {
        guard string.unicodeScalars.contains(where: isWidthVariant) else { return string }
        var result = ""
        for scalar in string.unicodeScalars {
            let one = String(scalar)
            result += isWidthVariant(scalar) ? one.precomposedStringWithCompatibilityMapping : one
        }
        return result
    }

    private static func isWidthVariant(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value == 0x3000 || (0xFF01...0xFFEE).contains(scalar.value)
    }

    /// IdentifierClass (RFC 8264 §4.2): letters, digits and printable ASCII.
    private static func isIdentifier(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII { return scalar.value > 0x20 && scalar.value < 0x7F }
        switch scalar.value {
        case 0xDF, 0x3C2, 0x6FD, 0x6FE, 0xF0B, 0x3007: return true  // §9.6, valid
        case 0xB7, 0x375, 0x5F3, 0x5F4, 0x30FB: return false  // valid only in certain company: refused
        default: break
        }
        guard isFreeform(scalar), !hasCompatibilityMapping(scalar) else { return false }
        switch scalar.properties.generalCategory {
        case .lowercaseLetter, .uppercaseLetter, .otherLetter, .decimalNumber, .modifierLetter,
            .nonspacingMark, .spacingMark:
            return true
        default: return false
        }
    }

    /// FreeformClass (RFC 8264 §4.3): everything printable. Joiners, valid only in certain company, are
    /// refused: they are invisible.
    private static func isFreeform(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII { return scalar.value >= 0x20 && scalar.value < 0x7F }
        switch scalar.value {
        case 0x640, 0x7FA, 0x302E, 0x302F, 0x3031...0x3035, 0x303B: return false  // §9.6, disallowed
        case 0x1100...0x11FF, 0xA960...0xA97F, 0xD7B0...0xD7FF: return false  // old Hangul, §9.9
        default: break
        }
        let properties = scalar.properties
        if properties.isDefaultIgnorableCodePoint || properties.isNoncharacterCodePoint { return false }
        if properties.isBidiControl || properties.isJoinControl { return false }
        switch properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator:
            return false
        default: return true
        }
    }

    private static func hasCompatibilityMapping(_ scalar: Unicode.Scalar) -> Bool {
        let one = String(scalar)
        return !one.precomposedStringWithCompatibilityMapping.unicodeScalars.elementsEqual(
            one.unicodeScalars)
    }

    /// The Bidi Rule (RFC 5893 §2), with a character's direction taken from its block.
    private static func followsBidiRule(_ string: String) -> Bool {
        let scalars = string.unicodeScalars.filter { $0.properties.canonicalCombiningClass == .notReordered }
        guard let first = scalars.first, let last = scalars.last, scalars.contains(where: isRightToLeft)
        else {
            return true
        }
        return isRightToLeft(first)
            && (isRightToLeft(last) || last.properties.generalCategory == .decimalNumber)
            && !scalars.contains { $0.properties.isAlphabetic && !isRightToLeft($0) }
    }

    private static func isRightToLeft(_ scalar: Unicode.Scalar) -> Bool {
        guard scalar.properties.isAlphabetic else { return false }
        switch scalar.value {
        case 0x590...0x8FF, 0xFB1D...0xFDFF, 0xFE70...0xFEFF, 0x10800...0x10FFF, 0x1E800...0x1EFFF:
            return true
        default: return false
        }
    }
}
