// Stanzas beyond the limits, skipped: what comes before and after them arrives (rows B15, B16; F15).

import Testing

@testable import XMPP

/// A stanza beyond one limit.
struct Excess: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var stanza: [UInt8]
    var root: Element
    var limit: XMLError.Limit

    init(_ name: String, _ limit: XMLError.Limit, _ stanza: String, root: Element? = nil) {
        testDescription = name
        self.stanza = Array(stanza.utf8)
        self.root = root ?? Element("message", in: Namespace.client, ["id": "x", "from": "m@evil"])
        self.limit = limit
    }

    private static func message(_ content: String) -> String {
        "<message id='x' from='m@evil'>\(content)</message>"
    }

    private static func attributes(_ range: Range<Int>) -> String {
        range.map { " a\($0)='\($0)'" }.joined()
    }

    private static func root(_ range: Range<Int>) -> Element {
        var root = Element("message", in: Namespace.client)
        for number in range { root["a\(number)"] = String(number) }
        return root
    }

    private static func repeated(_ text: String, _ count: Int) -> String {
        String(repeating: text, count: count)
    }

    static let all = [
        Excess("depth", .depth, message(repeated("<a>", 64) + repeated("</a>", 64))),
        Excess(
            "depth, and more of it", .depth,
            message("<b/>" + repeated("<a> ", 999) + repeated("</a>", 999) + "é")),
        Excess(
            "depth of an empty element", .depth, message(repeated("<a>", 63) + "<a/>" + repeated("</a>", 63))),
        Excess("elements", .elements, message(repeated("<a/>", 20_000))),
        Excess("attributes inside", .attributes, message("<x\(attributes(0..<65))/>tail<y/>")),
        Excess("attributes of an open tag", .attributes, message("<x\(attributes(0..<65))>text</x>")),
        Excess(
            "attributes twice", .attributes, message("<x\(attributes(0..<99))/><x\(attributes(0..<99))/>")),
        Excess(
            "attributes of the stanza", .attributes, "<message\(attributes(0..<65))/>", root: root(0..<64)),
        Excess(
            "attributes of an open stanza", .attributes,
            "<message\(attributes(0..<200))><body>&lt;</body></message>", root: root(0..<64)),
        Excess("names", .names, message((0..<4_100).map { "<n\($0)/>" }.joined())),
        Excess("prefixes", .names, message((0..<4_100).map { "<x xmlns:p\($0)='u'/>" }.joined())),
        Excess("text", .stanzaBytes, message("<body>" + repeated("Grüße ", 150_000) + "</body>")),
        Excess(
            "CDATA", .stanzaBytes,
            message("<body><![CDATA[" + repeated("</message>]", 150_000) + "]]></body>")),
        Excess("attribute value", .stanzaBytes, message("<x a='\(repeated("/>", 600_000))'/>")),
        Excess(
            "attribute value of the stanza", .stanzaBytes,
            "<message id='x' from='m@evil' a=\"\(repeated("'/>", 400_000))\" b='1'><c/></message>"),
        Excess("white space in a tag", .stanzaBytes, message("<x \(repeated(" ", 1_100_000))/>")),
        Excess(
            "white space in the stanza's tag", .stanzaBytes,
            "<message id='x' from='m@evil' \(repeated(" ", 1_100_000)) b='1'/>"),
        Excess("end tag", .stanzaBytes, message("<x></x\(repeated(" ", 1_100_000))>")),
    ]
}

@Suite struct DiscardingParserTests {
    private let before = "\n<message id='1'><body>before</body></message>"
    private let after = " <message id='2'><body>after</body></message>\n"

    private func parser(_ limits: XMLParser.Limits = .lenient) throws -> XMLParser {
        let parser = XMLParser(limits: limits)
        #expect(try parser.feed(Array(streamHeader.utf8)).count == 1)
        return parser
    }

    private func bytes(_ stanzas: [UInt8]...) -> [UInt8] {
        stanzas.flatMap { Array(before.utf8) + $0 } + Array(after.utf8)
    }

    private func message(_ id: String, _ text: String) -> StreamEvent {
        .element(
            Element(
                "message", in: Namespace.client, ["id": id],
                [Element("body", in: Namespace.client, text: text)]))
    }

