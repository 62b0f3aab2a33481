// Events: stored payloads, flat lines, and the hand-written path of messages.

import LocalAPI
import Testing

private let details: [EventDetail] = [
    .state(.init(chat: "b@c", id: "1", state: .failed, reason: "gone")),
    .presence(.init(from: "b@c/d", show: .away, status: "lunch \"now\"")),
    .subscription(.init(from: "b@c", kind: .request)),
    .contact(.init(jid: "b@c", subscription: .both, change: .added)),
    .device(.init(jid: "b@c", device: 7, fingerprint: "ab", trust: .blind, change: .keyChanged)),
    .account(.init(state: .failed, reason: UserError(.certificate, "expired", hint: "renew"))),
    .undecryptable(.init(chat: "b@c", from: "b@c", device: 9, reason: "no session")),
    .error(UserError(.storage, "disk", hint: nil)),
    .gap(.init(reason: .archiveExpired)),
    .gap(.init(reason: .tooLarge, chat: "b@c", id: "s1")),
    .overflow(.init(after: 3, through: 12)),
]

private let message = Message(
    account: "a@b", chat: "b@c", from: "b@c", direction: .in, body: "hi \"there\"\n\u{1}😀",
    encryption: .init(
        protocol: "eu.siacs.conversations.axolotl", device: 5, fingerprint: "ff", trust: .verified),
    id: "x1", at: Timestamp(milliseconds: 1_000))

struct EventTests {
    @Test(arguments: details)
    func `a stored payload becomes the flat line and is read back`(_ detail: EventDetail) throws {
        let event = Event(number: 12, account: "a@b", at: Timestamp(milliseconds: 5), detail: detail)
        let stored = try detail.payload()
        let line = Event.line(
            number: 12, type: detail.type.rawValue, account: "a@b", at: Timestamp(milliseconds: 5),
            payload: stored.utf8)
        #expect(try event.line() == line)
        let incoming = try Incoming(line: line.dropLast())
        guard case .notification("event", let params) = incoming else { return #expect(Bool(false)) }
        #expect(try Event(json: params) == event)
        #expect(try EventDetail(detail.type, JSONValue(strict: Array(stored.utf8))) == detail)
    }

    @Test func `an event of no account has no such member`() throws {
        let event = Event(number: 1, account: nil, at: Timestamp(milliseconds: 0), detail: details[7])
        let text = String(decoding: try event.line(), as: UTF8.self)
        #expect(
            text == #"{"jsonrpc":"2.0","method":"event","params":{"number":1,"type":"error","#
                + #""at":"1970-01-01T00:00:00.000Z","code":"storage","message":"disk"}}"# + "\n")
    }

    @Test func `the hand-written line of a message says what the encoder says`() throws {
        var other = message
        other.encryption = .init(protocol: "p")
        other.direction = .out
        var plain = message
        plain.encryption = nil
        plain.state = .failed
        plain.reason = "why"
        var damaged = message
        damaged.damaged = true
        var reaction = message
        reaction.reactsTo = "x \"0\""
        for message in [message, other, plain, damaged, reaction] {
            let line = Event.line(number: 3, message: message)
            guard case .notification(_, .object(let members)) = try Incoming(line: line.dropLast()) else {
                return #expect(Bool(false))
            }
            #expect(Array(members.prefix(2)) == [.init("number", .integer(3)), .init("type", "message")])
            #expect(.object(Array(members.dropFirst(2))) == (try JSONValue(encoding: message)))
        }
    }

    @Test func `plaintext is an explicit null`() throws {
        var plain = message
        plain.encryption = nil
        let text = String(decoding: Event.line(number: 3, message: plain), as: UTF8.self)
        #expect(text.contains(#""encryption":null,"id":"x1""#))
        #expect(try Message(json: JSONValue(encoding: plain)) == plain)
    }

    @Test func `an event of a type not known is an error, not a trap`() {
        #expect(throws: (any Error).self) {
            try Event(json: ["number": .integer(1), "type": "future", "at": "1970-01-01T00:00:00Z"])
        }
    }
}
