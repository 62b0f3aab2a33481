// From the Montgomery to the Edwards form of a public key: arithmetic modulo 2^255-19.

/// The map that libsodium lacks. Variable time: for public keys only.
enum EdwardsConversion {
    /// Whether 32 bytes, little-endian, are below 2^255-19.
    ///
    /// - Parameter ignoringTopBit: for Edwards encodings, whose top bit is the sign of x.
    static func isCanonical(_ bytes: Bytes, ignoringTopBit: Bool = false) -> Bool {
        let top = ignoringTopBit ? bytes[31] & 0x7f : bytes[31]
        guard top == 0x7f else { return top < 0x7f }
        return bytes[0] < 0xed || bytes[1..<31].contains { $0 != 0xff }
    }

    /// y = (u - 1) / (u + 1), the birational map of RFC 7748 §4.1, sign bit clear.
    ///
    /// - Parameter u: 32 bytes, canonical.
    /// - Returns: nil for u = -1, where the map is undefined. Whether y belongs to a point is not checked.
    static func edwardsY(montgomeryU u: Bytes) -> Bytes? {
        let u = FieldElement(u)
        let denominator = u.addingOne()
        guard denominator.bytes.contains(where: { $0 != 0 }) else { return nil }
        return (u.subtractingOne() * denominator.inverted()).bytes
    }
}

/// An integer modulo 2^255-19 in five limbs of 51 bits; limbs may grow to 53 bits between multiplications.
struct FieldElement {
    private var limbs: (UInt64, UInt64, UInt64, UInt64, UInt64)
    private static let mask: UInt64 = (1 << 51) - 1

    private init(_ limbs: (UInt64, UInt64, UInt64, UInt64, UInt64)) {
        self.limbs = limbs
    }

    /// - Parameter bytes: 32 bytes, little-endian; the top bit is ignored.
    init(_ bytes: Bytes) {
        precondition(bytes.count == 32)
        func word(_ start: Int) -> UInt64 {
            (0..<8).reduce(0) { $0 | UInt64(bytes[start + $1]) << UInt64(8 * $1) }
        }
        // Limb i starts at bit 51i.
        limbs = (
            word(0) & Self.mask, (word(6) >> 3) & Self.mask, (word(12) >> 6) & Self.mask,
            (word(19) >> 1) & Self.mask, (word(24) >> 12) & Self.mask
        )
    }

    func addingOne() -> FieldElement {
        FieldElement((limbs.0 &+ 1, limbs.1, limbs.2, limbs.3, limbs.4))
    }

    /// Adds 2p first, so that no limb goes below zero.
    func subtractingOne() -> FieldElement {
        let twoP: UInt64 = (1 << 52) - 2
        return FieldElement(
            (
                limbs.0 &+ (1 << 52) &- 39, limbs.1 &+ twoP, limbs.2 &+ twoP, limbs.3 &+ twoP,
                limbs.4 &+ twoP
            ))
    }

    static func * (a: FieldElement, b: FieldElement) -> FieldElement {
        let (a, b) = (a.limbs, b.limbs)
        // 2^255 = 19, so limbs beyond the fifth come back times 19.
        let (c1, c2, c3, c4) = (b.1 &* 19, b.2 &* 19, b.3 &* 19, b.4 &* 19)
        let r0 = wide(a.0, b.0) &+ wide(a.1, c4) &+ wide(a.2, c3) &+ wide(a.3, c2) &+ wide(a.4, c1)
        let r1 = wide(a.0, b.1) &+ wide(a.1, b.0) &+ wide(a.2, c4) &+ wide(a.3, c3) &+ wide(a.4, c2)
        let r2 = wide(a.0, b.2) &+ wide(a.1, b.1) &+ wide(a.2, b.0) &+ wide(a.3, c4) &+ wide(a.4, c3)
        let r3 = wide(a.0, b.3) &+ wide(a.1, b.2) &+ wide(a.2, b.1) &+ wide(a.3, b.0) &+ wide(a.4, c4)
        let r4 = wide(a.0, b.4) &+ wide(a.1, b.3) &+ wide(a.2, b.2) &+ wide(a.3, b.1) &+ wide(a.4, b.0)
        return carried(r0, r1, r2, r3, r4)
    }

    /// The inverse by Fermat: self^(2^255-21); zero stays zero.
    func inverted() -> FieldElement {
        // 2^255 - 21 = (2^250 - 1) * 2^5 + 11
        var power = self  // self^(2^n - 1), n = 1
        var n = 1
        for next in [3, 7, 15, 31, 62, 125, 250] {
            power = power.squared(n) * power
            n *= 2
            if n < next {
                power = power.squared(1) * self
                n += 1
            }
        }
        let eleventh = squared(3) * squared(1) * self
        return power.squared(5) * eleventh
    }

    /// 32 bytes, little-endian, fully reduced.
    var bytes: Bytes {
        var t = FieldElement.carried(
            UInt128(limbs.0), UInt128(limbs.1), UInt128(limbs.2), UInt128(limbs.3), UInt128(limbs.4)
        ).limbs
        // Now below 2^255 + a little: subtract p once if t + 19 reaches 2^255.
        var quotient = (t.0 &+ 19) >> 51
        quotient = (t.1 &+ quotient) >> 51
        quotient = (t.2 &+ quotient) >> 51
        quotient = (t.3 &+ quotient) >> 51
        quotient = (t.4 &+ quotient) >> 51
        t.0 &+= 19 &* quotient
        t.1 &+= t.0 >> 51
        t.2 &+= t.1 >> 51
        t.3 &+= t.2 >> 51
        t.4 &+= t.3 >> 51
        let reduced = [t.0, t.1, t.2, t.3, t.4].map { $0 & Self.mask }
        let words = [
            reduced[0] | reduced[1] << 51, reduced[1] >> 13 | reduced[2] << 38,
            reduced[2] >> 26 | reduced[3] << 25, reduced[3] >> 39 | reduced[4] << 12,
        ]
        return words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(8 * $0)) } }
    }

    private func squared(_ times: Int) -> FieldElement {
        (0..<times).reduce(self) { value, _ in value * value }
    }

    @inline(__always)
    private static func wide(_ a: UInt64, _ b: UInt64) -> UInt128 { UInt128(a) &* UInt128(b) }

    /// Brings every limb below 2^51, the lowest possibly a few bits above.
    private static func carried(
        _ r0: UInt128, _ r1: UInt128, _ r2: UInt128, _ r3: UInt128, _ r4: UInt128
    ) -> FieldElement {
        let mask = UInt128(Self.mask)
        let r1 = r1 &+ r0 >> 51
        let r2 = r2 &+ r1 >> 51
        let r3 = r3 &+ r2 >> 51
        let r4 = r4 &+ r3 >> 51
        let low = (r0 & mask) &+ 19 &* (r4 >> 51)
        let second = (r1 & mask) &+ (low >> 51)
        return FieldElement(
            (
                UInt64(truncatingIfNeeded: low & mask), UInt64(truncatingIfNeeded: second),
                UInt64(truncatingIfNeeded: r2 & mask), UInt64(truncatingIfNeeded: r3 & mask),
                UInt64(truncatingIfNeeded: r4 & mask)
            ))
    }
}