    @Test(arguments: Excess.all)
    func `what is too large is skipped, and its neighbours arrive`(_ excess: Excess) throws {
        let discarded = StreamEvent.discarded(excess.root, .limit(excess.limit))
        let stanzas = bytes(excess.stanza, excess.stanza) + Array("</stream:stream>".utf8)
        for size in [Int.max, 65_536, 1_021] {
            #expect(
                try events(stanzas, by: size, parser()) == [
                    message("1", "before"), discarded, message("1", "before"), discarded,
                    message("2", "after"), .closed,
                ], "by \(size)")
        }
    }

    @Test(arguments: Excess.all)
    func `without discarding it ends the stream`(_ excess: Excess) throws {
        let parser = try parser(XMLParser.Limits())
        #expect(throws: XMLError.limit(excess.limit)) { try events(bytes(excess.stanza), by: 1_021, parser) }
    }

    @Test func `any split gives the same events`() throws {
        var limits = XMLParser.Limits.lenient
        (limits.depth, limits.elements, limits.attributes) = (4, 12, 5)
        (limits.names, limits.stanzaBytes) = (24, 300)
        var counts = [0, 0]
        for seed in 0..<300 {
            var random = Seeded(seed)
            var stanzas: [UInt8] = []
            for _ in 0..<6 {
                random.element(depth: Int.random(in: 0...5, using: &random)).write(into: &stanzas)
                stanzas += Array(repeating: 0x20, count: Int.random(in: 0...2, using: &random))
            }
            let whole = try events(stanzas, by: .max, parser(limits))
            #expect(whole.count == 6)
            for event in whole { if case .discarded = event { counts[1] += 1 } else { counts[0] += 1 } }
            #expect(try events(stanzas, by: 1, parser(limits)) == whole, "seed \(seed)")
            let pieces = try parser(limits)
            var seen: [StreamEvent] = []
            while !stanzas.isEmpty {
                let count = min(stanzas.count, Int.random(in: 1...200, using: &random))
                seen += try pieces.feed(Array(stanzas.prefix(count)))
                stanzas.removeFirst(count)
            }
            #expect(seen == whole, "seed \(seed)")
        }
        #expect(counts.allSatisfy { $0 > 200 }, "\(counts)")
    }

    @Test func `within the limits nothing differs`() throws {
        let conversation = Array(XMLParserTests.conversation.utf8)
        let normal = try events(conversation, by: .max)
        for size in [1, 7, Int.max] {
            #expect(try events(conversation, by: size, XMLParser(limits: .lenient)) == normal)
        }
    }

    @Test(arguments: Refusal.smuggling + Refusal.utf8, [1, 5, Int.max])
    func `what XMPP forbids ends the stream as ever`(_ refusal: Refusal, size: Int) throws {
        let parser = try parser()
        let error = try #require(
            #expect(throws: XMLError.self) { try events(refusal.bytes, by: size, parser) })
        #expect(error.condition == refusal.condition)
        #expect(throws: error) { try parser.feed(Array("<presence/>".utf8)) }
    }

    @Test(
        arguments: Refusal.utf8.filter { $0.testDescription != "NUL" } + [
            Refusal("comment", "<!-- -->", "restricted-xml"),
            Refusal("processing instruction", "<?php x?>", "restricted-xml"),
            Refusal("declaration", "<!ENTITY b 'c'>", "restricted-xml"),
        ], [1, 5, Int.max])
    func `nothing is smuggled in what is skipped`(_ refusal: Refusal, size: Int) throws {
        let parser = try parser()
        let start = Array(("<message>" + String(repeating: "<a>", count: 64)).utf8)
        let error = try #require(
            #expect(throws: XMLError.self) { try events(start + refusal.bytes, by: size, parser) })
        #expect(error.condition == refusal.condition)
    }

    @Test func `names of one stanza do not count against the next`() throws {
        let parser = try parser()
        for round in 0..<20 {
            let names = (0..<1_500).map { "<n\(round)-\($0)/>" }.joined()
            let events = try parser.feed(Array("<message>\(names)</message><presence/>".utf8))
            #expect(events.count == 2 && events[1] == .element(Element("presence", in: Namespace.client)))
            if case .discarded = events[0] { Issue.record("discarded in round \(round)") }
        }
    }

    @Test func `the header and text between stanzas are never skipped`() throws {
        let header = streamHeader.replacing(
            "id='s1'", with: (0..<65).map { "a\($0)=''" }.joined(separator: " "))
        #expect(throws: XMLError.limit(.attributes)) {
            try XMLParser(limits: .lenient).feed(Array(header.utf8))
        }
        let long = streamHeader.replacing("s1", with: String(repeating: "s", count: 1 << 20))
        for size in [1_000, Int.max] {
            #expect(throws: XMLError.limit(.stanzaBytes)) {
                try events(Array(long.utf8), by: size, XMLParser(limits: .lenient))
            }
            let reference = Array(("&" + String(repeating: "a", count: 1 << 20 + 1)).utf8)
            #expect(throws: XMLError.limit(.stanzaBytes)) { try events(reference, by: size, parser()) }
        }
    }

    @Test(arguments: [1_000, Int.max])
    func `a stanza of more than 16 MiB ends the stream after all`(_ size: Int) throws {
        let stanza = { (count: Int) in
            Array(("<a>" + String(repeating: "x", count: count - 7) + "</a>").utf8)
        }
        let parser = try parser()
        for _ in 0..<2 { #expect(try events(stanza(16 << 20), by: size, parser).count == 1) }
        #expect(throws: XMLError.limit(.stanzaBytes)) { try events(stanza(16 << 20 + 1), by: size, parser) }
    }

    @Test(arguments: [1_000, Int.max])
    func `one byte decides`(_ size: Int) throws {
        for (start, end) in [("<a id='1'><b>", "</b></a>"), ("<a id='1", "'/>"), ("<a id='1'", "></a>")] {
            let fill = start.hasSuffix("1'") ? " " : "x"
            let stanza = { (count: Int) in
                Array((start + String(repeating: fill, count: count - start.count - end.count) + end).utf8)
            }
            let parser = try parser()
            for count in [1 << 20, 1 << 20 + 1, 1 << 20] {
                let seen = try events(stanza(count), by: size, parser)
                #expect(seen.count == 1)
                let isDiscarded =
                    if case .discarded(_, .limit(.stanzaBytes))? = seen.first { true } else { false }
                #expect(isDiscarded == (count > 1 << 20))
            }
        }
    }

    @Test func `a parser starts over after a stanza that it skipped half`() throws {
        let parser = try parser()
        #expect(try parser.feed(Array(("<message>" + String(repeating: "<a>", count: 99)).utf8)).isEmpty)
        parser.reset()
        let events = try parser.feed(Array((streamHeader + "<presence/>").utf8))
        #expect(events.last == .element(Element("presence", in: Namespace.client)))
    }

    /// Each would take gigabytes if it were built, or if its names, tags or namespaces were kept.
    @Test(arguments: [
        ("elements inside each other", "<a>", 100_000, "</a>"),
        ("10 MiB of them", "<a>", 1_400_000, "</a>"),
        ("10 MiB of text", "0123456789", 1 << 20, ""),
        ("10 MiB of prefixes", "<a xmlns:p='urn:long'>", 400_000, "</a>"),
    ])
    func `ten mebibytes are skipped in bounded memory and time`(
        _ name: String, start: String, count: Int, end: String
    ) throws {
        let bytes = Array(
            ("<message id='1'>" + String(repeating: start, count: count)
                + String(repeating: end, count: count) + "</message><presence/>").utf8)
        let parser = try parser()
        let began = ContinuousClock.now
        let seen = try events(bytes, by: 16_384, parser)
        #expect(seen.count == 2)
        if case .discarded(let root, _)? = seen.first {
            #expect(root == Element("message", in: Namespace.client, ["id": "1"]))
        } else {
            Issue.record("not discarded")
        }
        #expect(ContinuousClock.now - began < .seconds(60))
    }

    @Test func `a hundred thousand attributes, names and long namespaces are skipped`() throws {
        let many = (0..<100_000).map { " p:a\($0)=''" }.joined()
        let uri = String(repeating: "u", count: 100_000)
        for stanza in [
            "<message id='1' xmlns:p='\(uri)'><x\(many)/></message>",
            "<message id='1' xmlns:p='\(uri)'><x/><y\(many)>\(many)</y></message>",
            "<message id='1'><x xmlns:p='\(uri)'\(many)/></message>",
        ] {
            for size in [16_384, Int.max] {
                let seen = try events(Array((stanza + "<presence/>").utf8), by: size, parser())
                #expect(
                    seen == [
                        .discarded(
                            Element("message", in: Namespace.client, ["id": "1"]), .limit(.attributes)),
                        .element(Element("presence", in: Namespace.client)),
                    ])
            }
        }
    }

    @Test func `a stanza whose first tag cannot be told ends the stream`() throws {
        let attributes = (0..<65).map { " a\($0)=''" }.joined()
        #expect(throws: XMLError.limit(.attributes)) {
            try parser().feed(Array("<p:message\(attributes) xmlns:p='urn:x'/>".utf8))
        }
        let seen = try parser().feed(Array("<message p:x='1'\(attributes) xmlns:p='urn:x'/>".utf8))
        #expect(seen == [.discarded(Element("message", in: Namespace.client), .limit(.attributes))])
    }
}
