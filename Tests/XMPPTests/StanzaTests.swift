// Messages, presences and requests, and the small extensions inside them.

import Testing

@testable import XMPP

@Suite struct StanzaTests {
    @Test func `a message is read and written`() throws {
        let xml = """
            <message type='chat' id='ktx72v49' from='juliet@example.com/balcony' to='romeo@example.net'>\
            <subject>I implore you!</subject><body>Art thou not Romeo?</body><thread>e0ff</thread>\
            <x xmlns='urn:x'/></message>
            """
        let message = try Message(try parsed(xml))
        #expect(message.kind == .chat && message.id == "ktx72v49" && message.body == "Art thou not Romeo?")
        #expect(message.subject == "I implore you!" && message.thread == "e0ff")
        #expect(message.payload("x", in: "urn:x") != nil && message.payload("y", in: "urn:x") == nil)
        #expect(String(decoding: message.element.xml(), as: UTF8.self) == xml)
    }

    @Test func `an unknown type is normal, the first of several bodies counts`() throws {
        let message = try Message(
            try parsed(
                "<message type='shout'><body/><body xml:lang='cs'>b</body><body xmlns='urn:x'>c</body></message>"
            ))
        #expect(message.kind == .normal && message.body == "" && message.payloads.count == 1)
        #expect(message.element.type == nil)
    }

    @Test func `a message whose addresses are malformed is nobody's`() {
        for attributes in ["from='@'", "from=''", "to='a@b/'", "from='a\u{202E}@b'"] {
            #expect(throws: CodecError.self) { try Message(try parsed("<message \(attributes)/>")) }
            #expect(throws: CodecError.self) { try Presence(try parsed("<presence \(attributes)/>")) }
        }
    }

    @Test func `a presence is read and written`() throws {
        let xml = """
            <presence from='romeo@example.net/orchard'><show>dnd</show><status>Wooing Juliet</status>\
            <priority>-1</priority><x xmlns='urn:x'/></presence>
            """
        let presence = try Presence(try parsed(xml))
        #expect(presence.kind == .available && presence.show == .dnd && presence.priority == -1)
        #expect(presence.status == "Wooing Juliet" && presence.payloads == [Element("x", in: "urn:x")])
        #expect(String(decoding: presence.element.xml(), as: UTF8.self) == xml)
        #expect(String(decoding: Presence().element.xml(), as: UTF8.self) == "<presence/>")
    }

    @Test func `subscriptions are presences with a type`() throws {
        for kind in Presence.Kind.allCases where kind != .available {
            let presence = Presence(kind, to: try JID("romeo@example.net"))
            #expect(try Presence(presence.element) == presence)
            #expect(presence.element.type == kind.rawValue)
        }
        for type in ["available", "", "SUBSCRIBE"] {
            #expect(throws: CodecError.invalid("type")) { try Presence(parsed("<presence type='\(type)'/>")) }
        }
    }

    @Test func `strange details of a presence count as absent`() throws {
        let presence = try Presence(
            try parsed("<presence><show>busy</show><priority>1000</priority></presence>"))
        #expect(presence.show == nil && presence.priority == 0)
    }
}

@Suite struct IQTests {
    @Test func `unknown requests get one error`() throws {
        let request = try parsed(
            "<iq type='get' id='r1' from='a@b/c' to='me@x/y'><query xmlns='urn:unknown'/></iq>")
        #expect(
            String(decoding: try #require(IQ.defaultAnswer(to: request)).xml(), as: UTF8.self)
                == "<iq type='error' id='r1' to='a@b/c'><error type='cancel'>"
                + "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
        let near = try #require(IQ.defaultAnswer(to: request, understanding: ["urn:unknown"]))
        #expect(StanzaError(near)?.condition == .featureNotImplemented)
        let own = try #require(
            IQ.defaultAnswer(to: try parsed("<iq type='set' id='1'><x xmlns='urn:x'/></iq>")))
        #expect(own["to"] == nil && own.id == "1")
    }

    @Test func `an ad-hoc command gets an error`() throws {
        let command = try parsed(
            """
            <iq type='set' id='1' from='m@evil/x'><command xmlns='http://jabber.org/protocol/commands' \
            node='run' action='execute'/></iq>
            """)
        #expect(IQ.defaultAnswer(to: command).flatMap(StanzaError.init) == StanzaError(.serviceUnavailable))
    }

