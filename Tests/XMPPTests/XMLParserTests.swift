// The parser: the same events for any split, and nothing that XMPP forbids (rows B14, B15, B16).

import Testing

@testable import XMPP

@Suite struct XMLParserTests {
    static let conversation =
        streamHeader + """
            <stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>\
            </stream:features> \n\n <message to='a@b' xml:lang='de'><body>Grüße, 中 😀 &lt;&amp;&#x1F600; ]] ]]&gt; \
            a]]\r\nb</body><p:x xmlns:p='urn:x' p:y="1>2'3" z='a&#10;b'><p:q/>tail</p:x></message>\
            <presence/><message><body><![CDATA[a<b>&amp;]]]]><![CDATA[>]]></body></message >\t</stream:stream>
            """

    @Test func `a stream becomes its events`() throws {
        let events = try events(Array(Self.conversation.utf8), by: .max)
        #expect(events.count == 6)
        #expect(
            events.first
                == .opened(attributes: [
                    .init("from", "example.org"), .init("id", "s1"), .init("version", "1.0"),
                ])
        )
        guard case .element(let message) = events[2], case .element(let cdata) = events[4] else {
            Issue.record("not elements")
            return
        }
        #expect(message.language == "de")
        #expect(
            message.child("body", in: Namespace.client)?.text == "Grüße, 中 😀 <&😀 ]] ]]> a]]\nb")
        let x = try message.onlyChild("x", in: "urn:x")
        #expect(x.attributes == [.init("y", namespace: "urn:x", "1>2'3"), .init("z", "a\nb")])
        #expect(x.nodes == [.element(Element("q", in: "urn:x")), .text("tail")])
        #expect(cdata.child("body", in: Namespace.client)?.text == "a<b>&amp;]]>")
        #expect(events.last == .closed)
    }

    @Test func `one-byte pieces give the same events as the whole`() throws {
        let bytes = Array(Self.conversation.utf8)
        let whole = try events(bytes, by: .max)
        for size in [1, 2, 3, 7, 64] { #expect(try events(bytes, by: size) == whole) }
    }

    @Test(arguments: 0..<60)
    func `any split gives the same events`(_ seed: Int) throws {
        var random = Seeded(seed)
        var bytes = Array(streamHeader.utf8)
        var expected: [Element] = []
        for _ in 0..<8 {
            expected.append(random.element(depth: 3))
            expected.last?.write(into: &bytes)
            bytes += Array(repeating: 0x20, count: Int.random(in: 0...2, using: &random))
        }
        let parser = XMLParser()
        var seen: [StreamEvent] = []
        while !bytes.isEmpty {
            let count = min(bytes.count, Int.random(in: 1...40, using: &random))
            seen += try parser.feed(Array(bytes.prefix(count)))
            bytes.removeFirst(count)
        }
        #expect(seen.dropFirst() == expected.map { .element($0) }[...])
    }

    @Test func `a stanza is reported with its last byte`() throws {
        let parser = XMLParser()
        _ = try parser.feed(Array(streamHeader.utf8))
        for _ in 0..<3 {
            let stanza = Array("<message from='a@b' to='c@d'><body>hello there</body></message>".utf8)
            for byte in stanza.dropLast() { #expect(try parser.feed([byte]).isEmpty) }
            #expect(try parser.feed([UInt8(ascii: ">")]).count == 1)
        }
    }

    @Test func `keepalives never add up to a limit`() throws {
        let parser = XMLParser()
        _ = try parser.feed(Array(streamHeader.utf8))
        let spaces = Array(repeating: UInt8(ascii: " "), count: 300_000)
        for _ in 0..<8 { #expect(try parser.feed(spaces).isEmpty) }
        #expect(try parser.feed(Array("\n<presence/>".utf8)).count == 1)
    }

    @Test(arguments: [1, 7, Int.max])
    func `stanzas before an error are not lost with it`(_ size: Int) throws {
        let parser = XMLParser()
        _ = try parser.feed(Array(streamHeader.utf8))
        var seen: [StreamEvent] = []
        let bytes = Array("<message id='1'/><presence/><!-- no --><iq/>".utf8)
        #expect(throws: XMLError.restricted(.comment)) {
            for start in stride(from: 0, to: bytes.count, by: min(size, bytes.count)) {
                seen += try parser.feed(Array(bytes[start...].prefix(size)))
            }
        }
        seen += parser.takeCompleted()
        #expect(
            seen == [
                .element(Element("message", in: Namespace.client, ["id": "1"])),
                .element(Element("presence", in: Namespace.client)),
            ])
        #expect(parser.takeCompleted().isEmpty)
        #expect(throws: XMLError.restricted(.comment)) { try parser.feed([]) }
    }

    @Test func `a new stream may follow on the same connection`() throws {
        let parser = XMLParser()
        _ = try parser.feed(
            Array((streamHeader + "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><inj").utf8))
        parser.reset()
        let events = try parser.feed(Array((streamHeader + "<presence/>").utf8))
        #expect(events.count == 2)
        #expect(throws: XMLError.self) { try parser.feed(Array("<a/ >".utf8)) }
        parser.reset()
        #expect(try parser.feed(Array(streamHeader.utf8)).count == 1)
    }

    @Test func `nothing is read after the end of the stream`() throws {
        for size in [1, Int.max] {
            let parser = XMLParser()
            let bytes = Array((streamHeader + "</stream:stream><message/><!-- --> \u{0}").utf8)
            #expect(try events(bytes, by: size, parser).count == 2)
            #expect(try parser.feed([0xFF]).isEmpty)
        }
    }

    @Test(arguments: [
        "<a xmlns='jabber:client'>", "<stream xmlns='jabber:client'>",
        "<s:features xmlns:s='http://etherx.jabber.org/streams'>",
    ])
    func `another root is not a stream`(_ root: String) {
        #expect(throws: XMLError.notAStream) { try XMLParser().feed(Array(root.utf8)) }
    }
}

