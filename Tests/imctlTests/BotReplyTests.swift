// What a bot's command prints, and what strangers may put into its environment.

import LocalAPI
import Testing

@testable import imctl

struct BotReplyTests {
    private func text(_ output: String) throws -> [String] {
        try BotReply.text(Array(output.utf8)).map(\.body)
    }

    private func problem(_ output: String, isJSON: Bool = true) -> String? {
        do throws(BotReply.Problem) {
            _ = try isJSON ? BotReply.json(Array(output.utf8)) : BotReply.text(Array(output.utf8))
            return nil
        } catch {
            return error.reason
        }
    }

    @Test func `text loses one line end, and nothing is no reply`() throws {
        #expect(try text("hello\n") == ["hello"])
        #expect(try text("hello") == ["hello"])
        #expect(try text("a\nb\n\n") == ["a\nb\n"])
        #expect(try text("") == [])
        #expect(try text("\n") == [])
        #expect(throws: BotReply.Problem.self) { try BotReply.text([0xff]) }
    }

    @Test func `JSON is objects or arrays of them, one per line`() throws {
        let output = """
            {"body":"one"}

            [{"body":"two"},{"to":"b@c","body":"three"}]
            []
            """
        #expect(
            try BotReply.json(Array(output.utf8)) == [
                BotReply(body: "one"), BotReply(body: "two"), BotReply(to: "b@c", body: "three"),
            ])
        #expect(try BotReply.json([]) == [])
        #expect(
            try BotReply.json(Array(#"[{"reaction":"👍 🎉"},{"reaction":""}]"#.utf8)) == [
                BotReply(body: "👍 🎉", isReaction: true), BotReply(body: "", isReaction: true),
            ])
    }

    @Test func `what is wrong is told without quoting it`() {
        #expect(problem("secret") == "line 1 of its output is not valid JSON (byte 0)")
        #expect(problem(#"{"secret":1,"secret":2}"#) == "line 1 of its output is not valid JSON (byte 12)")
        #expect(problem("\n[3]") == "line 2 of its output is an integer, not an object")
        #expect(problem("{}") == #"line 1 of its output has no "body""#)
        #expect(problem(#"{"body":1}"#) == #""body" in line 1 of its output is not a string"#)
        #expect(
            problem(#"{"body":"x","secret":1}"#)
                == #"line 1 of its output has a member that is none of "to", "body", "reaction""#)
        #expect(problem(#"{"reaction":"secret"}"#) == "line 1 of its output: the text is no reaction")
        #expect(problem(#"{"reaction":7}"#) == #""reaction" in line 1 of its output is not a string"#)
        for other in [#""body":"secret""#, #""to":"b@c""#] {
            #expect(problem(#"{"reaction":"👍",\#(other)}"#)?.contains(#"more than its "reaction""#) == true)
        }
        #expect(problem(#"{"body":""}"#) == "line 1 of its output: the message is empty")
        #expect(problem("secret\u{1}", isJSON: false)?.contains("control characters") == true)
        let long = String(repeating: "x", count: maxBodyLength + 1)
        #expect(problem(long, isJSON: false)?.hasPrefix("its output: the message has ") == true)
    }

    @Test func `every reply has an id of its own, always the same`() {
        #expect(BotReply.id("a-1", 2, 0) == "bot:a-1:2:0")
        #expect(BotReply.id("a", 12, 0) != BotReply.id("a", 1, 20))
        #expect(BotReply.id("a-1", 2, 0, isReaction: true) == "bot:a-1:2:r0")
    }

    private func message(from: String = "b@c", id: String = "x", body: String = "text") -> Message {
        Message(
            account: "a@c", chat: from, from: from, direction: .in, body: body, encryption: nil, id: id,
            at: Timestamp(milliseconds: 0))
    }

    @Test func `the environment holds ids alone, and of strangers' ids the plain ones`() {
        #expect(
            BotEnvironment.of(message(id: "A-1_.:z"), number: 7) == [
                "IMD_ACCOUNT=a@c", "IMD_CHAT=b@c", "IMD_FROM=b@c", "IMD_MESSAGE_ID=A-1_.:z",
                "IMD_EVENT_NUMBER=7",
            ])
        for id in ["$(touch x)", "a b", "a\nb", "", "() { :;}", String(repeating: "x", count: 256), "é"] {
            let lines = BotEnvironment.of(message(id: id, body: id), number: 7)
            #expect(!lines.contains { $0.hasPrefix("IMD_MESSAGE_ID") })
            #expect(lines.count == 4)
        }
        for jid in ["b c@d", "b@c/d", "b\n@c", "\u{202e}b@c", "b\"@c", "() { :;}@c"] {
            #expect(BotEnvironment.of(message(from: jid), number: 7).count == 3)
        }
        for part in [
            "$(reboot)", "a;b", "`id`", "a|b", "a*", "a?", "~", "a#", "{a,b}", "-rf", "a\\", "a!", "a=b",
        ] {
            #expect(BotEnvironment.of(message(from: "\(part)@evil.example"), number: 7).count == 3)
        }
        #expect(BotEnvironment.of(message(from: "жук@пример.рф"), number: 7).count == 5)
    }

    @Test func `messages of one's own are never wanted, others as they are chosen`() throws {
        let all = try BotFilter(senders: [], pattern: nil)
        #expect(all.wants(message(), own: ["a@c"]))
        #expect(!all.wants(message(from: "second@c"), own: ["a@c", "second@c"]))
        var sent = message()
        sent.direction = .out
        #expect(!all.wants(sent, own: []))
        let some = try BotFilter(senders: ["B@C", "d@e"], pattern: "^(go|stop) [0-9]+$")
        #expect(some.wants(message(body: "go 12"), own: []))
        #expect(!some.wants(message(from: "x@y", body: "go 12"), own: []))
        #expect(!some.wants(message(body: "go there"), own: []))
        #expect(!all.trusts(message()))
        #expect(try BotFilter(senders: [], pattern: nil, takesPlaintext: true).trusts(message()))
        var encrypted = message()
        encrypted.encryption = Encryption(protocol: "urn:xmpp:omemo:2")
        #expect(all.trusts(encrypted))
        encrypted.warning = .plaintextInEncryptedChat
        #expect(!all.trusts(encrypted))
        #expect(throws: UserError.self) { try BotFilter(senders: [], pattern: "(") }
        #expect(throws: UserError.self) { try BotFilter(senders: ["bob"], pattern: nil) }
    }
}
