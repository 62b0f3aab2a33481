// Addresses that can be taken for others, because their letters look like those of another script.

/// Letters that deceive the eye. An address with them is legal (RFC 7622 §9.3): show it with a warning.
public enum Lookalikes {
    /// Whether a label, a localpart or a word of a resourcepart mixes Latin, Greek and Cyrillic letters, or
    /// consists of Greek or Cyrillic ones that all look Latin.
    public static func areFound(in address: String) -> Bool {
        guard address.utf8.contains(where: { $0 >= 0x80 }) else { return false }
        let whole = address.unicodeScalars.split(separator: "/", maxSplits: 1)
        if whole.count > 1 {
            let words = whole[1].split { $0.properties.isWhitespace }
            if words.contains(where: { deceive($0) }) { return true }
        }
        return (whole.first ?? Substring.UnicodeScalarView())
            .split { $0 == "@" || $0 == "." }.contains { deceive($0) }
    }

    private static func deceive(_ part: Substring.UnicodeScalarView) -> Bool {
        let letters = part.filter { Script($0) != nil }
        let scripts = Set(letters.compactMap(Script.init))
        guard scripts.count == 1 else { return scripts.count > 1 }
        return scripts != [.latin] && letters.allSatisfy { latinTwins.contains($0) }
    }

    /// Greek and Cyrillic small letters that look like Latin ones; addresses are in small letters.
    private static let latinTwins = Set(
        "\u{3B1}\u{3B9}\u{3BA}\u{3BD}\u{3BF}\u{3C1}\u{3C5}\u{3C7}\u{430}\u{435}\u{43E}\u{440}\u{441}\u{443}\u{445}"
            .unicodeScalars
    ).union("\u{455}\u{456}\u{458}\u{475}\u{4BB}\u{4CF}\u{501}\u{51B}\u{51D}".unicodeScalars)

    /// The scripts whose letters look alike.
    private enum Script {
        case latin, greek, cyrillic

        init?(_ scalar: Unicode.Scalar) {
            guard scalar.properties.isAlphabetic else { return nil }
            switch scalar.value {
            case 0x41...0x24F, 0x1E00...0x1EFF, 0x2C60...0x2C7F, 0xA720...0xA7FF: self = .latin
            case 0x370...0x3FF, 0x1F00...0x1FFF: self = .greek
            case 0x400...0x52F, 0x1C80...0x1C8F, 0x2DE0...0x2DFF, 0xA640...0xA69F: self = .cyrillic
            default: return nil
            }
        }
    }
}
