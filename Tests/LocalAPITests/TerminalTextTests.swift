// Text from others on a terminal: nothing in it may drive the terminal or hide (threats.md row 39).

import LocalAPI
import Testing

struct TerminalTextTests {
    @Test(arguments: [
        ("\u{1b}]52;c;aGk=\u{7}", "\\u001b]52;c;aGk=\\u0007"),
        ("\u{9b}31mred", "\\u009b31mred"),
        ("safe\rspoof", "safe\\u000dspoof"),
        ("a\u{8}\u{8}b", "a\\u0008\\u0008b"),
        ("del\u{7f}", "del\\u007f"),
        ("\u{202e}gpj.exe", "\\u202egpj.exe"),
        ("\u{2066}a\u{2069}", "\\u2066a\\u2069"),
        ("\u{200f}\u{61c}\u{200b}", "\\u200f\\u061c\\u200b"),
        ("\u{2028}\u{85}", "\\u2028\\u0085"),
        ("tag\u{e0041}", "tag\\ue0041"),
        ("nul\u{0}", "nul\\u0000"),
    ])
    func `a control becomes visible`(_ text: String, _ shown: String) {
        #expect(TerminalText.escape(text, keepsLines: true) == shown)
        #expect(TerminalText.escape(text, keepsLines: false) == shown)
    }

    @Test(arguments: ["plain", "é€😀", "👩‍👩‍👧", "\u{2764}\u{fe0f}", "שלום", "日本", "back\\slash", ""])
    func `ordinary text stays as it is`(_ text: String) {
        #expect(TerminalText.escape(text, keepsLines: false) == text)
    }

    @Test func `line feeds and tabs stay only where lines may`() {
        #expect(TerminalText.escape("a\n\tb", keepsLines: true) == "a\n\tb")
        #expect(TerminalText.escape("a\n\tb", keepsLines: false) == "a\\u000a\\u0009b")
    }

    @Test func `a carriage return before a line feed cannot hide in one character`() {
        #expect(TerminalText.escape("a\r\nb", keepsLines: true) == "a\\u000d\nb")
    }

    @Test func `no C0 but tab and line feed, no DEL and no C1 survives`() {
        for value in (UInt32(0)..<0x20).filter({ $0 != 9 && $0 != 10 }) + Array(0x7f...0x9f) {
            guard let scalar = Unicode.Scalar(value) else { continue }
            #expect(TerminalText.isUnsafe(scalar))
        }
    }
}
