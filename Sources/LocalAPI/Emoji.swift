// Emojis as people write them (UTS #51).

/// Tells emojis from other characters.
public enum Emoji {
    /// Emojis separated by single spaces, none twice; an empty text has none.
    ///
    /// - Returns: nil if there is anything else in the text.
    public static func list(_ text: String) -> [String]? {
        guard !text.isEmpty else { return [] }
        let emojis = text.split(separator: " " as Character, omittingEmptySubsequences: false)
        guard emojis.allSatisfy({ $0.count == 1 && $0.allSatisfy(isEmoji) }),
            Set(emojis).count == emojis.count
        else { return nil }
        return emojis.map(String.init)
    }

    /// Digits and a few signs are emojis only with a variation selector, as in a keycap (UTS #51 §1.4.3).
    private static func isEmoji(_ character: Character) -> Bool {
        guard let first = character.unicodeScalars.first, first.properties.isEmoji else { return false }
        return first.value >= 0x2000 || character.unicodeScalars.contains("\u{fe0f}")
    }
}
