// User names and passwords as RFC 4013 prepares them; base64 as RFC 4648 defines it.

import IMCrypto
import Testing

@testable import XMPP

@Suite struct SASLprepTests {
    @Test(arguments: [
        ("I\u{AD}X", "IX"), ("user", "user"), ("USER", "USER"), ("\u{AA}", "a"), ("\u{2168}", "IX"),
        ("\u{7}", nil), ("\u{627}1", nil),
    ])
    func `the examples of RFC 4013`(_ input: String, _ output: String?) {
        #expect(SASLprep.prepare(input) == output)
    }

    // Expectations from Python's stringprep module, which holds the tables of RFC 3454.
    @Test(arguments: [
        ("p\u{E4}ss", "p\u{E4}ss"), ("pa\u{308}ss", "p\u{E4}ss"), ("a\u{A0}b", "a b"), ("\u{3000}", " "),
        ("\u{200B}", " "), ("a\u{200D}b", "ab"), ("\u{FEFF}", nil), ("\u{FF21}", "A"), ("\u{FB01}", "fi"),
        ("\u{627}\u{628}", "\u{627}\u{628}"), ("\u{627}1\u{628}", "\u{627}1\u{628}"),
        ("\u{627}a\u{628}", nil),
        ("1\u{627}", nil), ("\u{5D0}", "\u{5D0}"), ("\u{E000}", nil), ("\u{FFFD}", nil), ("\u{202E}x", nil),
        ("\u{2FF0}", nil), ("\u{E0041}", nil), ("\u{10FFFE}", nil), ("\u{85}", nil), ("\u{6DD}", nil),
        ("\u{340}", "\u{300}"), ("\u{E004E}\u{30C}", nil), ("\u{FF66}\u{FF9E}", "\u{30FA}"),
        ("\u{FFBE}\u{FFD5}", "\u{D6FC}"), ("\u{2028}", nil), ("", nil), ("\u{AD}", nil), ("a\u{7F}", nil),
        ("\u{1F512}", "\u{1F512}"),
        ("\u{43F}\u{430}\u{440}\u{43E}\u{43B}\u{44C}", "\u{43F}\u{430}\u{440}\u{43E}\u{43B}\u{44C}"),
    ])
    func `strings are mapped, composed and checked`(_ input: String, _ output: String?) {
        #expect(SASLprep.prepare(input).map { Bytes($0.utf8) } == output.map { Bytes($0.utf8) })
        #expect(SASLprep.prepare(SecretBytes(input.utf8)) == output.map { SecretBytes($0.utf8) })
    }

    @Test func `an ASCII password is not copied`() {
        let password = SecretBytes("correct horse".utf8)
        #expect(SASLprep.prepare(password) === password)
    }
}

@Suite struct Base64Tests {
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ])
    func `the vectors of RFC 4648`(_ plain: String, _ encoded: String) {
        #expect(Base64.encode(Bytes(plain.utf8)) == encoded)
        #expect(Base64.decode(encoded) == Bytes(plain.utf8))
    }

    @Test(arguments: [
        "Z", "Zg", "Zg=", "Zg===", "====", "=Zg=", "Z===", "Zh==", "Zm9=", "Zm8=Zm8=", "Zm 8", "Zm9v\n",
        "Zm9-",
        "Zm9_", "Zg==Zg==", "Zm9v====", "Zm9vY===", "=", "Zm9vé", "\0", " ",
    ])
    func `anything but the canonical form is refused`(_ text: String) {
        #expect(Base64.decode(text) == nil)
        #expect(Base64.decode(Bytes(text.utf8)) == nil)
    }

    @Test func `white space may stand anywhere only where it is ignored`() {
        let text = "\n Zm 9v\tYg\r\n= = "
        #expect(Base64.decode(text, ignoringWhiteSpace: true) == Bytes("foob".utf8))
        #expect(Base64.decode(text) == nil)
        for text in ["Z g", "Zg = = =", "Zm9 - ", "\u{A0}"] {
            #expect(Base64.decode(text, ignoringWhiteSpace: true) == nil)
        }
    }

    @Test func `every byte survives`() {
        for count in 0..<300 {
            let bytes = Bytes((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) })
            #expect(Base64.decode(Base64.encode(bytes)) == bytes)
        }
    }
}