/// Bytes that must end the stream.
struct Refusal: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var bytes: [UInt8]
    var condition: String

    init(_ name: String, _ text: String, _ condition: String = "not-well-formed") {
        testDescription = name
        bytes = Array(text.utf8)
        self.condition = condition
    }

    init(_ name: String, utf8 bytes: [UInt8]) {
        testDescription = name
        self.bytes = Array("<message><body>".utf8) + bytes + Array("</body></message>".utf8)
        condition = "not-well-formed"
    }

    static let smuggling = [
        Refusal("comment", "<message><!-- hidden --></message>", "restricted-xml"),
        Refusal("comment between stanzas", "<!---->", "restricted-xml"),
        Refusal("processing instruction", "<message><?php x?></message>", "restricted-xml"),
        Refusal("XML declaration in mid-stream", "<?xml version='1.0'?>", "restricted-xml"),
        Refusal("DOCTYPE", "<!DOCTYPE a [<!ENTITY b 'c'>]>", "restricted-xml"),
        Refusal("entity declaration", "<message><!ENTITY b 'c'></message>", "restricted-xml"),
        Refusal("not quite CDATA", "<message><![cdata[x]]></message>", "restricted-xml"),
        Refusal("undeclared entity", "<message>&nbsp;</message>"),
        Refusal("undeclared entity in an attribute", "<message id='&xxe;'/>"),
        Refusal("character reference to NUL", "<message>&#0;</message>"),
        Refusal("character reference to a surrogate", "<message>&#xD800;</message>"),
        Refusal("unbound prefix", "<message><x:y/></message>"),
        Refusal("unbound attribute prefix", "<message x:y='1'/>"),
        Refusal("unbinding a prefix", "<message xmlns:x=''/>"),
        Refusal("U+000C in xmlns", "<message xmlns='jabber:client\u{C}x'/>"),
        Refusal("reference to U+000C in xmlns", "<message xmlns='jabber:client&#12;x'/>"),
        Refusal("control character", "<message>\u{1}</message>"),
        Refusal("U+FFFE", "<message>\u{FFFE}</message>"),
        Refusal("U+FFFF in an attribute", "<message id='\u{FFFF}'/>"),
        Refusal("wrong end tag", "<message><body></message></body>"),
        Refusal("duplicate attribute", "<message id='1' id='2'/>"),
        Refusal(
            "duplicate attribute by namespace", "<message xmlns:a='urn:x' xmlns:b='urn:x' a:i='1' b:i='2'/>"),
        Refusal("attribute without quotes", "<message id=1/>"),
        Refusal("< in an attribute", "<message id='<'/>"),
        Refusal("]]> in text", "<message>]]></message>"),
        Refusal("empty tag", "<message><></message>"),
        Refusal("text between stanzas", "<message/>hello<message/>", "bad-format"),
    ]

    static let utf8 = [
        Refusal("lone continuation", utf8: [0x80]),
        Refusal("lone continuation BF", utf8: [0xBF]),
        Refusal("truncated 2", utf8: [0xC3]),
        Refusal("truncated 3", utf8: [0xE2, 0x82]),
        Refusal("truncated 4", utf8: [0xF0, 0x9F, 0x98]),
        Refusal("truncated by ASCII", utf8: [0xE2, 0x41, 0x41]),
        Refusal("overlong /", utf8: [0xC0, 0xAF]),
        Refusal("overlong <", utf8: [0xC0, 0xBC]),
        Refusal("overlong C1", utf8: [0xC1, 0xBF]),
        Refusal("overlong 3", utf8: [0xE0, 0x80, 0xBC]),
        Refusal("overlong 3, highest", utf8: [0xE0, 0x9F, 0xBF]),
        Refusal("overlong 4", utf8: [0xF0, 0x80, 0x80, 0xBC]),
        Refusal("overlong 4, highest", utf8: [0xF0, 0x8F, 0xBF, 0xBF]),
        Refusal("overlong NUL", utf8: [0xC0, 0x80]),
        Refusal("first surrogate", utf8: [0xED, 0xA0, 0x80]),
        Refusal("last surrogate", utf8: [0xED, 0xBF, 0xBF]),
        Refusal("surrogate pair", utf8: [0xED, 0xA0, 0xBD, 0xED, 0xB8, 0x80]),
        Refusal("above U+10FFFF", utf8: [0xF4, 0x90, 0x80, 0x80]),
        Refusal("F5", utf8: [0xF5, 0x80, 0x80, 0x80]),
        Refusal("five bytes", utf8: [0xF8, 0x88, 0x80, 0x80, 0x80]),
        Refusal("six bytes", utf8: [0xFC, 0x84, 0x80, 0x80, 0x80, 0x80]),
        Refusal("FE", utf8: [0xFE]),
        Refusal("FF", utf8: [0xFF]),
        Refusal("Latin-1", utf8: [0x63, 0x61, 0x66, 0xE9]),
        Refusal("NUL", utf8: [0x00]),
    ]
}

