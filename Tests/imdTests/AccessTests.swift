// What a limited socket allows, over all methods there are.
import LocalAPI
import Testing
import XMPP

@testable import imd

private func code(_ body: () throws -> Void) -> ErrorCode? {
    do {
        try body()
        return nil
    } catch {
        return (error as? UserError)?.code
    }
}

struct AccessTests {
    private let ops = "ops@example.org"

    private func access(_ allow: Access.Capability..., to: [String]? = nil, account: String? = nil) throws
        -> Access
    {
        var access = Access(name: "alert", allow: Set(allow))
        access.to = try to.map { Set(try $0.map { try JID($0) }) }
        access.account = try account.map { try JID($0) }
        return access
    }

    /// The methods that are open, of all that are declared.
    private func open(_ access: Access) -> Set<String> {
        Set(allMethods.map { $0.name }.filter(access.allows))
    }

    @Test func `each capability opens what it says, and no other method`() throws {
        let always: Set = ["rpc.discover"]
        #expect(open(try access()) == always)
        #expect(open(try access(.send)) == always.union(["message.send"]))
        #expect(open(try access(.plaintext)) == always)
        #expect(open(try access(.receive)) == always.union(["event.subscribe", "event.ack"]))
        #expect(open(try access(.status)) == always.union(["daemon.status"]))
        #expect(open(try access(.unread)).subtracting(["chat.list"]) == always)
    }

    @Test(arguments: allMethods.map { $0.name } + ["", "message.erase", "Message.send", "message.send "])
    func `a method that no capability opens is denied, known or not`(_ method: String) throws {
        let access = try access(.plaintext)
        guard method != "rpc.discover" else { return }
        #expect(code { _ = try access.permit(method, [:]) } == .denied)
    }

    @Test func `a socket that may send may not react, which would tell which ids there are`() throws {
        let access = try access(.send, .plaintext, .receive)
        func react(to id: JSONValue) -> ErrorCode? {
            code {
                _ = try access.permit("message.send", ["to": .string(ops), "body": "👍", "reactsTo": id])
            }
        }
        #expect(react(to: .null) == nil)
        for id: JSONValue in ["m-1", "", .integer(1), .bool(false)] { #expect(react(to: id) == .denied) }
    }

    @Test func `a message goes to those that are named, however they are written`() throws {
        let access = try access(.send, to: [ops])
        for to in [ops, "OPS@Example.org"] {
            #expect(code { _ = try access.permit("message.send", ["to": .string(to), "body": "x"]) } == nil)
        }
        let others: [JSONValue] = [
            "eve@example.org", "ops@example.org.evil", "ops@example.org/phone", "example.org", "", .null,
            .integer(1), ["ops@example.org"],
        ]
        for to in others {
            #expect(
                code { _ = try access.permit("message.send", ["to": to, "body": "x"]) } == .denied, "\(to)")
        }
        #expect(code { _ = try access.permit("message.send", ["body": "x"]) } == .denied)
    }

    @Test func `encryption cannot be switched off unless that is allowed`() throws {
        func send(_ access: Access, _ plaintext: JSONValue) -> ErrorCode? {
            code {
                _ = try access.permit(
                    "message.send", ["to": .string(ops), "body": "x", "plaintext": plaintext])
            }
        }
        let encrypted = try access(.send)
        for wrong: JSONValue in [.bool(true), .integer(1), "true", "false", .integer(0), [], [:]] {
            #expect(send(encrypted, wrong) == .denied, "\(wrong)")
        }
        for right: JSONValue in [.bool(false), .null] { #expect(send(encrypted, right) == nil) }
        #expect(send(try access(.send, .plaintext), .bool(true)) == nil)
    }

    @Test func `the account is filled in, and no other is reached`() throws {
        let access = try access(.send, .receive, .unread, account: "bot@example.org")
        for method in ["message.send", "event.subscribe", "chat.list"] {
            let filled = try access.permit(method, ["to": .string(ops)])
            #expect(filled["account"] == "bot@example.org", "\(method)")
            let same = try access.permit(method, ["account": "BOT@example.org"])
            #expect(same["account"] == "BOT@example.org", "\(method)")
            for other: JSONValue in ["me@example.org", "", .integer(1)] {
                #expect(code { _ = try access.permit(method, ["account": other]) } == .denied, "\(method)")
            }
        }
    }

    @Test func `its ids are its own`() throws {
        let access = try access(.send)
        let params = try access.permit("message.send", ["to": .string(ops), "body": "x", "id": "backup-1"])
        #expect(params["id"] == "alert:backup-1")
        let answer = access.narrow(["id": "alert:backup-1", "state": "queued"], of: "message.send")
        #expect(answer["id"] == "backup-1" && answer["state"] == "queued")
        #expect(access.narrow(["id": "6f1c"], of: "message.send")["id"] == "6f1c")
        #expect(try access.permit("message.send", ["id": ""])["id"] == "", "an empty id stays an error")
    }

    @Test func `events are messages, and come by its own consumer`() throws {
        let access = try access(.receive)
        let params = try access.permit("event.subscribe", [:])
        #expect(
            params == ["consumer": "alert", "types": ["message", "undecryptable", "gap"], "begin": "newest"])
        #expect(try access.permit("event.subscribe", ["begin": "oldest"])["begin"] == "newest")
        #expect(code { _ = try access.permit("event.subscribe", ["types": ["message"]]) } == nil)
        let wrong: [JSONValue] = [
            ["types": ["message", "security"]], ["types": []], ["types": "state"], ["consumer": "imctl"],
            ["consumer": ["alert"]],
        ]
        for params in wrong { #expect(code { _ = try access.permit("event.subscribe", params) } == .denied) }
        #expect(
            code { _ = try access.permit("event.ack", ["consumer": "alert", "number": .integer(1)]) } == nil)
        for other: JSONValue in ["imctl", .null, .integer(1)] {
            #expect(code { _ = try access.permit("event.ack", ["consumer": other]) } == .denied)
        }
        #expect(code { _ = try access.permit("event.ack", ["number": .integer(1)]) } == .denied)
    }

