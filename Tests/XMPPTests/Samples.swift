// Elements from text, and seeded randomness, for the tests of this folder.

import Testing

@testable import XMPP

/// One element, in the namespace of client streams unless it says otherwise.
func parsed(_ xml: String) throws -> Element {
    try parsed(Array(xml.utf8))
}

/// One element where the surrounding document declares `defaultNamespace`.
func parsed(_ bytes: [UInt8], in defaultNamespace: String = Namespace.client) throws -> Element {
    let parser = XMLParser()
    var start = Array("<s:stream xmlns:s='\(Namespace.streams)' xmlns='".utf8)
    start.append(escaping: defaultNamespace, .attribute)
    _ = try parser.feed(start + Array("'>".utf8))
    let events = try parser.feed(bytes + Array("</s:stream>".utf8))
    guard events.count == 2, case .element(let element) = events[0], events[1] == .closed else {
        throw XMLError.notWellFormed("not exactly one element")
    }
    return element
}

let streamHeader = """
    <?xml version='1.0'?><stream:stream from='example.org' id='s1' version='1.0' \
    xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>
    """

/// Feeds pieces of at most `size` bytes; the events of all of them.
func events(_ bytes: [UInt8], by size: Int, _ parser: XMLParser = XMLParser()) throws(XMLError)
    -> [StreamEvent]
{
    try bytes.withUnsafeBufferPointer { (buffer) throws(XMLError) in
        var events: [StreamEvent] = []
        var rest = UnsafeRawBufferPointer(buffer)[...]
        while !rest.isEmpty {
            events += try parser.feed(UnsafeRawBufferPointer(rebasing: rest.prefix(size)))
            rest = rest.dropFirst(size)
        }
        return events
    }
}

/// SplitMix64: the same numbers in every run.
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    init(_ seed: Int) { state = UInt64(bitPattern: Int64(seed)) }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func text(upTo count: Int) -> String {
        let alphabet: [Unicode.Scalar] = [
            "a", "b", "Z", " ", "<", ">", "&", "'", "\"", "]", "\t", "\n", "\r", ";", "#", "é", "ß", "中",
            "\u{85}", "\u{2028}", "\u{7F}", "\u{E000}", "\u{FFFD}", "😀", "\u{10FFFF}", "\u{301}", "=", "/",
        ]
        var text = String.UnicodeScalarView()
        for _ in 0..<Int.random(in: 0...count, using: &self) {
            if let scalar = alphabet.randomElement(using: &self) { text.append(scalar) }
        }
        return String(text)
    }

    mutating func element(depth: Int) -> Element {
        let names = ["a", "b", "item", "x-1", "é"]
        let namespaces = [Namespace.client, Namespace.roster, "", "urn:x?a=1&b='2'", "urn:<>"]
        var element = Element(
            names.randomElement(using: &self) ?? "a", in: namespaces.randomElement(using: &self) ?? "")
        for name in ["id", "to", "q"] where Bool.random(using: &self) {
            let space = [nil, nil, nil, Namespace.xml, "urn:y"].randomElement(using: &self) ?? nil
            element.attributes.append(Element.Attribute(name, namespace: space, text(upTo: 8)))
        }
        for _ in 0..<Int.random(in: 0...4, using: &self) {
            if depth > 0 && Bool.random(using: &self) {
                element.append(self.element(depth: depth - 1))
            } else {
                element.append(text: text(upTo: 12))
            }
        }
        return element
    }
}
