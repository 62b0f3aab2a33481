// Makes text from others harmless on a terminal: control and direction characters become visible.

/// Escapes what could drive a terminal or hide the order of characters.
public enum TerminalText {
    /// C0 but tab and line feed, DEL, C1, line separators and everything that changes text direction or hides
    /// in it.
    ///
    /// Joiners and variation selectors stay: scripts and emoji need them and they drive nothing.
    public static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09, 0x0a: false
        case 0x00..<0x20, 0x7f...0x9f: true
        case 0x00ad, 0x061c, 0x180e, 0x200b, 0x200e, 0x200f: true
        case 0x2028...0x202e, 0x2066...0x206f, 0xfeff, 0xfff9...0xfffb: true
        case 0xe0000...0xe007f: true
        default: false
        }
    }

    /// - Parameters:
    ///   - text: what somebody else wrote.
    ///   - keepsLines: leave line feeds and tabs as they are; otherwise they are escaped too.
    /// - Returns: the text with each unsafe character as `\u` and four or more hexadecimal digits.
    public static func escape(_ text: String, keepsLines: Bool) -> String {
        func mustEscape(_ scalar: Unicode.Scalar) -> Bool {
            isUnsafe(scalar) || (!keepsLines && scalar.value < 0x20)
        }
        guard text.unicodeScalars.contains(where: mustEscape) else { return text }
        var escaped = ""
        for scalar in text.unicodeScalars {
            guard mustEscape(scalar) else {
                escaped.unicodeScalars.append(scalar)
                continue
            }
            let digits = String(scalar.value, radix: 16)
            escaped += "\\u" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
        }
        return escaped
    }
}
