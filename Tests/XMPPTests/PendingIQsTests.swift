// Who may answer an IQ request (RFC 6120 §8.1.2.1): the rule that CVE-2013-6483 and CVE-2024-46957 broke.

import Testing

@testable import XMPP

@Suite struct PendingIQsTests {
    private static func reply(
        _ from: String?, _ name: String = "iq", type: String? = "result", id: String = "q",
        in namespace: String = Namespace.client
    ) -> Element {
        Element(name, in: namespace, ["type": type, "id": id, "from": from])
    }

    private static func pending(to: String?) throws -> PendingIQs<Int> {
        var pending = PendingIQs<Int>(own: try JID("me@x.example/desk"))
        pending.add(id: "q", to: try to.map { try JID($0) }, deadlineAt: 1_000, context: 7)
        return pending
    }

    /// Strangers, look-alikes, and addresses that cannot be read.
    private static let strangers = [
        "m@evil.example", "me@x.example.evil.example", "x.example.evil.example", "me@x.example/other",
        "you@x.example", "evil.example", "me@evil.example/desk", "", "@", "me@x.example/",
    ]

    @Test(arguments: [nil, "me@x.example", "ME@X.example", "me@x.example/desk", "x.example"])
    func `the account's server answers requests without to`(_ from: String?) throws {
        var pending = try Self.pending(to: nil)
        #expect(pending.take(Self.reply(from)) == 7)
        #expect(pending.count == 0)
    }

    @Test(arguments: [nil, "me@x.example", "me@x.example/desk"])
    func `the same for requests to the own bare address`(_ from: String?) throws {
        var pending = try Self.pending(to: "me@x.example")
        #expect(pending.take(Self.reply(from)) == 7)
    }

    @Test(arguments: strangers)
    func `a stranger's reply leaves the request pending`(_ from: String) throws {
        for to in [nil, "me@x.example", "x.example", "bob@y.example/phone", "room@conference.y.example"] {
            var pending = try Self.pending(to: to)
            #expect(pending.take(Self.reply(from)) == nil)
            #expect(pending.take(Self.reply(from, type: "error")) == nil)
            #expect(pending.count == 1)
        }
    }

    @Test func `the server's domain does not speak for the account's address`() throws {
        var pending = try Self.pending(to: "me@x.example")
        #expect(pending.take(Self.reply("x.example")) == nil)
    }

    @Test(arguments: ["x.example", "bob@y.example", "bob@y.example/phone", "room@conference.y.example/nick"])
    func `anybody else answers from exactly the address that was asked`(_ to: String) throws {
        var pending = try Self.pending(to: to)
        for other in [nil, "me@x.example", "bob@y.example/other", "y.example", "bob@evil.example/phone"] {
            #expect(pending.take(Self.reply(other)) == nil)
        }
        #expect(pending.take(Self.reply(to)) == 7)
        #expect(pending.take(Self.reply(to)) == nil)
    }

    @Test func `an error is a reply too`() throws {
        var pending = try Self.pending(to: "bob@y.example/phone")
        #expect(pending.take(Self.reply("bob@y.example/phone", type: "error")) == 7)
    }

    @Test func `only iq results and errors are replies`() throws {
        var pending = try Self.pending(to: nil)
        for type in ["get", "set", "chat", "RESULT", "", nil] {
            #expect(pending.take(Self.reply(nil, type: type)) == nil)
        }
        for name in ["message", "presence", "IQ"] {
            #expect(pending.take(Self.reply(nil, name)) == nil)
            #expect(pending.take(Self.reply(nil, name, type: "error")) == nil)
        }
        #expect(pending.take(Self.reply(nil, in: "jabber:server")) == nil)
        #expect(pending.take(Self.reply(nil, id: "Q")) == nil)
        #expect(pending.take(Element("iq", in: Namespace.client, ["type": "result"])) == nil)
        #expect(pending.count == 1)
    }

    @Test func `requests expire at their deadline, oldest first`() throws {
        var pending = PendingIQs<String>(own: try JID("me@x.example/desk"))
        pending.add(id: "b", to: nil, deadlineAt: 200, context: "late")
        pending.add(id: "a", to: nil, deadlineAt: 100, context: "early")
        #expect(pending.expired(now: 99) == [])
        #expect(pending.expired(now: 100) == ["early"])
        #expect(pending.expired(now: 100) == [])
        #expect(pending.removeAll() == ["late"])
    }

    @Test func `ids have 128 bits and do not repeat`() throws {
        let pending = PendingIQs<Int>(own: try JID("me@x.example/desk"))
        var random = SystemRandomNumberGenerator()
        let ids = Set((0..<1_000).map { _ in pending.newID(using: &random) })
        #expect(ids.count == 1_000)
        #expect(
            ids.allSatisfy {
                $0.utf8.count == 26 && $0.allSatisfy { "abcdefghijklmnopqrstuvwxyz234567".contains($0) }
            })
    }

    @Test func `every bit of an id comes from the random source`() {
        struct Ones: RandomNumberGenerator {
            func next() -> UInt64 { .max }
        }
        var ones = Ones()
        #expect(StanzaID.random(using: &ones) == "7777777777777777777777777h")
    }
}
