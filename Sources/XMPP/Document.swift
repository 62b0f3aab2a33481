// XML that does not come with the stream: one element and nothing else.

extension Element {
    /// Reads a document with the parser of the stream, so under the same rules and limits.
    ///
    /// - Throws: `.invalid("document")` for anything but exactly one element.
    public init(document bytes: [UInt8]) throws(CodecError) {
        let parser = XMLParser()
        do {
            _ = try parser.feed(
                Array(
                    "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client'>"
                        .utf8))
            // What is incomplete gives no event; what goes on behind the element, or ends the root, one more.
            let events = try parser.feed(bytes + Array("<end/>".utf8))
            guard events.count == 2, case .element(let element) = events[0],
                case .element(let end) = events[1], end.is("end", in: Namespace.client), end.nodes.isEmpty
            else { throw CodecError.invalid("document") }
            self = element
        } catch {
            throw .invalid("document")
        }
    }
}