    @Test func `results and errors are never answered`() throws {
        for attributes in [
            "type='result' id='1'", "type='error' id='1'", "type='get'", "type='get' id='1' from='@'",
        ] {
            #expect(IQ.defaultAnswer(to: try parsed("<iq \(attributes)><x xmlns='urn:x'/></iq>")) == nil)
        }
        #expect(IQ.defaultAnswer(to: try parsed("<message type='get' id='1'/>")) == nil)
    }

    @Test func `malformed requests are bad requests`() throws {
        for xml in [
            "<iq type='get' id='1'/>", "<iq type='set' id='1'><a/><b/></iq>", "<iq id='1'><a/></iq>",
            "<iq type='GET' id='1'><a/></iq>",
        ] {
            #expect(IQ.defaultAnswer(to: try parsed(xml)).flatMap(StanzaError.init)?.condition == .badRequest)
        }
    }

    @Test func `requests and results are written`() throws {
        let payload = Element("x", in: "urn:x")
        let server = try JID("example.com")
        #expect(
            String(decoding: IQ.get("1", to: server, payload).xml(), as: UTF8.self)
                == "<iq type='get' id='1' to='example.com'><x xmlns='urn:x'/></iq>")
        #expect(
            String(decoding: IQ.set("2", payload).xml(), as: UTF8.self)
                == "<iq type='set' id='2'><x xmlns='urn:x'/></iq>")
        let request = try parsed("<iq type='get' id='3' from='a@b/c'><x xmlns='urn:x'/></iq>")
        #expect(
            String(decoding: IQ.result(of: request).xml(), as: UTF8.self)
                == "<iq type='result' id='3' to='a@b/c'/>")
        #expect(IQ.isRequest(request) && !IQ.isRequest(IQ.result(of: request)))
    }

    /// XEP-0199, examples 1 and 2.
    @Test func `a ping is answered`() throws {
        let ping = try parsed(
            "<iq from='capulet.lit' to='juliet@capulet.lit/balcony' id='s2c1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>"
        )
        #expect(Ping.answer(to: ping) == (try parsed("<iq type='result' id='s2c1' to='capulet.lit'/>")))
        #expect(IQ.get("1", Ping.query).children == ping.children)
        for xml in [
            "<iq id='1' type='result'><ping xmlns='urn:xmpp:ping'/></iq>",
            "<iq id='1' type='set'><ping xmlns='urn:xmpp:ping'/></iq>",
            "<iq id='1' type='get'><ping xmlns='urn:x'/></iq>",
            "<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>",
            "<message><ping xmlns='urn:xmpp:ping'/></message>",
        ] { #expect(Ping.answer(to: try parsed(xml)) == nil) }
    }

    @Test func `the version is told to those who may know`() throws {
        let request = IQ.get("v", SoftwareVersion.query)
        let version = SoftwareVersion(name: "imd", version: "1.0")
        let answer = try #require(version.answer(to: request, mayKnow: true))
        #expect(try SoftwareVersion(try IQ.payload(answer)) == version)
        #expect(version.answer(to: request, mayKnow: false) == nil)
        #expect(version.answer(to: IQ.get("p", Ping.query), mayKnow: true) == nil)
    }

    @Test func `hints and the name of the encryption travel beside a message`() throws {
        let eme = MessageEncryption("eu.siacs.conversations.axolotl", name: "OMEMO")
        let message = Message(
            to: try JID("a@b"), id: "1",
            payloads: [eme.element, ProcessingHint.store.element, Carbon.private])
        #expect(MessageEncryption(of: message.element) == eme)
        #expect(ProcessingHint.all(of: message.element) == [.store])
        #expect(
            MessageEncryption(of: try parsed("<message><encryption xmlns='urn:xmpp:eme:0'/></message>"))
                == nil)
        #expect(
            ProcessingHint.all(
                of: try parsed(
                    "<message><no-copy xmlns='urn:xmpp:hints'/><no-store xmlns='urn:xmpp:hints'/></message>"))
                == [.noCopy, .noStore])
    }
}
