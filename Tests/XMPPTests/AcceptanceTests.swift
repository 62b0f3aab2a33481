// Who said it? (rows A1, A2, A4, A6, A10, A11) Juliet is the account, Mallory everybody else.

import Testing

@testable import XMPP

@Suite struct CarbonTests {
    let account = try? JID("romeo@montague.example/home")

    /// XEP-0280, examples 12 and 14.
    private func carbon(
        _ direction: String, from wrapper: String?, inner: String?, delay: String = ""
    ) throws -> Element {
        let from = wrapper.map { "from='\($0)'" } ?? ""
        let author = inner.map { "from='\($0)'" } ?? ""
        return try parsed(
            """
            <message xmlns='jabber:client' \(from) to='romeo@montague.example/home' type='chat'>\
            <\(direction) xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\(delay)\
            <message xmlns='jabber:client' \(author) to='juliet@capulet.example/balcony' type='chat'>\
            <body>Thou shall meet me tonite</body></message></forwarded></\(direction)></message>
            """)
    }

    private func unwrap(_ stanza: Element) throws -> Carbon? {
        try Carbon.unwrap(stanza, account: try #require(account), receivedAt: 1_700_000_000_000)
    }

    @Test func `the own server's carbons are unwrapped`() throws {
        let delay = "<delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/>"
        let received = try #require(
            try unwrap(
                carbon(
                    "received", from: "romeo@montague.example", inner: "juliet@capulet.example/balcony",
                    delay: delay)))
        #expect(received.direction == .received && received.sentAt == 1_278_803_305_000)
        #expect(received.message.from?.description == "juliet@capulet.example/balcony")
        let sent = try #require(
            try unwrap(carbon("sent", from: "romeo@montague.example", inner: "romeo@montague.example/garden"))
        )
        #expect(sent.direction == .sent && sent.sentAt == 1_700_000_000_000)
        #expect(try Message(sent.message).body == "Thou shall meet me tonite")
    }

    @Test(arguments: [
        "tybalt@capulet.example/home", "tybalt@capulet.example", "romeo@montague.example/garden",
        "montague.example", "romeo@montague.example.evil", "xromeo@montague.example", "", "@", nil,
    ])
    func `a wrapper from anybody else is refused`(_ wrapper: String?) throws {
        for direction in ["received", "sent"] {
            let forged = try carbon(direction, from: wrapper, inner: "romeo@montague.example/garden")
            #expect(Carbon.isClaimed(by: forged))
            #expect(throws: CodecError.unexpected("from")) { try unwrap(forged) }
        }
    }

    @Test(arguments: ["juliet@capulet.example/balcony", "montague.example", "@", nil])
    func `a sent carbon of somebody else's message is refused`(_ inner: String?) throws {
        let forged = try carbon("sent", from: "romeo@montague.example", inner: inner)
        #expect(throws: CodecError.unexpected("from")) { try unwrap(forged) }
    }

    @Test func `a malformed carbon is refused, not read as a message`() throws {
        let forwarded = "<forwarded xmlns='urn:xmpp:forward:0'><message from='a@b'/></forwarded>"
        let carbons = "xmlns='urn:xmpp:carbons:2'"
        for content in [
            "<received \(carbons)/>",
            "<received \(carbons)><forwarded xmlns='urn:xmpp:forward:0'/></received>",
            "<received \(carbons)>\(forwarded)\(forwarded)</received>",
            "<received \(carbons)>\(forwarded)</received><sent \(carbons)>\(forwarded)</sent>",
            "<received \(carbons)><forwarded xmlns='urn:xmpp:forward:0'><message/></forwarded></received>",
            "<received \(carbons)><forwarded xmlns='urn:xmpp:forward:0'>"
                + "<message from='a@b'><sent \(carbons)>\(forwarded)</sent></message></forwarded></received>",
        ] {
            let stanza = try parsed("<message from='romeo@montague.example'>\(content)</message>")
            #expect(throws: CodecError.self) { try unwrap(stanza) }
        }
    }

    @Test func `a message without carbon is none`() throws {
        #expect(try unwrap(parsed("<message from='a@b'><body>x</body></message>")) == nil)
        #expect(
            try unwrap(
                parsed("<iq from='romeo@montague.example'><received xmlns='urn:xmpp:carbons:2'/></iq>"))
                == nil)
    }

    @Test func `a bare forward speaks for its sender only`() throws {
        let stanza = try parsed(
            """
            <message from='m@evil/x' to='romeo@montague.example' type='chat'><body>look</body>\
            <forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='boss@montague.example'>\
            <body>send money</body></message></forwarded></message>
            """)
        #expect(try unwrap(stanza) == nil)
        let message = try Message(stanza)
        #expect(message.from?.description == "m@evil/x")
        #expect(message.body == "look")
    }
}

