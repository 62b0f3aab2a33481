// Requests and answers as lines (JSON-RPC 2.0 §4 and §5).

import LocalAPI
import Testing

struct WireTests {
    private func request(_ text: String) throws -> Request { try Request(line: Array(text.utf8)) }
    private func line(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test(arguments: [
        (#"{"jsonrpc":"2.0","id":"a","method":"m","params":{}}"#, RequestID.string("a")),
        (#"{"jsonrpc":"2.0","id":-7,"method":"m","params":{}}"#, .integer(-7)),
        (#"{"jsonrpc":"2.0","id":null,"method":"m"}"#, .null),
    ])
    func `an id is a string, a whole number or null`(_ text: String, _ id: RequestID) throws {
        #expect(try request(text) == Request(id: id, method: "m"))
    }

    @Test func `a request without id is a notification`() throws {
        #expect(try request(#"{"jsonrpc":"2.0","method":"m"}"#).id == nil)
    }

    @Test(arguments: [
        ("{", RequestID.null, ErrorCode.badJSON),
        (#"{"jsonrpc":"2.0","id":1,"method":"m","id":2}"#, .null, .badJSON),
        ("[]", .null, .badRequest), ("3", .null, .badRequest),
        (#"[{"jsonrpc":"2.0","id":1,"method":"m"}]"#, .null, .badRequest),
        (#"{"id":1,"method":"m"}"#, .integer(1), .badRequest),
        (#"{"jsonrpc":"1.0","id":1,"method":"m"}"#, .integer(1), .badRequest),
        (#"{"jsonrpc":"2.0","id":1}"#, .integer(1), .badRequest),
        (#"{"jsonrpc":"2.0","id":1,"method":7}"#, .integer(1), .badRequest),
        (#"{"jsonrpc":"2.0","id":1.5,"method":"m"}"#, .null, .badRequest),
        (#"{"jsonrpc":"2.0","id":{},"method":"m"}"#, .null, .badRequest),
        (#"{"jsonrpc":"2.0","id":"x","method":"m","params":[1]}"#, .string("x"), .invalidParams),
        (#"{"jsonrpc":"2.0","id":"x","method":"m","params":null}"#, .string("x"), .invalidParams),
        (#"{"jsonrpc":"2.0","id":"x","method":"m","parms":{}}"#, .string("x"), .badRequest),
    ])
    func `what is no request is refused under its own id`(_ text: String, _ id: RequestID, _ code: ErrorCode)
    {
        let refusal = #expect(throws: Refusal.self) { try request(text) }
        #expect(refusal?.id == id)
        #expect(refusal?.error.code == code)
    }

    @Test func `a batch holds what each element is by itself`() throws {
        func read(_ text: String) throws -> RequestLine { try RequestLine(Array(text.utf8)) }
        let one = #"{"jsonrpc":"2.0","id":1,"method":"m"}"#
        let request = Request(id: .integer(1), method: "m")
        #expect(try read(one) == .single(request))
        guard case .batch(let elements) = try read("[\(one),7,{},\(one)]") else {
            return #expect(Bool(false))
        }
        #expect(elements.count == 4 && elements[0] == .success(request) && elements[3] == .success(request))
        for element in elements[1...2] {
            guard case .failure(let refusal) = element else { return #expect(Bool(false)) }
            #expect(refusal.id == .null && refusal.error.code == .badRequest)
        }
        for (text, code) in [
            ("[]", ErrorCode.badRequest), ("[1,", .badJSON), ("[[]", .badJSON),
            ("[" + String(repeating: "1,", count: maxBatchLength) + "1]", .tooLarge),
        ] {
            let refusal = #expect(throws: Refusal.self) { try read(text) }
            #expect(refusal?.id == .null && refusal?.error.code == code)
        }
    }

    @Test func `answers of a batch are one line, and none are no line`() {
        let answers = [Response.success(.integer(1), [:]), Response.success(.string("a"), .null)]
        #expect(
            Response.batch(answers).map(line)
                == #"[{"jsonrpc":"2.0","id":1,"result":{}},{"jsonrpc":"2.0","id":"a","result":null}]"# + "\n")
        #expect(Response.batch([]) == nil)
    }

    @Test func `a request is written and read back`() throws {
        let written = Request(id: .integer(3), method: "message.send", params: ["to": "a@b", "body": "x\ny"])
        #expect(written.line.last == 0x0a)
        #expect(try Request(line: Array(written.line.dropLast())) == written)
    }

    @Test func `an error carries the permanent code and the hint`() throws {
        let error = UserError(.noTrustedDevice, "no trusted device for a@b", hint: "imctl device list a@b")
        #expect(
            line(Response.failure(.integer(1), error))
                == #"{"jsonrpc":"2.0","id":1,"error":{"code":-32077,"message":"no trusted device for a@b","#
                + #""data":{"code":"no-trusted-device","hint":"imctl device list a@b"}}}"# + "\n")
        let incoming = try Incoming(line: Array(Response.failure(.string("q"), error).dropLast()))
        #expect(incoming == .response(.string("q"), .failure(error)))
    }

    @Test func `a result is written and read back`() throws {
        let bytes = Response.success(.null, ["a": .integer(1)])
        #expect(line(bytes) == #"{"jsonrpc":"2.0","id":null,"result":{"a":1}}"# + "\n")
        #expect(try Incoming(line: bytes.dropLast()) == .response(.null, .success(["a": .integer(1)])))
    }

    @Test(arguments: [
        "", "[]", "{}", #"{"id":1}"#, #"{"id":1,"error":{}}"#, #"{"id":1.5,"result":1}"#, "\u{1}",
    ])
    func `a client refuses answers that make no sense`(_ text: String) {
        #expect(throws: UserError.self) { try Incoming(line: Array(text.utf8)) }
    }

    @Test(arguments: [
        ("", ErrorCode.badText), ("a\u{0}", .badText), ("a\u{b}", .badText), ("\u{fffe}", .badText),
        (String(repeating: "é", count: 32_769), .tooLarge),
    ])
    func `a text that cannot be sent is refused before anything happens`(_ body: String, _ code: ErrorCode) {
        let error = #expect(throws: UserError.self) {
            try MessageSend.decode(["to": "a@b", "body": .string(body)])
        }
        #expect(error?.code == code)
    }

    @Test func `the longest text fits into a line even when every byte is escaped`() {
        let body = String(repeating: "\"", count: maxBodyLength)
        let line = Request(
            id: .integer(1), method: MessageSend.name, params: ["to": "a@b", "body": .string(body)]
        ).line
        #expect(line.count <= maxLineLength)
    }

    @Test func `a password needs exactly one way`() {
        for params in [["jid": "a@b"], ["jid": "a@b", "password": "p", "passwordCommand": "c"]] as [JSONValue]
        {
            #expect(throws: UserError.self) { try AccountAdd.decode(params) }
        }
        #expect(throws: Never.self) { try AccountAdd.decode(["jid": "a@b", "password": ""]) }
        #expect(throws: UserError.self) {
            try AccountAdd.decode(["jid": "a@b", "password": "p", "caFile": "relative.pem"])
        }
    }

    @Test(arguments: ["", "a b", "ä", "a/b", String(repeating: "a", count: 65), "a\n"])
    func `a consumer's name is a word`(_ name: String) {
        #expect(throws: UserError.self) { try EventSubscribe.decode(["consumer": .string(name)]) }
        #expect(throws: Never.self) { try EventSubscribe.decode(["consumer": "deploy-bot_1.x"]) }
    }
}
