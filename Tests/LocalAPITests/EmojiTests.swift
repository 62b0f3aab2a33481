// What counts as a reaction (XEP-0444 §3.3, UTS #51).
import Testing

@testable import LocalAPI

struct EmojiTests {
    @Test(arguments: [
        ("", []), ("👍", ["👍"]), ("👍 🎉", ["👍", "🎉"]), ("❤️", ["❤️"]), ("❤", ["❤"]), ("👍🏽", ["👍🏽"]),
        ("👩‍👩‍👧", ["👩‍👩‍👧"]), ("🇩🇪", ["🇩🇪"]), ("1️⃣", ["1️⃣"]), ("©️", ["©️"]), ("✅ ❌", ["✅", "❌"]),
        ("🏴󠁧󠁢󠁳󠁣󠁴󠁿", ["🏴󠁧󠁢󠁳󠁣󠁴󠁿"]), ("❤️‍🔥", ["❤️‍🔥"]), ("#️⃣", ["#️⃣"]), ("™", ["™"]),
    ])
    func `emojis stand alone or between single spaces`(text: String, emojis: [String]) {
        #expect(Emoji.list(text) == emojis)
    }

    @Test(arguments: [
        "x", "1", "#", "©", "👍x", "👍👍", "👍 👍", " 👍", "👍 ", "👍  🎉", "👍\n", "👍\t🎉", "ok 👍", " ", "\u{200d}",
        "\u{fe0f}", "é", "🇩", "👍\u{301}", "👍\u{200d}", "👍\u{e0067}", "❤\u{fe0e}", "1\u{301}\u{20e3}",
        "1\u{fe0f}",
        "❤ ❤️", String(repeating: "👍", count: 40_000),
    ])
    func `anything else is no reaction`(text: String) {
        #expect(Emoji.list(text) == nil)
    }

    private func refusal(_ body: String, _ wait: MessageSend.Wait? = nil, reactsTo: String? = "m-1")
        -> ErrorCode?
    {
        do throws(UserError) {
            try MessageSend.validate(.init(to: "b@c", body: body, wait: wait, reactsTo: reactsTo))
            return nil
        } catch {
            return error.code
        }
    }

    @Test func `a call is checked for what a reaction can be`() {
        #expect(refusal("👍") == nil && refusal("", .server) == nil)
        #expect(refusal("thanks") == .badText && refusal("", reactsTo: nil) == .badText)
        #expect(refusal("👍", reactsTo: "") == .invalidParams)
        let many = (0..<21).map { String(Character(Unicode.Scalar(0x1f600 + $0) ?? "x")) }
        #expect(refusal(many.joined(separator: " ")) == .badText)
        #expect(refusal(many.dropLast().joined(separator: " ")) == nil)
        #expect(refusal("👍", .delivered) == .invalidParams && refusal("👍", .displayed) == .invalidParams)
    }
}
