// What comes out of the archive, and what only says so (row A3).

import Testing

@testable import XMPP

@Suite struct ArchivedMessageTests {
    static let arrival: Int64 = 1_700_000_000_000

    /// XEP-0313, the first result of §4.2.
    private func result(
        from wrapper: String? = nil, _ attributes: String = "queryid='f27' id='28482-98726-73623'",
        _ content: String = forwarded
    ) throws -> Element {
        let from = wrapper.map { "from='\($0)'" } ?? ""
        return try parsed(
            """
            <message id='aeb213' \(from) to='juliet@capulet.lit/chamber'>\
            <result xmlns='urn:xmpp:mam:2' \(attributes)>\(content)</result></message>
            """)
    }

    static let inner =
        "<message xmlns='jabber:client' from='witch@shakespeare.lit' to='juliet@capulet.lit'><body>Hail to thee</body></message>"
    static let forwarded =
        "<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/>"
        + inner + "</forwarded>"

    private func unwrap(_ stanza: Element, queryID: String? = "f27") throws -> ArchivedMessage? {
        try ArchivedMessage.unwrap(
            stanza, queryID: queryID, archive: JID("juliet@capulet.lit/chamber"), receivedAt: Self.arrival)
    }

    @Test(arguments: [nil, "juliet@capulet.lit", "Juliet@CAPULET.lit"])
    func `a result of the own archive is unwrapped`(_ from: String?) throws {
        let archived = try #require(try unwrap(result(from: from)))
        #expect(archived.id == "28482-98726-73623" && archived.sentAt == 1_278_803_305_000)
        #expect(archived.message.from?.description == "witch@shakespeare.lit")
        #expect(try Message(archived.message).body == "Hail to thee")
    }

    @Test(arguments: [
        "m@evil", "m@evil/x", "juliet@capulet.lit/balcony", "capulet.lit", "juliet@capulet.lit.evil",
        "witch@shakespeare.lit", "", "@",
    ])
    func `a result from anybody else is refused, even with the right queryid`(_ from: String) throws {
        let forged = try result(from: from)
        #expect(ArchivedMessage.isClaimed(by: forged))
        #expect(throws: CodecError.unexpected("from")) { try unwrap(forged) }
    }

    @Test(arguments: ["queryid='f28' id='1'", "queryid='' id='1'", "queryid='F27' id='1'", "id='1'"])
    func `a result of another query is refused`(_ attributes: String) throws {
        #expect(throws: CodecError.unexpected("queryid")) { try unwrap(result(attributes)) }
    }

