// The stream's bytes in, stream events out: restricted XML (RFC 6120 §11) with limits.

import CExpat

/// What a stream's bytes amount to.
public enum StreamEvent: Equatable, Sendable {
    /// The stream header: the attributes of the root element.
    case opened(attributes: [Element.Attribute])
    /// A complete child of the root: a stanza or another first-level element.
    case element(Element)
    /// A complete child of the root that is beyond a limit (``XMLParser/Limits/discards``): its own name and
    /// attributes, as many as are allowed, without content.
    case discarded(Element, XMLError)
    /// The end tag of the root. Nothing after it is read.
    case closed
}

/// A push parser for one direction of one XMPP stream.
///
/// Any split of the same bytes gives the same events, each as soon as its last byte is there.
///
/// With ``Limits/discards`` a stanza beyond the limits is skipped: nothing of it is kept but its first tag, and
/// only its tags are counted and its UTF-8 is checked until it ends. Then expat begins anew with the stream's
/// own header, so that nothing of that stanza stays in its memory either.
public final class XMLParser {
    /// How large a peer may make things.
    public struct Limits: Sendable {
        /// Bytes since the end of the last complete stanza.
        public var stanzaBytes = 1 << 20
        /// Elements inside each other, the stanza itself included.
        public var depth = 64
        /// Attributes of one element, namespace declarations included.
        public var attributes = 64
        /// Elements of one stanza, itself included.
        public var elements = 20_000
        /// Different names in one stream: of elements, attributes and prefixes.
        public var names = 4_096

        /// Whether a child of the root beyond the limits is skipped and reported, instead of ending the
        /// stream. Header and XML as such are judged as ever.
        public var discards = false
        /// Bytes of a stanza that is skipped; beyond it the stream ends all the same.
        public var discardedBytes = 16 << 20

        /// The limits of a client.
        public init() {}

        /// The same limits, for a server that would send what is beyond them again and again.
        public static let lenient = {
            var limits = Limits()
            limits.discards = true
            return limits
        }()
    }

    let limits: Limits
    let builder: UnsafeMutablePointer<ElementBuilder>
    var scanner: MarkupScanner
    var held: [UInt8] = []  // of a token that is not complete
    var header: [UInt8] = []  // with `discards`: what opened the stream
    var skipped: SkippedStanza?
    private let expat: OpaquePointer
    private var failure: XMLError?

    /// A parser at the start of a stream.
    public init(limits: Limits = Limits()) {
        guard let expat = XML_ParserCreateNS("UTF-8", XML_Char(NameTable.separator)) else {
            fatalError("out of memory")
        }
        self.expat = expat
        self.limits = limits
        scanner = MarkupScanner(maxAttributes: limits.attributes, stopsBetweenStanzas: limits.discards)
        builder = .allocate(capacity: 1)
        builder.initialize(to: ElementBuilder(limits: limits, expat: expat))
        prepare()
    }

    deinit {
        XML_ParserFree(expat)
        builder.deinitialize(count: 1)
        builder.deallocate()
    }

    /// Starts over for a new stream on the same connection (RFC 6120 §4.3.3). Bytes of an unfinished token
    /// are dropped, so that nothing sent before TLS is read after it.
    public func reset() {
        restart()
        scanner = MarkupScanner(maxAttributes: limits.attributes, stopsBetweenStanzas: limits.discards)
        held = []
        header = []
        skipped = nil
        failure = nil
    }

    /// Expat and the builder, as at the start of a stream.
    func restart() {
        XML_ParserReset(expat, "UTF-8")
        builder.pointee = ElementBuilder(limits: limits, expat: expat)
        prepare()
    }

    /// Takes the next bytes of the stream.
    ///
    /// - Returns: what they completed, in order.
    /// - Throws: the stream must be closed: the same error comes from every later call until ``reset()``.
    ///   What the same bytes completed before the error is there for ``takeCompleted()``.
    public func feed(_ bytes: [UInt8]) throws(XMLError) -> [StreamEvent] {
        try bytes.withUnsafeBufferPointer { (buffer) throws(XMLError) in
            try feed(UnsafeRawBufferPointer(buffer))
        }
    }

    /// Takes the next bytes of the stream; see ``feed(_:)-([UInt8])``.
    public func feed(_ bytes: UnsafeRawBufferPointer) throws(XMLError) -> [StreamEvent] {
        if let failure { throw failure }
        if builder.pointee.isClosed { return [] }
        do {
            if limits.discards {
                try takeOrSkip(bytes)
            } else {
                try take(bytes, scanner.scan(bytes))
            }
        } catch {
            failure = error
            held = []
            throw error
        }
        return takeCompleted()
    }

    /// After ``feed(_:)-([UInt8])`` threw: what the same bytes had completed before the error, once. The server
    /// sent these whole: take them in before the stream is closed.
    public func takeCompleted() -> [StreamEvent] {
        if builder.pointee.events.isEmpty { return [] }
        let events = builder.pointee.events
        builder.pointee.events = []
        return events
    }

    func take(_ bytes: UnsafeRawBufferPointer, _ scan: MarkupScanner.Scan) throws(XMLError) {
        if scan.complete > 0 {
            let whole = UnsafeRawBufferPointer(rebasing: bytes[..<scan.complete])
            if held.isEmpty {
                try parse(whole)
            } else {
                held.append(contentsOf: whole)
                let token = held
                held = []
                try parse(token)
            }
            if builder.pointee.isClosed { return }
        }
        if let refused = scan.refused { throw refused }
        held.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[scan.complete...]))
        guard builder.pointee.received &+ held.count &- builder.pointee.stanzaStart <= limits.stanzaBytes
        else {
            throw .limit(.stanzaBytes)
        }
    }

    func parse(_ bytes: [UInt8]) throws(XMLError) {
        try bytes.withUnsafeBufferPointer { (buffer) throws(XMLError) in
            try parse(UnsafeRawBufferPointer(buffer))
        }
    }

    private func parse(_ bytes: UnsafeRawBufferPointer) throws(XMLError) {
        builder.pointee.received &+= bytes.count
        // Expat counts in C's int.
        for start in stride(from: 0, to: bytes.count, by: 1 << 30) {
            let part = UnsafeRawBufferPointer(rebasing: bytes[start..<min(bytes.count, start + 1 << 30)])
            let status = XML_Parse(
                expat, part.baseAddress?.assumingMemoryBound(to: CChar.self), CInt(part.count), 0)
            if builder.pointee.isClosed { return }
            if let refused = builder.pointee.refused { throw refused }
            if status != XML_STATUS_OK {
                throw .notWellFormed(
                    XML_ErrorString(XML_GetErrorCode(expat)).map { String(cString: $0) } ?? "unknown error")
            }
        }
    }

    private func prepare() {
        XML_SetReturnNSTriplet(expat, 1)  // names with their prefix, as expat keeps them
        ElementBuilder.connect(expat, to: builder)
    }
}