@Suite struct RosterTests {
    private func push(from: String?, _ items: String) throws -> Element {
        try parsed(
            "<iq id='a78b4q6ha463' type='set' \(from.map { "from='\($0)'" } ?? "") to='juliet@example.com/chamber'>"
                + "<query xmlns='jabber:iq:roster' ver='ver13'>\(items)</query></iq>")
    }

    let item =
        "<item jid='nurse@example.com' subscription='to' ask='subscribe' name='Nurse'><group>Servants</group></item>"

    @Test(arguments: [nil, "juliet@example.com"])
    func `the own account's push is read`(_ from: String?) throws {
        let push = try RosterPush(push(from: from, item), account: JID("juliet@example.com/chamber"))
        #expect(push.version == "ver13")
        #expect(
            push.item
                == RosterItem(
                    try JID("nurse@example.com"), name: "Nurse", subscription: .to, isPending: true,
                    groups: ["Servants"]))
    }

    @Test(arguments: [
        "m@evil", "example.com", "juliet@example.com/balcony", "juliet@example.com.evil", "", "@",
    ])
    func `a push from anybody else is refused and gets an error`(_ from: String) throws {
        let forged = try push(from: from, item)
        #expect(RosterPush.isClaimed(by: forged))
        #expect(throws: CodecError.unexpected("from")) {
            try RosterPush(forged, account: JID("juliet@example.com/chamber"))
        }
        guard let sender = try? JID(from) else { return }
        let answer = try #require(IQ.defaultAnswer(to: forged))
        #expect(answer.to == sender && answer.id == "a78b4q6ha463" && answer.type == "error")
        #expect(StanzaError(answer) == StanzaError(.serviceUnavailable))
    }

    @Test func `a push holds exactly one item`() throws {
        let account = try JID("juliet@example.com")
        #expect(throws: CodecError.unexpected("item")) {
            try RosterPush(push(from: nil, item + item), account: account)
        }
        #expect(throws: CodecError.missing("item")) { try RosterPush(push(from: nil, ""), account: account) }
        #expect(throws: CodecError.invalid("jid")) {
            try RosterPush(push(from: nil, "<item jid='@'/>"), account: account)
        }
        let removal = try RosterPush(
            push(from: nil, "<item jid='nurse@example.com' subscription='remove'/>"), account: account)
        #expect(removal.item.subscription == .remove)
    }

    @Test func `one unreadable contact does not cost the others`() throws {
        let result = try parsed(
            """
            <iq type='result'><query xmlns='jabber:iq:roster' ver='ver11'><item jid='romeo@example.net' name='Romeo' \
            subscription='both'><group>Friends</group><group>Friends</group><group/></item>\
            <item jid='\u{265A}@example.com'/><item jid='mercutio@example.com' name='' approved='true'/></query></iq>
            """)
        let roster = try #require(try Roster.result(result))
        #expect(roster.version == "ver11" && roster.unreadable == 1)
        #expect(
            roster.items == [
                RosterItem(
                    try JID("romeo@example.net"), name: "Romeo", subscription: .both, groups: ["Friends"]),
                RosterItem(try JID("mercutio@example.com"), isApproved: true),
            ])
        #expect(try Roster.result(parsed("<iq type='result'/>")) == nil)
        #expect(throws: CodecError.unexpected("type")) { try Roster.result(parsed("<iq type='error'/>")) }
    }

    @Test func `requests are written as the RFC has them`() throws {
        #expect(
            String(decoding: Roster.get(version: "").xml(), as: UTF8.self)
                == "<query xmlns='jabber:iq:roster' ver=''/>")
        let nurse = try JID("nurse@example.com")
        #expect(
            String(
                decoding: Roster.set(RosterItem(nurse, name: "Nurse", groups: ["Servants"])).xml(),
                as: UTF8.self)
                == "<query xmlns='jabber:iq:roster'><item jid='nurse@example.com' name='Nurse'><group>Servants</group></item></query>"
        )
        #expect(
            String(decoding: Roster.remove(nurse).xml(), as: UTF8.self)
                == "<query xmlns='jabber:iq:roster'><item jid='nurse@example.com' subscription='remove'/></query>"
        )
    }
}

@Suite struct StanzaIDTests {
    let sid = "xmlns='urn:xmpp:sid:0'"

    private func stanzaID(_ content: String, by: String = "me@x", isAnnounced: Bool = true) throws -> String?
    {
        StanzaIDs.stanzaID(
            of: try parsed("<message from='m@evil'>\(content)</message>"), by: try JID(by),
            isAnnounced: isAnnounced)
    }

