// Displayed markers and the time of others: who asks, who may know (rows A11, F8).

import Testing

@testable import XMPP

@Suite struct ChatMarkerTests {
    private let marker = "<displayed xmlns='urn:xmpp:chat-markers:0' id='the-msg-1'/>"

    private func message(_ attributes: String, _ content: String) throws -> Message {
        try Message(
            try parsed("<message from='romeo@montegue.lit/orchard' \(attributes)>\(content)</message>"))
    }

    /// XEP-0333, the first two examples.
    @Test func `a marker names the message that was displayed`() throws {
        #expect(ChatMarkers.displayed(try message("", marker)) == "the-msg-1")
        #expect(ChatMarkers.displayed(try message("type='chat'", "<body>x</body>" + marker)) == "the-msg-1")
        let ours = ChatMarkers.displayed(id: "the-msg-1", to: try JID("romeo@montegue.lit"))
        #expect(
            String(decoding: ours.element.xml(), as: UTF8.self)
                == "<message type='chat' to='romeo@montegue.lit'>"
                + "<displayed xmlns='urn:xmpp:chat-markers:0' id='the-msg-1'/><store xmlns='urn:xmpp:hints'/></message>"
        )
        #expect(ChatMarkers.displayed(ours) == "the-msg-1")
    }

    @Test func `what is not quite a marker is none`() throws {
        #expect(ChatMarkers.displayed(try message("type='error'", marker)) == nil)
        #expect(ChatMarkers.displayed(try message("type='groupchat'", marker)) == nil)
        for other in [
            "<displayed xmlns='urn:xmpp:chat-markers:0'/>",
            "<displayed xmlns='urn:xmpp:chat-markers:0' id=''/>",
            "<displayed id='1'/>", "<received xmlns='urn:xmpp:chat-markers:0' id='1'/>",
            "<acknowledged xmlns='urn:xmpp:chat-markers:0' id='1'/>",
            "<x xmlns='urn:x'>\(marker)</x>",
            "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'>\(marker)</message></forwarded>",
        ] {
            #expect(ChatMarkers.displayed(try message("", other)) == nil, "\(other)")
        }
    }

    @Test func `a message asks for a marker`() throws {
        let markable = "<markable xmlns='urn:xmpp:chat-markers:0'/>"
        #expect(String(decoding: ChatMarkers.markable.xml(), as: UTF8.self) == markable)
        let isMarkable = { (attributes: String, content: String) in
            ChatMarkers.isMarkable(try message(attributes, content))
        }
        #expect(try isMarkable("id='1'", "<body>x</body>" + markable))
        #expect(try !isMarkable("id='1'", "<body>x</body>"))
        #expect(try !isMarkable("", "<body>x</body>" + markable))
        #expect(try !isMarkable("id=''", "<body>x</body>" + markable))
        #expect(try !isMarkable("id='1' type='error'", "<body>x</body>" + markable))
        #expect(try !isMarkable("id='1' type='groupchat'", "<body>x</body>" + markable))
    }

    @Test func `a marker never asks for a marker`() throws {
        let both = try message("id='1'", marker + "<markable xmlns='urn:xmpp:chat-markers:0'/>")
        #expect(!ChatMarkers.isMarkable(both))
        #expect(!ChatMarkers.isMarkable(ChatMarkers.displayed(id: "1", to: try JID("a@b"))))
    }
}

@Suite struct EntityTimeTests {
    private let request =
        "<iq type='get' from='romeo@montague.net/orchard' id='time_1'><time xmlns='urn:xmpp:time'/></iq>"

    /// XEP-0202, examples 1 and 2.
    @Test func `the time is asked for, told and read`() throws {
        #expect(String(decoding: EntityTime.query.xml(), as: UTF8.self) == "<time xmlns='urn:xmpp:time'/>")
        let answer = try #require(
            EntityTime.answer(to: try parsed(request), mayKnow: true, now: 1_166_551_115_000))
        #expect(
            String(decoding: answer.xml(), as: UTF8.self)
                == "<iq type='result' id='time_1' to='romeo@montague.net/orchard'><time xmlns='urn:xmpp:time'>"
                + "<tzo>+00:00</tzo><utc>2006-12-19T17:58:35.000Z</utc></time></iq>")
        #expect(try EntityTime.time(IQ.payload(answer)) == 1_166_551_115_000)
        let example = "<time xmlns='urn:xmpp:time'><tzo>-06:00</tzo><utc>2006-12-19T17:58:35Z</utc></time>"
        #expect(try EntityTime.time(parsed(example)) == 1_166_551_115_000)
    }

    @Test func `strangers, results and other requests get no time`() throws {
        #expect(EntityTime.answer(to: try parsed(request), mayKnow: false, now: 0) == nil)
        for other in [
            request.replacing("'get'", with: "'set'"), request.replacing("'get'", with: "'result'"),
            request.replacing("id='time_1'", with: ""),
            request.replacing("urn:xmpp:time", with: "jabber:iq:time"),
            request.replacing("iq", with: "message"),
            request.replacing("</iq>", with: "<x xmlns='urn:x'/></iq>"),
        ] {
            #expect(EntityTime.answer(to: try parsed(other), mayKnow: true, now: 0) == nil, "\(other)")
        }
    }

    @Test func `what is not a time is refused`() throws {
        for payload in [
            "<time xmlns='urn:xmpp:time'/>", "<time xmlns='urn:xmpp:time'><utc/></time>",
            "<time xmlns='urn:xmpp:time'><utc>20061219T17:58:35</utc></time>",
            "<time xmlns='urn:xmpp:time'><utc>2006-02-30T17:58:35Z</utc></time>",
            "<query xmlns='jabber:iq:time'><utc>2006-12-19T17:58:35Z</utc></query>",
        ] {
            #expect(throws: CodecError.self, "\(payload)") { try EntityTime.time(parsed(payload)) }
        }
    }
}
