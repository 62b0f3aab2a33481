// JSON values and strings to UTF-8 bytes on one line.

/// Appends JSON text to a byte buffer. Never writes a line feed, so one value is one line.
public struct JSONWriter: Sendable {
    /// What was written so far.
    public var bytes: [UInt8]

    private let escapesControls: Bool

    /// - Parameters:
    ///   - escapesControls: also write DEL, C1 and bidirectional controls as `\u` escapes, so that the text is safe to
    ///     show on a terminal. The value is the same either way.
    ///   - capacity: how many bytes to make room for.
    public init(escapesControls: Bool = false, reservingCapacity capacity: Int = 256) {
        self.escapesControls = escapesControls
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    /// Appends text that is JSON already.
    public mutating func raw(_ text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Appends bytes that are JSON already.
    public mutating func raw(_ json: some Sequence<UInt8>) {
        bytes.append(contentsOf: json)
    }

    /// Appends an integer.
    public mutating func integer(_ value: Int64) {
        bytes.append(contentsOf: String(value).utf8)
    }

    /// Appends a quoted string, escaping what RFC 8259 §7 requires.
    public mutating func string(_ text: String) {
        bytes.append(0x22)
        if escapesControls {
            for scalar in text.unicodeScalars {
                if scalar.value >= 0x20, TerminalText.isUnsafe(scalar) {
                    escape(scalar)
                } else {
                    for byte in UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter { character(byte) }
                }
            }
        } else {
            var copy = text
            copy.withUTF8 { utf8 in
                if utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x22 && $0 != 0x5c }) {
                    bytes.append(contentsOf: utf8)
                } else {
                    for byte in utf8 { character(byte) }
                }
            }
        }
        bytes.append(0x22)
    }

    /// Appends a whole value.
    public mutating func value(_ value: JSONValue) {
        switch value {
        case .null: raw("null")
        case .bool(true): raw("true")
        case .bool(false): raw("false")
        case .integer(let number): integer(number)
        case .number(let number): bytes.append(contentsOf: number.description.utf8)
        case .string(let text): string(text)
        case .array(let elements):
            bytes.append(0x5b)
            for (index, element) in elements.enumerated() {
                if index > 0 { bytes.append(0x2c) }
                self.value(element)
            }
            bytes.append(0x5d)
        case .object(let members):
            bytes.append(0x7b)
            for (index, member) in members.enumerated() {
                if index > 0 { bytes.append(0x2c) }
                string(member.key)
                bytes.append(0x3a)
                self.value(member.value)
            }
            bytes.append(0x7d)
        }
    }

    private mutating func character(_ byte: UInt8) {
        switch byte {
        case 0x22, 0x5c:
            bytes.append(0x5c)
            bytes.append(byte)
        case 0x0a: raw("\\n")
        case 0x0d: raw("\\r")
        case 0x09: raw("\\t")
        case 0..<0x20:
            raw("\\u00")
            bytes.append(Self.digit(byte >> 4))
            bytes.append(Self.digit(byte & 15))
        default: bytes.append(byte)
        }
    }

    private mutating func escape(_ scalar: Unicode.Scalar) {
        for unit in UTF16.encode(scalar) ?? UTF16.encodedReplacementCharacter {
            raw("\\u")
            for shift in [12, 8, 4, 0] {
                bytes.append(Self.digit(UInt8(truncatingIfNeeded: unit >> shift) & 15))
            }
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x57 + value }
}

extension JSONValue {
    /// The value as JSON text on one line, without a line feed.
    public func serialized(escapesControls: Bool = false) -> [UInt8] {
        var writer = JSONWriter(escapesControls: escapesControls)
        writer.value(self)
        return writer.bytes
    }
}
