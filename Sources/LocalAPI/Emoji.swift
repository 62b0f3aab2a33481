// Emojis as people write them (UTS #51).

/// Tells emojis from other characters.
enum Emoji {
    /// How many there may be.
    static let maxCount = 20

    /// Emojis separated by single spaces, none twice; an empty text has none.
    ///
    /// - Returns: nil if there is anything else in the text, or more than `maxCount`.
    static func list(_ text: String) -> [String]? {
        guard !text.isEmpty else { return [] }
        // No emoji takes more than 40 bytes.
        guard text.utf8.count <= maxCount * 41 else { return nil }
        let words = text.split(separator: " " as Character, omittingEmptySubsequences: false).map(String.init)
        guard words.count <= maxCount, words.allSatisfy({ $0.count == 1 && isEmoji($0.unicodeScalars) }),
            Set(words.map { $0.unicodeScalars.filter { $0 != emojiStyle }.map(\.value) }).count == words.count
        else { return nil }
        return words
    }

    private static let emojiStyle: Unicode.Scalar = "\u{fe0f}"
    private static let joiner: Unicode.Scalar = "\u{200d}"
    private static let keycap: Unicode.Scalar = "\u{20e3}"

    /// One character that is an emoji and not only looks like the beginning of one (§1.4).
    private static func isEmoji(_ character: String.UnicodeScalarView) -> Bool {
        guard let first = character.first, let last = character.last, first.properties.isEmoji else {
            return false
        }
        // Flags: two letters, or a black flag with a region in tags.
        if isRegional(first) { return character.count == 2 && character.allSatisfy(isRegional) }
        if character.contains(where: isTag) {
            let tags = character.dropFirst()
            return first == "\u{1f3f4}" && tags.count > 1 && tags.allSatisfy(isTag) && last == "\u{e007f}"
        }
        // Digits and a few signs are emojis only as keycaps, and letters like © only in that style.
        if first.value < 0x80 {
            return character.elementsEqual([first, emojiStyle, keycap])
                || character.elementsEqual([first, keycap])
        }
        if first.value < 0x2000 { return character.elementsEqual([first, emojiStyle]) }
        return last != joiner
            && character.allSatisfy {
                $0.properties.isEmoji && $0.value >= 0x2000 || $0 == joiner || $0 == emojiStyle
            }
    }

    private static func isRegional(_ scalar: Unicode.Scalar) -> Bool {
        (0x1f1e6...0x1f1ff).contains(scalar.value)
    }

    private static func isTag(_ scalar: Unicode.Scalar) -> Bool { (0xe0020...0xe007f).contains(scalar.value) }
}