    @Test func `where contacts are named, events are those of one of them`() throws {
        let access = try access(.receive, to: [ops])
        #expect(code { _ = try access.permit("event.subscribe", ["chat": .string(ops)]) } == nil)
        #expect(code { _ = try access.permit("event.subscribe", ["chat": "eve@example.org"]) } == .denied)
        #expect(code { _ = try access.permit("event.subscribe", [:]) } == .denied)
    }

    @Test func `unread messages are a number`() throws {
        func chat(_ account: String, _ chat: String, _ unread: Int64) -> JSONValue {
            ["account": .string(account), "chat": .string(chat), "unread": .integer(unread), "name": "n"]
        }
        let answer: JSONValue = [
            "chats": [
                chat("bot@example.org", ops, 2), chat("bot@example.org", "eve@example.org", 3),
                chat("me@example.org", ops, 4),
            ], "unread": .integer(9),
        ]
        func unread(_ access: Access) -> JSONValue { access.narrow(answer, of: "chat.list") }
        #expect(unread(try access(.unread)) == ["chats": [], "unread": .integer(9)])
        #expect(unread(try access(.unread, to: [ops])) == ["chats": [], "unread": .integer(6)])
        let own = try access(.unread, to: [ops], account: "bot@example.org")
        #expect(unread(own) == ["chats": [], "unread": .integer(2)])
    }

    @Test func `status and description show what concerns it`() throws {
        let access = try access(.status, account: "bot@example.org")
        let status: JSONValue = [
            "pid": .integer(1), "accounts": [["jid": "bot@example.org"], ["jid": "me@example.org"]],
        ]
        #expect(access.narrow(status, of: "daemon.status")["accounts"] == [["jid": "bot@example.org"]])
        let document = access.narrow(try RPCDiscover.encode(OpenRPC.document), of: "rpc.discover")
        guard case .array(let methods)? = document["methods"] else { return #expect(Bool(false)) }
        #expect(Set(methods.compactMap { $0["name"]?.string }) == ["daemon.status", "rpc.discover"])
        _ = try RPCDiscover.Result(json: document)
    }

    @Test func `an error does not count accounts`() throws {
        let error = UserError(.ambiguousAccount, "there are 3 accounts")
        let shown = try access(.send).narrow(error)
        #expect(shown.code == .ambiguousAccount && !shown.message.contains("3"))
        let other = UserError(.noTrustedDevice, "m", hint: "h")
        #expect(try access(.send).narrow(other) == other)
    }

    @Test func `the refusal names the table, and shows nothing raw`() throws {
        let error = #expect(throws: UserError.self) { try access(.send).permit("a\u{1b}[31m", [:]) }
        #expect(error?.message == #"this socket does not allow "a\u001b[31m""#)
        #expect(error?.hint?.contains("[access.alert]") == true)
    }
}

struct AllowanceTests {
    @Test func `a minute's worth goes at once, and then as time passes`() {
        let start = ContinuousClock.now
        var allowance = Allowance(perMinute: 3, at: start)
        var taken: [Int] = []
        for (seconds, attempts) in [(0, 4), (19, 1), (41, 3), (0, 1), (6000, 4)] {
            let results = (0..<attempts).map { _ in allowance.take(at: start + .seconds(seconds)) }
            taken.append(results.count(where: \.self))
        }
        #expect(taken == [3, 0, 2, 0, 3])
    }
}

struct AccessSettingsTests {
    @Test func `a table makes a socket`() throws {
        let config = try Config(
            text: """
                [access.alert]
                allow = ["send", "status"]
                to = ["OPS@example.org"]
                account = "bot@example.org"
                per-minute = 5

                [access.bar]
                allow = ["unread"]
                """, path: "config.toml")
        var alert = Access(name: "alert", allow: [.send, .status], to: [try JID("ops@example.org")])
        alert.account = try JID("bot@example.org")
        alert.perMinute = 5
        #expect(config.access == [alert, Access(name: "bar", allow: [.unread])])
        #expect(Config().access.isEmpty)
    }

    @Test(arguments: [
        "[access.imd]\nallow = [\"send\"]", "[access.\"a/b\"]\nallow = [\"send\"]",
        "[access.\"\"]\nallow = [\"send\"]",
        "[access.a]", "[access.a]\nallow = []", "[access.a]\nallow = [\"send\", \"sent\"]",
        "[access.a]\nallow = \"send\"", "[access.a]\nallow = [\"message.list\"]", "[access.a]\nallow = [1]",
        "[access.a]\nallow = [\"plaintext\"]", "[access.a]\nallow = [\"send\"]\nto = []",
        "[access.a]\nallow = [\"send\"]\nto = \"ops@example.org\"",
        "[access.a]\nallow = [\"send\"]\nto = [\"ops@example.org/x\"]",
        "[access.a]\nallow = [\"send\"]\naccount = \"example.org\"",
        "[access.a]\nallow = [\"send\"]\nper-minute = 0", "[access.a]\nallow = [\"send\"]\nfor = 1",
        "access = 1", "[access]\na = 1",
    ])
    func `what is wrong is refused, never read as less strict`(_ text: String) {
        let error = #expect(throws: UserError.self) { try Config(text: text, path: "config.toml") }
        #expect(error?.code == .configuration)
        #expect(error?.message.hasPrefix("config.toml") == true)
    }
}