@Suite struct XMLRefusalTests {
    @Test(arguments: Refusal.smuggling + Refusal.utf8, [1, 5, Int.max])
    func `what XMPP forbids ends the stream, whole or in pieces`(_ refusal: Refusal, size: Int) throws {
        let parser = XMLParser()
        _ = try parser.feed(Array(streamHeader.utf8))
        let error = try #require(
            #expect(throws: XMLError.self) { try events(refusal.bytes, by: size, parser) })
        #expect(error.condition == refusal.condition)
        #expect(throws: error) { try parser.feed(Array("<presence/>".utf8)) }
        #expect(throws: error) { try parser.feed([]) }
    }

    @Test func `another encoding than UTF-8 is not believed`() {
        for declaration in [
            "<?xml version='1.0' encoding='ISO-8859-1'?>", "<?xml version='1.0' encoding='UTF-7'?>",
        ] {
            let header = streamHeader.replacing("<?xml version='1.0'?>", with: declaration)
            let bytes = Array((header + "<message><body>").utf8) + [0xE9] + Array("</body></message>".utf8)
            #expect(throws: XMLError.self) { try events(bytes, by: 9) }
        }
    }

    @Test func `ten laughs are too many`() {
        let start = ContinuousClock.now
        var bomb = "<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol0 'lol'>"
        for level in 1...9 {
            bomb += "<!ENTITY lol\(level) '" + String(repeating: "&lol\(level - 1);", count: 10) + "'>"
        }
        bomb += "]><stream:stream>&lol9;"
        #expect(throws: XMLError.restricted(.declaration)) { try events(Array(bomb.utf8), by: 1000) }
        #expect(ContinuousClock.now - start < .milliseconds(100))
    }

