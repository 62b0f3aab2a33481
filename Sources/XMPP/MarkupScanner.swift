// Decides how many of the bytes received are worth parsing yet.

import Glibc

/// Tracks where a byte stream stands between tags, well enough to hold a tag back until it is complete.
///
/// Expat scans an unfinished token from its start with every chunk, or, to avoid that, delays tokens that
/// are already complete (CVE-2023-52425 and its remedy). Handing it whole tags only avoids both: time is
/// linear for any chunk size and every stanza is reported with its last byte. Comments, processing
/// instructions and declarations are refused at their first bytes.
struct MarkupScanner {
    private enum State {
        case text
        case reference  // after `&`
        case tagStart  // after `<`
        case tag
        case quoted(UInt8)
        case declaration(Int)  // after `<!`: how much of `[CDATA[` has been seen
        case xmlDeclaration
        case cdata(Int)  // how many `]` were just seen, at most 2
    }

    /// What the next bytes are good for.
    struct Scan {
        /// The number of bytes, from the start, up to which no token is cut in half; 0 if they all belong to a
        /// token that is not complete.
        var complete = 0
        /// How many bytes were looked at: all, unless the scanner stops between stanzas.
        var count = 0
        /// The scanner stopped: the last byte looked at is the end of a child of the root, or the root's own
        /// first tag.
        var isBetweenStanzas = false
        /// The markup that comes next is forbidden; the scanner must not be used again.
        var refused: XMLError?
        /// A tag has too many attributes: `complete` as it was before that tag, and where the first attribute
        /// too many has its value. Only from a scanner that stops between stanzas; the others refuse.
        var excess: (complete: Int, index: Int)?
    }

    /// Elements that are open, the root included.
    private(set) var depth = 0

    private var state: State = .text
    private var isFirst = true  // nothing came before: an XML declaration may start
    private var quotes = 0  // attribute values of this tag
    private var isEndTag = false
    private var previous: UInt8 = 0  // the last byte of the bytes before
    private let maxAttributes: Int
    private let stopsBetweenStanzas: Bool

    init(maxAttributes: Int, stopsBetweenStanzas: Bool = false) {
        self.maxAttributes = maxAttributes
        self.stopsBetweenStanzas = stopsBetweenStanzas
    }

    /// Looks at the next bytes; with `stopsBetweenStanzas` no further than a tag after which nothing but the
    /// root is open, if that much.
    mutating func scan(_ bytes: UnsafeRawBufferPointer) -> Scan {
        var scan = Scan()
        var index = 0
        defer { if scan.count > 0 { previous = bytes[scan.count - 1] } }
        while index < bytes.count {
            switch state {
            case .text:
                index = skipText(bytes, from: index)
                scan.complete = index
            case .tag: index = skipTag(bytes, from: index)
            case .quoted(let quote): index = Self.find(quote, in: bytes, from: index)
            default: break
            }
            if index == bytes.count { break }
            let isInTag = if case .tag = state { true } else { false }
            do {
                try step(bytes[index], after: index > 0 ? bytes[index - 1] : previous)
            } catch .limit where stopsBetweenStanzas {
                state = .quoted(bytes[index])
                if scan.excess == nil { scan.excess = (scan.complete, index) }
            } catch {
                scan.refused = error
                break
            }
            index += 1
            switch state {
            case .text:
                scan.complete = index
                if isInTag && stopsBetweenStanzas && depth <= 1 {
                    scan.count = index
                    scan.isBetweenStanzas = true
                    return scan
                }
            case .cdata: scan.complete = index
            default: break
            }
        }
        scan.count = index
        return scan
    }

    private mutating func skipText(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        var index = start
        while index < bytes.count {
            let byte = bytes[index]
            if byte == UInt8(ascii: "<") || byte == UInt8(ascii: "&") { break }
            index &+= 1
        }
        if index > start { isFirst = false }
        return index
    }

    private func skipTag(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        var index = start
        while index < bytes.count {
            let byte = bytes[index]
            if byte == UInt8(ascii: ">") || byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") { break }
            index &+= 1
        }
        return index
    }

    /// Where the byte is, or the end.
    private static func find(_ byte: UInt8, in bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        guard let base = bytes.baseAddress, start < bytes.count,
            let found = memchr(base + start, CInt(byte), bytes.count - start)
        else { return bytes.count }
        return UnsafeRawPointer(found) - base
    }

    private mutating func step(_ byte: UInt8, after previous: UInt8) throws(XMLError) {
        switch state {
        case .text:
            state = byte == UInt8(ascii: "<") ? .tagStart : .reference
            quotes = 0
        case .reference:
            // A reference ends at `;`, and any byte that cannot be part of one lets expat see the error.
            if byte == UInt8(ascii: ";") || byte <= 0x20 { state = .text }
            if byte == UInt8(ascii: "<") { state = .tagStart }
        case .tagStart: try stepTagStart(byte)
        case .tag: try stepTag(byte, after: previous)
        case .quoted(let quote):
            if byte == quote { state = .tag }
        case .declaration(let seen):
            let opening: StaticString = "[CDATA["
            guard seen < opening.utf8CodeUnitCount, byte == opening.utf8Start[seen] else {
                throw .restricted(seen == 0 && byte == UInt8(ascii: "-") ? .comment : .declaration)
            }
            state = seen == opening.utf8CodeUnitCount - 1 ? .cdata(0) : .declaration(seen + 1)
        case .xmlDeclaration:
            if byte == UInt8(ascii: ">") { state = .text }
        case .cdata(let brackets):
            if byte == UInt8(ascii: ">") && brackets == 2 {
                state = .text
            } else {
                state = .cdata(byte == UInt8(ascii: "]") ? min(brackets + 1, 2) : 0)
            }
        }
    }

    private mutating func stepTagStart(_ byte: UInt8) throws(XMLError) {
        switch byte {
        case UInt8(ascii: "?"):
            guard isFirst else { throw .restricted(.processingInstruction) }
            state = .xmlDeclaration
        case UInt8(ascii: "!"): state = .declaration(0)
        case UInt8(ascii: ">"): state = .text  // malformed: expat says how
        default: state = .tag
        }
        isEndTag = byte == UInt8(ascii: "/")
        isFirst = false
    }

    private mutating func stepTag(_ byte: UInt8, after previous: UInt8) throws(XMLError) {
        switch byte {
        case UInt8(ascii: ">"):
            state = .text
            if isEndTag {
                depth -= 1
            } else if previous != UInt8(ascii: "/") {
                depth += 1
            }
        case UInt8(ascii: "\""), UInt8(ascii: "'"):
            quotes += 1
            guard quotes <= maxAttributes else { throw .limit(.attributes) }
            state = .quoted(byte)
        default: break
        }
    }
}