    @Test func `a result that nobody asked for is refused`() throws {
        #expect(throws: CodecError.unexpected("queryid")) { try unwrap(result(), queryID: nil) }
        #expect(throws: CodecError.unexpected("queryid")) { try unwrap(result("id='1'"), queryID: nil) }
        #expect(throws: CodecError.unexpected("queryid")) {
            try unwrap(result("queryid='' id='1'"), queryID: nil)
        }
    }

    @Test func `a result has an id`() throws {
        #expect(throws: CodecError.missing("id")) { try unwrap(result("queryid='f27'")) }
        #expect(throws: CodecError.invalid("id")) { try unwrap(result("queryid='f27' id=''")) }
    }

    @Test func `a malformed result is refused, not read as a message`() throws {
        let nested =
            "<message><result xmlns='urn:xmpp:mam:2' queryid='f27' id='2'>\(Self.forwarded)</result></message>"
        for content in [
            "", Self.forwarded + Self.forwarded, Self.inner, "<forwarded xmlns='urn:xmpp:forward:0'/>",
            "<forwarded xmlns='urn:xmpp:forward:0'>\(Self.inner)\(Self.inner)</forwarded>",
            "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:server' from='a@b'/></forwarded>",
            "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'/></forwarded>",
            "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='@'/></forwarded>",
            "<forwarded xmlns='urn:xmpp:forward:1'>\(Self.inner)</forwarded>",
            "<forwarded xmlns='urn:xmpp:forward:0'>"
                + nested.replacing("<message>", with: "<message xmlns='jabber:client' from='a@b'>")
                + "</forwarded>",
        ] {
            let stanza = try result("queryid='f27' id='1'", content)
            #expect(throws: CodecError.self, "\(content)") { try unwrap(stanza) }
        }
        let two = "<result xmlns='urn:xmpp:mam:2' queryid='f27' id='1'>\(Self.forwarded)</result>"
        #expect(throws: CodecError.unexpected("result")) {
            try unwrap(parsed("<message>\(two)\(two)</message>"))
        }
    }

    @Test func `a message that claims nothing is no result`() throws {
        #expect(try unwrap(parsed("<message from='m@evil'><body>x</body>\(Self.forwarded)</message>")) == nil)
        #expect(
            try unwrap(parsed("<message><result xmlns='urn:xmpp:mam:1' queryid='f27' id='1'/></message>"))
                == nil)
        #expect(try unwrap(parsed("<iq><result xmlns='urn:xmpp:mam:2' queryid='f27' id='1'/></iq>")) == nil)
    }

    @Test(arguments: ["9999-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "NaN", "-1", ""])
    func `an impossible date becomes the arrival`(_ stamp: String) throws {
        let content = Self.forwarded.replacing("2010-07-10T23:08:25Z", with: stamp)
        #expect(try unwrap(result("queryid='f27' id='1'", content))?.sentAt == Self.arrival)
    }
}

@Suite struct ArchivePageTests {
    private func xml(_ start: ArchiveQuery.Start) -> String {
        String(decoding: ArchiveQuery(queryID: "f27", start: start, max: 50).element.xml(), as: UTF8.self)
    }

    @Test func `queries are written as the specification has them`() throws {
        let page = "<max>50</max>"
        #expect(
            xml(.after("09af3-cc343-b409f"))
                == "<query xmlns='urn:xmpp:mam:2' queryid='f27'><set xmlns='http://jabber.org/protocol/rsm'>"
                + page + "<after>09af3-cc343-b409f</after></set></query>")
        #expect(
            xml(.newest)
                == "<query xmlns='urn:xmpp:mam:2' queryid='f27'><set xmlns='http://jabber.org/protocol/rsm'>"
                + page + "<before/></set></query>")
        #expect(
            xml(.since(1_281_139_200_000))
                == "<query xmlns='urn:xmpp:mam:2' queryid='f27'><x xmlns='jabber:x:data' type='submit'>"
                + "<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field>"
                + "<field var='start'><value>2010-08-07T00:00:00.000Z</value></field></x>"
                + "<set xmlns='http://jabber.org/protocol/rsm'>" + page + "</set></query>")
    }

    private func page(_ attributes: String, _ set: String) throws -> ArchivePage {
        try ArchivePage(
            parsed(
                "<fin xmlns='urn:xmpp:mam:2' \(attributes)><set xmlns='http://jabber.org/protocol/rsm'>\(set)</set></fin>"
            ))
    }

    @Test func `a page says where the next begins`() throws {
        let middle = try page("", "<first index='0'>28482-98726-73623</first><last>09af3-cc343-b409f</last>")
        #expect(!middle.isComplete && middle.count == nil)
        #expect(middle.first == "28482-98726-73623" && middle.last == "09af3-cc343-b409f")
        let end = try page("complete='true'", "<first>1</first><last>2</last><count>16</count>")
        #expect(end.isComplete && end.count == 16 && end.last == "2")
        #expect(
            try page("complete='false' stable='true'", "<last>2</last><count>x</count>").isComplete == false)
    }

    @Test func `an empty page is the end or an error`() throws {
        let empty = try page("complete='1'", "<count>0</count>")
        #expect(empty.isComplete && empty.first == nil && empty.last == nil && empty.count == 0)
        #expect(try ArchivePage(parsed("<fin xmlns='urn:xmpp:mam:2' complete='true'/>")).last == nil)
        #expect(throws: CodecError.missing("last")) { try page("", "") }
        #expect(throws: CodecError.missing("last")) {
            try page("complete='false'", "<first>1</first><last/>")
        }
        #expect(throws: CodecError.invalid("complete")) { try page("complete='maybe'", "<last>1</last>") }
        #expect(throws: CodecError.unexpected("fin")) {
            try ArchivePage(parsed("<fin xmlns='urn:xmpp:mam:1'/>"))
        }
    }

    /// The page is in the reply to the query: who may reply decides who may end it.
    @Test(arguments: ["m@evil", "juliet@capulet.lit/balcony", "juliet@capulet.lit.evil", "@", ""])
    func `a forged end of a page is not the reply`(_ from: String) throws {
        let account = try JID("juliet@capulet.lit/chamber")
        var pending = PendingIQs<Int>(own: account)
        pending.add(id: "q1", to: account.bare, deadlineAt: .max, context: 7)
        let fin = "<fin xmlns='urn:xmpp:mam:2' complete='true'/>"
        #expect(pending.take(try parsed("<iq type='result' id='q1' from='\(from)'>\(fin)</iq>")) == nil)
        #expect(pending.take(try parsed("<message type='result' id='q1'>\(fin)</message>")) == nil)
        #expect(pending.take(try parsed("<iq type='set' id='q1'>\(fin)</iq>")) == nil)
        #expect(
            pending.take(try parsed("<iq type='result' id='q1' from='juliet@capulet.lit'>\(fin)</iq>")) == 7)
    }
}