    @Test func `a million elements inside each other end the stream at the 65th`() throws {
        let parser = XMLParser()
        _ = try parser.feed(Array(streamHeader.utf8))
        let bomb = Array(String(repeating: "<a>", count: 1_000_000).utf8)
        #expect(throws: XMLError.limit(.depth)) { try events(bomb, by: 16_384, parser) }
        let nest = { (depth: Int) in
            Array(
                (streamHeader + String(repeating: "<a>", count: depth)
                    + String(repeating: "</a>", count: depth))
                    .utf8)
        }
        #expect(try events(nest(64), by: .max).count == 2)
        #expect(throws: XMLError.limit(.depth)) { try events(nest(65), by: .max) }
    }

    @Test func `a hundred thousand attributes end the stream at the 65th`() throws {
        let tag = { (count: Int) in
            Array((streamHeader + "<a " + (0..<count).map { "a\($0)=''" }.joined(separator: " ") + "/>").utf8)
        }
        #expect(throws: XMLError.limit(.attributes)) { try events(tag(100_000), by: .max) }
        #expect(throws: XMLError.limit(.attributes)) { try events(tag(65), by: 1) }
        #expect(try events(tag(64), by: .max).count == 2)
    }

    @Test func `a stanza of more than 20,000 elements ends the stream`() throws {
        let stanza = { (count: Int) in "<a>" + String(repeating: "<b/>", count: count - 1) + "</a>" }
        let parser = XMLParser()
        _ = try parser.feed(Array(streamHeader.utf8))
        for _ in 0..<3 { #expect(try parser.feed(Array(stanza(20_000).utf8)).count == 1) }
        #expect(throws: XMLError.limit(.elements)) { try parser.feed(Array(stanza(20_001).utf8)) }
    }

    @Test(arguments: [1000, Int.max])
    func `a stanza of more than 1 MiB ends the stream`(_ size: Int) throws {
        let stanza = { (count: Int) in
            Array(("<a>" + String(repeating: "x", count: count - 7) + "</a>").utf8)
        }
        let parser = XMLParser()
        _ = try parser.feed(Array(streamHeader.utf8))
        for _ in 0..<2 { #expect(try events(stanza(1 << 20), by: size, parser).count == 1) }
        #expect(throws: XMLError.limit(.stanzaBytes)) { try events(stanza(1 << 20 + 1), by: size, parser) }
        parser.reset()
        _ = try parser.feed(Array(streamHeader.utf8))
        let attribute = Array(("<a b='" + String(repeating: ">", count: 1 << 20)).utf8)
        #expect(throws: XMLError.limit(.stanzaBytes)) { try events(attribute, by: size, parser) }
    }

    @Test func `a stream of ever new names ends`() throws {
        for form in ["<n%/>", "<a n%='1'/>", "<a xmlns='urn:n%'/>", "<p%:a xmlns:p%='urn:a'/>"] {
            let parser = XMLParser()
            _ = try parser.feed(Array(streamHeader.utf8))
            #expect(throws: XMLError.limit(.names)) {
                for number in 0..<5000 {
                    _ = try parser.feed(Array(form.replacing("%", with: String(number)).utf8))
                }
            }
        }
    }

    @Test(arguments: [
        ("<message id='", ">", 1_040_000), ("<message><body>", "]", 1_040_000),
        ("<message id='", "x", 100_000), ("<message><body>", "x", 100_000),
        ("<message><body>&", "a", 100_000), ("<message><![CDATA[", "]", 100_000), ("<message ", " ", 100_000),
        ("<", "m", 100_000), ("<message><body>", "&lt;", 25_000),
    ])
    func `a token of 1 MiB in one-byte pieces takes linear time`(
        _ start: String, fill: String, count: Int
    ) throws {
        let parser = XMLParser()
        _ = try parser.feed(Array(streamHeader.utf8))
        let bytes = Array((start + String(repeating: fill, count: count)).utf8)
        let began = ContinuousClock.now
        #expect(throws: Never.self) { try events(bytes, by: 1, parser) }
        // A release build takes a quarter of a second; this is for debug builds on busy machines, where
        // quadratic time would still be many minutes.
        #expect(ContinuousClock.now - began < .seconds(60))
    }
}
