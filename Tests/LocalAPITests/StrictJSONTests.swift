// What the strict parser accepts and refuses: RFC 8259, and the limits of threats.md row 45.

import LocalAPI
import Testing

struct StrictJSONTests {
    private func parse(_ text: String) throws -> JSONValue { try JSONValue(strict: Array(text.utf8)) }

    private static let valid: [(String, JSONValue)] = [
        ("null", JSONValue.null), ("true", .bool(true)), (" \t\r\nfalse\n", .bool(false)),
        ("0", .integer(0)), ("-0", .integer(0)), ("-12", .integer(-12)),
        ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
        ("9223372036854775808", .number(9_223_372_036_854_775_808)),
        ("1.5", .number(1.5)), ("1e2", .number(100)), ("1E+2", .number(100)), ("-2.5e-1", .number(-0.25)),
        ("1e-400", .number(0)),
        ("\"\"", .string("")), ("\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\"", .string("a\"\\/\u{8}\u{c}\n\r\tz")),
        ("\"\\u00e9\\u20AC\\ud83d\\ude00\"", .string("é€😀")), ("\"é€😀\u{7f}\"", .string("é€😀\u{7f}")),
        ("\"\\u0000\"", .string("\u{0}")), ("\"\u{2028}\"", .string("\u{2028}")),
        ("[]", .array([])), ("[ 1 , [2] ]", .array([.integer(1), .array([.integer(2)])])),
        ("{}", .object([])), ("{\"a\":1,\"b\":{\"a\":2}}", ["a": .integer(1), "b": ["a": .integer(2)]]),
        ("{\"\":null}", ["": .null]), ("[[],{}]", .array([.array([]), .object([])])),
    ]

    @Test(arguments: valid)
    func `valid JSON is read exactly`(_ text: String, _ value: JSONValue) throws {
        #expect(try parse(text) == value)
    }

    @Test(arguments: [
        "", " ", "nul", "nulll", "True", "NaN", "Infinity", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+",
        "0x1",
        "1_0", "1e400", "-1e400", "\"", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"a\nb\"",
        "\"\u{1}\"",
        "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800x\"", "\"\\ud800\\u0041\"", "\"\\ud800\\ud800\"",
        "\"\\ud83d\\n\"",
        "'a'", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1}", "{", "{\"a\"", "{\"a\":", "{\"a\":1",
        "{\"a\":1,}", "{,}", "{a:1}", "{1:1}", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "{\"a\":1]", "1 2", "null,",
        "{}x", "{}{}", "// c\n1", "/**/1", "\u{feff}1", "[1]\u{0}", "\u{a0}1",
        "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":1}", "{\"b\":{\"a\":1,\"x\":0,\"a\":1}}",
    ])
    func `invalid JSON is refused`(_ text: String) {
        #expect(throws: JSONError.self) { try parse(text) }
    }

    @Test(
        arguments: [
            [0xff], [0xc3], [0xc3, 0x28], [0xc0, 0xaf], [0xe0, 0x80, 0xaf], [0xed, 0xa0, 0x80],
            [0xf4, 0x90, 0x80, 0x80],
            [0xf0, 0x9f, 0x98], [0x80],
        ] as [[UInt8]])
    func `bad UTF-8 in a string is refused`(_ bytes: [UInt8]) {
        #expect(throws: JSONError.self) { try JSONValue(strict: [0x22] + bytes + [0x22]) }
    }

    @Test func `nesting is allowed to the limit and refused beyond`() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        _ = try parse(nested(32))
        #expect(throws: JSONError.self) { try parse(nested(33)) }
        #expect(throws: JSONError.self) { try parse(String(repeating: "[", count: 100_000)) }
        #expect(throws: JSONError.self) { try parse(String(repeating: "{\"a\":", count: 100_000)) }
    }

    @Test func `a key twice is found among very many, in linear time`() throws {
        let keys = (0..<50_000).map { "\"k\($0)\":0" }.joined(separator: ",")
        guard case .object(let members) = try parse("{\(keys)}") else { return #expect(Bool(false)) }
        #expect(members.count == 50_000)
        #expect(throws: JSONError.self) { try parse("{\(keys),\"k7\":1}") }
    }

    @Test func `every prefix of a request is refused without a trap`() {
        let whole = Array(
            #"{"jsonrpc":"2.0","id":-1.5e3,"params":{"to":"a\u00e9\ud83d\ude00","x":[true,null]}}"#.utf8)
        for end in 0..<whole.count {
            #expect(throws: JSONError.self) { try JSONValue(strict: Array(whole[0..<end])) }
        }
    }

    @Test
    func `any flipped byte is accepted or refused, never a trap, and what is accepted writes and reads back`()
        throws
    {
        let whole = Array(#"{"a":"b\u00e9\ud83d\ude00","n":[12,-0.5,1e3],"t":true,"x":{"y":null}}"#.utf8)
        for index in whole.indices {
            for byte in UInt8.min...UInt8.max {
                var changed = whole
                changed[index] = byte
                guard let value = try? JSONValue(strict: changed) else { continue }
                #expect(try JSONValue(strict: value.serialized()) == value)
                #expect(try JSONValue(strict: value.serialized(escapesControls: true)) == value)
            }
        }
    }

    @Test func `the error names the key and the place`() throws {
        let error = #expect(throws: JSONError.self) { try parse(#"{"to":1,"to":2}"#) }
        #expect(error?.reason == "the key \"to\" is there twice")
        #expect(error?.offset == 8)
    }

    @Test func `a written value is one line`() throws {
        let value: JSONValue = ["a\nb": .string("\u{0}\u{1f}\r\n\t\"\\\u{7f}é\u{9b}")]
        let bytes = value.serialized()
        #expect(!bytes.contains(0x0a))
        #expect(
            String(decoding: bytes, as: UTF8.self)
                == "{\"a\\nb\":\"\\u0000\\u001f\\r\\n\\t\\\"\\\\\u{7f}é\u{9b}\"}")
    }

    @Test func `JSON for a terminal escapes what could drive it`() {
        let value = JSONValue.string("\u{9b}31m\u{202e}x\u{7f}é\u{e0041}")
        let text = String(decoding: value.serialized(escapesControls: true), as: UTF8.self)
        #expect(text == "\"\\u009b31m\\u202ex\\u007fé\\udb40\\udc41\"")
    }
}
