// Elements to escaped bytes, appended to one buffer without strings in between.

extension Element {
    /// The element as UTF-8 XML without prefixes; `xmlns` appears only where it differs from the parent's.
    ///
    /// - Parameter defaultNamespace: what the surrounding document declares; a client stream's is
    ///   `jabber:client`.
    public func xml(in defaultNamespace: String = Namespace.client) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(256)
        write(into: &bytes, in: defaultNamespace)
        return bytes
    }

    /// Appends the element's XML; see ``xml(in:)``.
    public func write(into bytes: inout [UInt8], in defaultNamespace: String = Namespace.client) {
        bytes.append(0x3C)  // <
        bytes.append(contentsOf: name.utf8)
        if namespace != defaultNamespace {
            bytes.append(literal: " xmlns='")
            bytes.append(escaping: namespace, .attribute)
            bytes.append(0x27)
        }
        writeAttributes(into: &bytes)
        if nodes.isEmpty {
            bytes.append(0x2F)  // />
            bytes.append(0x3E)
            return
        }
        bytes.append(0x3E)
        for node in nodes {
            switch node {
            case .element(let child): child.write(into: &bytes, in: namespace)
            case .text(let text): bytes.append(escaping: text, .text)
            }
        }
        bytes.append(0x3C)  // </
        bytes.append(0x2F)
        bytes.append(contentsOf: name.utf8)
        bytes.append(0x3E)
    }

    private func writeAttributes(into bytes: inout [UInt8]) {
        for index in attributes.indices {
            let attribute = attributes[index]
            bytes.append(0x20)
            switch attribute.namespace {
            case nil: break
            case Namespace.xml: bytes.append(literal: "xml:")
            case let namespace?:  // a prefix of its own, declared on the spot
                bytes.append(literal: "xmlns:a")
                bytes.append(contentsOf: String(index).utf8)
                bytes.append(literal: "='")
                bytes.append(escaping: namespace, .attribute)
                bytes.append(literal: "' a")
                bytes.append(contentsOf: String(index).utf8)
                bytes.append(0x3A)
            }
            bytes.append(contentsOf: attribute.name.utf8)
            bytes.append(0x3D)
            bytes.append(0x27)
            bytes.append(escaping: attribute.value, .attribute)
            bytes.append(0x27)
        }
    }
}

/// Where the characters go: in attributes, white space other than a space must be a reference (XML §3.3.3).
enum EscapeContext { case text, attribute }

extension [UInt8] {
    fileprivate mutating func append(literal: StaticString) {
        append(contentsOf: UnsafeBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount))
    }

    mutating func append(escaping string: String, _ context: EscapeContext) {
        var string = string
        string.withUTF8 { append(escaping: $0, context) }
    }

    private mutating func append(escaping utf8: UnsafeBufferPointer<UInt8>, _ context: EscapeContext) {
        var start = 0  // of the run that needs no escaping
        var index = 0
        while index < utf8.count {
            let byte = utf8[index]
            // U+FFFE and U+FFFF, the only illegal ones above ASCII in valid UTF-8, begin with EF BF.
            if byte >= 0x20 && byte != 0xEF && !isMarkup(byte) {
                index += 1
                continue
            }
            guard let (replacement, length) = replacement(at: index, of: utf8, context) else {
                index += 1
                continue
            }
            append(contentsOf: UnsafeBufferPointer(rebasing: utf8[start..<index]))
            append(literal: replacement)
            index += length
            start = index
        }
        append(contentsOf: UnsafeBufferPointer(rebasing: utf8[start...]))
    }
}

private func isMarkup(_ byte: UInt8) -> Bool {
    byte == 0x26 || byte == 0x3C || byte == 0x3E || byte == 0x27 || byte == 0x22
}

/// What replaces the character at `index`, and how many bytes it takes up; nil leaves it as it is.
private func replacement(
    at index: Int, of utf8: UnsafeBufferPointer<UInt8>, _ context: EscapeContext
) -> (StaticString, Int)? {
    switch utf8[index] {
    case 0x26: ("&amp;", 1)
    case 0x3C: ("&lt;", 1)
    case 0x3E: ("&gt;", 1)
    case 0x27: context == .attribute ? ("&apos;", 1) : nil
    case 0x22: context == .attribute ? ("&quot;", 1) : nil
    case 0x09: context == .attribute ? ("&#9;", 1) : nil
    case 0x0A: context == .attribute ? ("&#10;", 1) : nil
    case 0x0D: ("&#13;", 1)  // a bare CR would come back as LF (XML §2.11)
    case 0x00...0x1F: ("\u{FFFD}", 1)
    case 0xEF where utf8.count - index >= 3 && utf8[index + 1] == 0xBF && utf8[index + 2] >= 0xBE:
        ("\u{FFFD}", 3)
    default: nil
    }
}
