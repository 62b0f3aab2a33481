// Publishing and announcements (XEP-0060, XEP-0163), with the specifications' examples.

import Testing

@testable import XMPP

@Suite struct PubSubTests {
    private func text(_ element: Element) -> String { String(decoding: element.xml(), as: UTF8.self) }

    @Test func `a publication carries its conditions`() {
        let item = PubSubItem("current", Element("list", in: "urn:x"))
        #expect(
            text(PubSub.publish(item, to: "n", options: PubSubOptions(.open, maxItems: "1")))
                == "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n'><item id='current'>"
                + "<list xmlns='urn:x'/></item></publish><publish-options><x xmlns='jabber:x:data' type='submit'>"
                + "<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#publish-options</value>"
                + "</field><field var='pubsub#persist_items'><value>true</value></field>"
                + "<field var='pubsub#access_model'><value>open</value></field>"
                + "<field var='pubsub#max_items'><value>1</value></field></x></publish-options></pubsub>")
        #expect(
            text(PubSub.publish(PubSubItem(nil, nil), to: "n"))
                == "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n'><item/></publish></pubsub>"
        )
    }

    @Test func `requests are written as the XEP has them`() {
        let pubsub = "<pubsub xmlns='http://jabber.org/protocol/pubsub'>"
        let owner = "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>"
        #expect(
            text(PubSub.items(of: "princely_musings", max: 2))
                == pubsub + "<items node='princely_musings' max_items='2'/></pubsub>")
        #expect(
            text(PubSub.items(of: "n", ids: ["a", "b"]))
                == pubsub + "<items node='n'><item id='a'/><item id='b'/></items></pubsub>")
        #expect(
            text(PubSub.retract("a", from: "n"))
                == pubsub + "<retract node='n' notify='true'><item id='a'/></retract></pubsub>")
        #expect(text(PubSub.delete("n")) == owner + "<delete node='n'/></pubsub>")
        #expect(text(PubSub.configuration(of: "n")) == owner + "<configure node='n'/></pubsub>")
        #expect(
            text(PubSub.configure("n", PubSubOptions(.whitelist, sendLastItem: "never")))
                == owner + "<configure node='n'><x xmlns='jabber:x:data' type='submit'>"
                + "<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#node_config</value></field>"
                + "<field var='pubsub#persist_items'><value>true</value></field>"
                + "<field var='pubsub#access_model'><value>whitelist</value></field>"
                + "<field var='pubsub#send_last_published_item'><value>never</value></field></x></configure></pubsub>"
        )
    }

    @Test func `a result is about the node that was asked for`() throws {
        let result = try parsed(
            """
            <iq type='result' from='juliet@capulet.lit'><pubsub xmlns='http://jabber.org/protocol/pubsub'>\
            <items node='n'><item id='1'><a xmlns='urn:x'/></item><item id='2'/></items></pubsub></iq>
            """)
        #expect(
            try PubSub.result(result, node: "n") == [
                PubSubItem("1", Element("a", in: "urn:x")), PubSubItem("2", nil),
            ])
        #expect(throws: CodecError.unexpected("node")) { try PubSub.result(result, node: "m") }
        #expect(throws: CodecError.unexpected("type")) {
            try PubSub.result(parsed("<iq type='error'/>"), node: "n")
        }
    }

    @Test func `a failed condition is recognised`() throws {
        let error = try #require(
            StanzaError(
                try parsed(
                    """
                    <iq type='error'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
                    <precondition-not-met xmlns='http://jabber.org/protocol/pubsub#errors'/></error></iq>
                    """)))
        #expect(PubSub.isPreconditionNotMet(error))
        #expect(error.condition == .conflict)
        #expect(!PubSub.isPreconditionNotMet(StanzaError(.conflict)))
    }

    private func event(from: String?, type: String = "headline", _ content: String) throws -> Element {
        try parsed(
            "<message \(from.map { "from='\($0)'" } ?? "") type='\(type)'>"
                + "<event xmlns='http://jabber.org/protocol/pubsub#event'>\(content)</event></message>")
    }

    let items = "<items node='n'><item id='1'><a xmlns='urn:x'/></item><retract id='0'/></items>"

    @Test func `an announcement says something about its sender only`() throws {
        let event = try PubSubEvent(event(from: "juliet@capulet.lit", items))
        #expect(try event.owner == JID("juliet@capulet.lit") && event.node == "n")
        #expect(
            event.change == .items(published: [PubSubItem("1", Element("a", in: "urn:x"))], retracted: ["0"]))
        #expect(try event.isFromOwnAccount(JID("juliet@capulet.lit/balcony")))
        #expect(try !event.isFromOwnAccount(JID("capulet.lit")))
        #expect(try !PubSubEvent(self.event(from: "m@evil", items)).isFromOwnAccount(JID("me@x")))
    }

    @Test(arguments: [nil, "juliet@capulet.lit/balcony", "m@evil/x", "", "@"])
    func `an announcement by a client is refused`(_ from: String?) throws {
        let forged = try event(from: from, items)
        #expect(PubSubEvent.isClaimed(by: forged))
        #expect(throws: CodecError.unexpected("from")) { try PubSubEvent(forged) }
    }

    @Test func `nodes can be emptied, removed and changed`() throws {
        let change = { (content: String) in try PubSubEvent(event(from: "juliet@capulet.lit", content)).change
        }
        #expect(try change("<purge node='n'/>") == .purged)
        #expect(try change("<delete node='n'><redirect uri='xmpp:evil'/></delete>") == .deleted)
        #expect(try change("<configuration node='n'/>") == .configured)
        for wrong in [
            "", "<items/>", "<purge/>", "<subscription node='n'/>", "<items xmlns='urn:x' node='n'/>",
        ] {
            #expect(throws: CodecError.self) { try change(wrong) }
        }
        for type in ["error", "groupchat"] {
            #expect(throws: CodecError.self) {
                try PubSubEvent(event(from: "juliet@capulet.lit", type: type, items))
            }
        }
    }
}