    @Test func `an id by the archive that announces them counts`() throws {
        #expect(try stanzaID("<stanza-id \(sid) by='me@x' id='5f3d'/>") == "5f3d")
        #expect(
            try stanzaID("<stanza-id \(sid) by='room@muc.x' id='1'/><stanza-id \(sid) by='ME@x' id='5f3d'/>")
                == "5f3d")
    }

    @Test func `ids that anybody can forge do not count`() throws {
        #expect(try stanzaID("<stanza-id \(sid) by='me@x' id='5f3d'/>", isAnnounced: false) == nil)
        for by in ["m@evil", "me@x/other", "x", "me@x.evil", "", "@"] {
            #expect(try stanzaID("<stanza-id \(sid) by='\(by)' id='5f3d'/>") == nil)
        }
        #expect(try stanzaID("<stanza-id \(sid) id='5f3d'/>") == nil)
        #expect(try stanzaID("<stanza-id by='me@x' id='5f3d'/>") == nil)
        #expect(try stanzaID("<x xmlns='urn:x'><stanza-id \(sid) by='me@x' id='5f3d'/></x>") == nil)
    }

    @Test func `two ids by the same archive are none`() throws {
        #expect(
            try stanzaID("<stanza-id \(sid) by='me@x' id='1'/><stanza-id \(sid) by='me@x' id='2'/>") == nil)
        #expect(try stanzaID("<stanza-id \(sid) by='me@x' id=''/>") == nil)
        #expect(try stanzaID("<stanza-id \(sid) by='me@x'/>") == nil)
    }

    @Test func `there is one origin id or none`() throws {
        let one = Element("message", in: Namespace.client, [:], [StanzaIDs.originID("de305d54")])
        #expect(StanzaIDs.originID(of: one) == "de305d54")
        let two = try parsed("<message><origin-id \(sid) id='1'/><origin-id \(sid) id='2'/></message>")
        #expect(StanzaIDs.originID(of: two) == nil)
        #expect(StanzaIDs.originID(of: try parsed("<message><origin-id \(sid) id=''/></message>")) == nil)
    }
}

@Suite struct ReceiptTests {
    let account = try? JID("juliet@capulet.com/balcony")

    private func answer(
        _ attributes: String, _ content: String = "<request xmlns='urn:xmpp:receipts'/>", mayKnow: Bool = true
    ) throws -> Message? {
        DeliveryReceipts.answer(
            to: try Message(try parsed("<message \(attributes)><body>x</body>\(content)</message>")),
            account: try #require(account), mayKnow: mayKnow)
    }

    /// XEP-0184, examples 3 and 4. Its `received` is not `receipt`, as other software had it.
    @Test func `a request gets a receipt`() throws {
        let romeo = "from='northumberland@shakespeare.lit/westminster' id='richard2-4.1.247' type='chat'"
        let receipt = try #require(try answer(romeo))
        #expect(
            String(decoding: receipt.element.xml(), as: UTF8.self)
                == "<message type='chat' to='northumberland@shakespeare.lit/westminster'>"
                + "<received xmlns='urn:xmpp:receipts' id='richard2-4.1.247'/><store xmlns='urn:xmpp:hints'/></message>"
        )
        #expect(DeliveryReceipts.received(receipt) == "richard2-4.1.247")
    }

    @Test func `strangers, rooms, errors, own devices and receipts get none`() throws {
        let romeo = "from='romeo@montague.com/x' id='1'"
        #expect(try answer(romeo, mayKnow: false) == nil)
        #expect(try answer(romeo, "") == nil)
        #expect(try answer(romeo + " type='groupchat'") == nil)
        #expect(try answer(romeo + " type='error'") == nil)
        #expect(try answer("from='romeo@montague.com/x'") == nil)
        #expect(try answer("id='1'") == nil)
        #expect(try answer("from='juliet@capulet.com/garden' id='1'") == nil)
        #expect(
            try answer(
                romeo, "<request xmlns='urn:xmpp:receipts'/><received xmlns='urn:xmpp:receipts' id='7'/>")
                == nil)
    }

    @Test func `a receipt names a message`() throws {
        let read = { (xml: String) in DeliveryReceipts.received(try Message(try parsed(xml))) }
        #expect(try read("<message from='a@b'><received xmlns='urn:xmpp:receipts' id='7'/></message>") == "7")
        #expect(try read("<message from='a@b'><received xmlns='urn:xmpp:receipts' id=''/></message>") == nil)
        #expect(try read("<message from='a@b'><received xmlns='urn:xmpp:receipts'/></message>") == nil)
        #expect(try read("<message from='a@b'><receipt xmlns='urn:xmpp:receipts' id='7'/></message>") == nil)
        #expect(
            try read(
                "<message from='a@b' type='error'><received xmlns='urn:xmpp:receipts' id='7'/></message>")
                == nil)
        #expect(
            try read(
                "<message from='a@b' type='groupchat'><received xmlns='urn:xmpp:receipts' id='7'/></message>")
                == nil)
    }
}
