// Stanzas beyond the limits, skipped without being built.

/// A stanza whose end is awaited.
struct SkippedStanza {
    /// Its first tag.
    var root: Element
    /// Why it is skipped.
    var error: XMLError
    /// Bytes so far.
    var size: Int
    var utf8 = UTF8Check()
}

extension XMLParser {
    /// Cuts the bytes into pieces that end with a stanza or at a limit, so that every split gives the same.
    func takeOrSkip(_ bytes: UnsafeRawBufferPointer) throws(XMLError) {
        var rest = bytes
        while !rest.isEmpty, !builder.pointee.isClosed {
            let slice = UnsafeRawBufferPointer(rebasing: rest.prefix(skipped == nil ? allowance : .max))
            let scan = scanner.scan(slice)
            let piece = UnsafeRawBufferPointer(rebasing: slice[..<scan.count])
            if skipped == nil {
                try takeOrStartSkipping(piece, scan)
            } else {
                try skip(piece, scan.refused)
            }
            if scan.isBetweenStanzas { try reachedEnd(piece) }
            rest = UnsafeRawBufferPointer(rebasing: rest[scan.count...])
        }
    }

    /// The bytes up to the first that is too many.
    private var allowance: Int {
        max(1, limits.stanzaBytes &+ 1 &- size)
    }

    /// Bytes of the stanza at hand, or of the header.
    private var size: Int {
        builder.pointee.received &+ held.count &- builder.pointee.stanzaStart
    }

    private func takeOrStartSkipping(
        _ piece: UnsafeRawBufferPointer, _ scan: MarkupScanner.Scan
    ) throws(XMLError) {
        let end = builder.pointee.received &+ held.count &+ piece.count
        if !builder.pointee.isOpen { header.append(contentsOf: piece) }
        do throws(XMLError) {
            guard let excess = scan.excess else { return try take(piece, scan) }
            var whole = MarkupScanner.Scan()
            whole.complete = excess.complete
            try take(UnsafeRawBufferPointer(rebasing: piece[..<excess.index]), whole)
            throw .limit(.attributes)
        } catch {
            let size = end &- builder.pointee.stanzaStart
            guard case .limit = error, builder.pointee.isOpen, let root = stanzaRoot() else { throw error }
            // A character may be cut in half at the start of the piece, but not where a tag was held back.
            var stanza = SkippedStanza(root: root, error: error, size: size)
            let unread = scan.excess?.index ?? piece.count
            let isValid =
                held.isEmpty
                ? stanza.utf8.accepts(piece)
                : held.withUnsafeBytes { stanza.utf8.accepts($0) }
                    && stanza.utf8.accepts(UnsafeRawBufferPointer(rebasing: piece[unread...]))
            held = []
            skipped = stanza
            if !isValid { throw .notWellFormed("invalid UTF-8") }
            if let refused = scan.refused { throw refused }
        }
    }

    private func skip(_ piece: UnsafeRawBufferPointer, _ refused: XMLError?) throws(XMLError) {
        skipped?.size += piece.count
        if let size = skipped?.size, size > limits.discardedBytes { throw .limit(.stanzaBytes) }
        if skipped?.utf8.accepts(piece) == false { throw .notWellFormed("invalid UTF-8") }
        if let refused { throw refused }
    }

    private func reachedEnd(_ piece: UnsafeRawBufferPointer) throws(XMLError) {
        if builder.pointee.isClosed { return }
        if let stanza = skipped {
            skipped = nil
            if stanza.size > limits.discardedBytes { throw .limit(.stanzaBytes) }
            builder.pointee.events.append(.discarded(stanza.root, stanza.error))
            try beginAnew()
        } else if builder.pointee.nameCount > limits.names / 2 {
            // Names are kept for as long as expat is: a stanza must not pay for those before it.
            try beginAnew()
        }
    }

    /// Lets expat forget everything but the header.
    private func beginAnew() throws(XMLError) {
        let events = builder.pointee.events
        restart()
        try parse(header)
        builder.pointee.events = events
    }

    /// The first tag of the stanza at hand; nil if it cannot be told.
    private func stanzaRoot() -> Element? {
        if let root = builder.pointee.stanzaRoot { return root }
        guard builder.pointee.refused == nil else { return nil }
        // It is not complete: with the attributes that are, or else without any.
        return root(from: tag(of: held, attributes: limits.attributes))
            ?? root(from: tag(of: held, attributes: 0))
    }

    private func root(from tag: [UInt8]) -> Element? {
        do throws(XMLError) {
            try beginAnew()
            try parse(tag)
        } catch {
            return nil
        }
        guard case .element(let root)? = builder.pointee.events.popLast() else { return nil }
        return root
    }

    /// An incomplete tag, closed behind as many of its attributes as are there, but no more than so many.
    private func tag(of bytes: [UInt8], attributes: Int) -> [UInt8] {
        var end = bytes.firstIndex { $0 <= 0x20 || $0 == UInt8(ascii: "/") } ?? bytes.endIndex
        var count = 0
        while count < attributes,
            let start = bytes[end...].firstIndex(where: {
                $0 == UInt8(ascii: "'") || $0 == UInt8(ascii: "\"")
            }),
            let close = bytes[(start + 1)...].firstIndex(of: bytes[start])
        {
            end = close + 1
            count += 1
        }
        return bytes[..<end] + [UInt8(ascii: "/"), UInt8(ascii: ">")]
    }
}

/// Checks UTF-8 in pieces (RFC 3629 §4). The first piece may begin within a character.
struct UTF8Check {
    private var missing = 0  // bytes of the character at hand
    private var allowed: ClosedRange<UInt8> = 0x80...0xBF  // for the next of them
    private var early = 3  // bytes of a character whose start came before

    mutating func accepts(_ bytes: UnsafeRawBufferPointer) -> Bool {
        for byte in bytes where !accepts(byte) { return false }
        return true
    }

    private mutating func accepts(_ byte: UInt8) -> Bool {
        if missing > 0 {
            guard allowed.contains(byte) else { return false }
            missing -= 1
            allowed = 0x80...0xBF
            return true
        }
        if early > 0 && (0x80...0xBF).contains(byte) {
            early -= 1
            return true
        }
        early = 0
        switch byte {
        case 0x00...0x7F: return true
        case 0xC2...0xDF: missing = 1
        case 0xE0: (missing, allowed) = (2, 0xA0...0xBF)
        case 0xED: (missing, allowed) = (2, 0x80...0x9F)
        case 0xE1...0xEF: missing = 2
        case 0xF0: (missing, allowed) = (3, 0x90...0xBF)
        case 0xF1...0xF3: missing = 3
        case 0xF4: (missing, allowed) = (3, 0x80...0x8F)
        default: return false
        }
        return true
    }
}
