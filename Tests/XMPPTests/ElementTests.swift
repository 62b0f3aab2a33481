// Elements, their bytes, and the way back.

import Testing

@testable import XMPP

@Suite struct ElementTests {
    @Test(arguments: 0..<400)
    func `what is written is read back equal`(_ seed: Int) throws {
        var random = Seeded(seed)
        let element = random.element(depth: 4)
        #expect(try parsed(element.xml()) == element)
        #expect(try parsed(element.xml(in: ""), in: "") == element)
    }

    @Test func `xmlns appears only where the namespace changes`() {
        let element = Element(
            "message", in: Namespace.client, ["to": "a@b", "id": nil],
            [
                Element("body", in: Namespace.client, text: "1 < 2 & 3 > 2, 'so' \"there\""),
                Element("x", in: "urn:x", [:], [Element("y", in: "urn:x"), Element("z", in: "")]),
            ])
        #expect(
            String(decoding: element.xml(), as: UTF8.self)
                == "<message to='a@b'><body>1 &lt; 2 &amp; 3 &gt; 2, 'so' \"there\"</body>"
                + "<x xmlns='urn:x'><y/><z xmlns=''/></x></message>")
    }

    @Test func `white space in attributes becomes references`() {
        let element = Element("a", in: "", ["b": "\t\n\r'\"<&>"])
        #expect(
            String(decoding: element.xml(in: ""), as: UTF8.self)
                == "<a b='&#9;&#10;&#13;&apos;&quot;&lt;&amp;&gt;'/>")
    }

    @Test func `characters that XML forbids become U+FFFD`() throws {
        let text = "a\u{0}b\u{1}\u{8}\u{B}\u{C}\u{1F}\u{FFFE}\u{FFFF}c\u{FFFD}\u{7F}\u{1FFFE}"
        let element = Element("a", in: "", ["b": text], text: text)
        let read = try parsed(element.xml(in: ""), in: "")
        let expected = "a\u{FFFD}b" + String(repeating: "\u{FFFD}", count: 7) + "c\u{FFFD}\u{7F}\u{1FFFE}"
        #expect(read.text == expected)
        #expect(read["b"] == expected)
    }

    @Test func `attributes are found, set and removed by name`() {
        var element = Element("a", in: "", ["b": "1", "c": nil])
        element.attributes.append(.init("b", namespace: "urn:y", "other"))
        #expect(element["b"] == "1" && element["c"] == nil)
        element["b"] = "2"
        element["d"] = "3"
        element["c"] = nil
        #expect(element["b"] == "2" && element["d"] == "3" && element.attributes.count == 3)
        element["b"] = nil
        #expect(element["b"] == nil && element.attributes.count == 2)
    }

    @Test func `numbers must be complete and in range`() throws {
        let element = Element(
            "a", in: "", ["a": "12", "b": "4294967296", "c": "-1", "d": "1x", "e": "", "f": " 1"])
        #expect(try element.required("a") as UInt32 == 12)
        for name in ["b", "c", "d", "e", "f"] {
            #expect(throws: CodecError.invalid(name)) { try element.required(name) as UInt32 }
            #expect(throws: CodecError.invalid(name)) { try element.optional(name) as UInt32? }
        }
        #expect(throws: CodecError.missing("z")) { try element.required("z") as UInt32 }
        #expect(try element.optional("z") as Int? == nil)
    }

    @Test func `text around children is joined`() throws {
        let element = try parsed("<a>one<b>two</b> three</a>")
        #expect(element.text == "one three")
        #expect(element.child("b", in: Namespace.client)?.text == "two")
        #expect(element.children.count == 1 && element.nodes.count == 3)
        #expect(try element.onlyChild("b", in: Namespace.client).text == "two")
        #expect(throws: CodecError.missing("c")) { try element.onlyChild("c", in: Namespace.client) }
    }

    @Test func `stanzas are what they are in the client namespace only`() throws {
        #expect(try parsed("<message/>").stanzaKind == .message)
        #expect(try parsed("<presence/>").stanzaKind == .presence)
        #expect(try parsed("<iq/>").stanzaKind == .iq)
        #expect(try parsed("<message xmlns='jabber:server'/>").stanzaKind == nil)
        #expect(try parsed("<query/>").stanzaKind == nil)
    }

    @Test func `a malformed sender is not an absent one`() throws {
        let account = try JID("me@x")
        #expect(try parsed("<iq/>").isFromOwnAccount(account))
        #expect(try parsed("<iq from='me@x'/>").isFromOwnAccount(account))
        for from in ["", "@x", "me@x/", "me@x/other", "m@evil", "x", "me@x.evil"] {
            #expect(try !parsed("<iq from='\(from)'/>").isFromOwnAccount(account))
        }
    }

    @Test func `stanza errors survive servers that leave things out`() throws {
        let full = try parsed(
            """
            <iq type='error'><error type='wait'><resource-constraint \
            xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text \
            xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>later</text><too-many xmlns='urn:app'/></error></iq>
            """)
        let expected = StanzaError(
            .resourceConstraint, .wait, text: "later", application: Element("too-many", in: "urn:app"))
        #expect(StanzaError(full) == expected)
        #expect(
            StanzaError(Element("iq", in: Namespace.client, ["type": "error"], [expected.element]))
                == expected)
        #expect(StanzaError(try parsed("<iq type='error'/>")) == StanzaError(.undefinedCondition))
        #expect(StanzaError(try parsed("<iq type='result'/>")) == nil)
    }
}
