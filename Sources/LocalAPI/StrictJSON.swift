// Reads JSON strictly: RFC 8259 and nothing else, within a depth limit, no key twice.

/// Why bytes are not acceptable JSON, and where.
public struct JSONError: Error, Equatable, Sendable {
    /// Lower case, without a full stop.
    public var reason: String
    /// Byte offset, from 0.
    public var offset: Int
}

extension JSONValue {
    /// Reads one value that fills the whole input, white space aside.
    ///
    /// Refused beside what RFC 8259 refuses: deeper nesting than `maxDepth`, a key twice in one object, lone
    /// surrogates, numbers outside a double, a byte order mark. `\u0000` is valid JSON and accepted; methods
    /// refuse it where the character cannot be carried.
    public init(strict bytes: [UInt8], maxDepth: Int = 32) throws(JSONError) {
        var parser = StrictJSON(bytes: bytes, maxDepth: maxDepth)
        self = try parser.document()
    }
}

private struct StrictJSON {
    let bytes: [UInt8]
    let maxDepth: Int
    var at = 0

    init(bytes: [UInt8], maxDepth: Int) {
        self.bytes = bytes
        self.maxDepth = maxDepth
    }

    mutating func document() throws(JSONError) -> JSONValue {
        let value = try value(depth: 0)
        skipSpace()
        guard at == bytes.count else { throw error("something follows the value") }
        return value
    }

    private func error(_ reason: String) -> JSONError { JSONError(reason: reason, offset: at) }

    private var byte: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func skipSpace() {
        while let byte, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { at += 1 }
    }

    private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
        skipSpace()
        guard let byte else { throw error("the input ends where a value should be") }
        switch byte {
        case 0x7b: return try object(depth: depth + 1)
        case 0x5b: return try array(depth: depth + 1)
        case 0x22: return .string(try string())
        case 0x2d, 0x30...0x39: return try number()
        case 0x74: return try word("true", .bool(true))
        case 0x66: return try word("false", .bool(false))
        case 0x6e: return try word("null", .null)
        default: throw error("no value begins like this")
        }
    }

    private mutating func word(_ word: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        let end = at + word.utf8CodeUnitCount
        guard end <= bytes.count,
            bytes[at..<end].elementsEqual(
                UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount))
        else { throw error("no value begins like this") }
        at = end
        return value
    }

    private mutating func array(depth: Int) throws(JSONError) -> JSONValue {
        guard depth <= maxDepth else { throw error("nested more than \(maxDepth) deep") }
        at += 1
        skipSpace()
        var elements: [JSONValue] = []
        if byte == 0x5d {
            at += 1
            return .array(elements)
        }
        while true {
            elements.append(try value(depth: depth))
            skipSpace()
            switch byte {
            case 0x2c: at += 1
            case 0x5d:
                at += 1
                return .array(elements)
            default: throw error("a comma or ] should be here")
            }
        }
    }

    private mutating func object(depth: Int) throws(JSONError) -> JSONValue {
        guard depth <= maxDepth else { throw error("nested more than \(maxDepth) deep") }
        at += 1
        skipSpace()
        var members: [JSONValue.Member] = []
        var keys: Set<String> = []
        if byte == 0x7d {
            at += 1
            return .object(members)
        }
        while true {
            skipSpace()
            guard byte == 0x22 else { throw error("a key should be here") }
            let start = at
            let key = try string()
            // Unicode-equivalent keys are different keys in JSON, but Swift's String calls them equal: refusing
            // them as well harms nobody. A set only where a linear search would become quadratic.
            let isDuplicate: Bool
            if members.count < 16 {
                isDuplicate = members.contains { $0.key == key }
            } else {
                if keys.isEmpty { keys = Set(members.map(\.key)) }
                isDuplicate = !keys.insert(key).inserted
            }
            guard !isDuplicate else {
                at = start
                throw error("the key \(quoted(key)) is there twice")
            }
            skipSpace()
            guard byte == 0x3a else { throw error("a colon should be here") }
            at += 1
            members.append(.init(key, try value(depth: depth)))
            skipSpace()
            switch byte {
            case 0x2c: at += 1
            case 0x7d:
                at += 1
                return .object(members)
            default: throw error("a comma or } should be here")
            }
        }
    }

    private mutating func digits() throws(JSONError) {
        guard let first = byte, (0x30...0x39).contains(first) else { throw error("a digit should be here") }
        while let byte, (0x30...0x39).contains(byte) { at += 1 }
    }

    private mutating func number() throws(JSONError) -> JSONValue {
        let start = at
        if byte == 0x2d { at += 1 }
        let first = at
        try digits()
        guard bytes[first] != 0x30 || at == first + 1 else {
            at = first
            throw error("a number has a leading zero")
        }
        var isWhole = true
        if byte == 0x2e {
            isWhole = false
            at += 1
            try digits()
        }
        if byte == 0x65 || byte == 0x45 {
            isWhole = false
            at += 1
            if byte == 0x2b || byte == 0x2d { at += 1 }
            try digits()
        }
        let text = String(decoding: bytes[start..<at], as: UTF8.self)
        if isWhole, let value = Int64(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else {
            at = start
            throw error("a number is too large")
        }
        return .number(value)
    }

    /// Copies runs between escapes and checks each run as UTF-8, so that plain text costs one pass.
    private mutating func string() throws(JSONError) -> String {
        at += 1
        var text = ""
        var run = at
        while let current = byte {
            switch current {
            case 0x22:
                let tail = try utf8(run..<at)
                at += 1
                return text.isEmpty ? tail : text + tail
            case 0x5c:
                text += try utf8(run..<at)
                at += 1
                text.unicodeScalars.append(try escape())
                run = at
            case 0..<0x20: throw error("a control character in a string is not escaped")
            default: at += 1
            }
        }
        throw error("a string does not end")
    }

    private func utf8(_ range: Range<Int>) throws(JSONError) -> String {
        guard let text = String(validating: bytes[range], as: UTF8.self) else {
            throw JSONError(reason: "a string is not UTF-8", offset: range.lowerBound)
        }
        return text
    }

    private mutating func escape() throws(JSONError) -> Unicode.Scalar {
        guard let byte else { throw error("a string does not end") }
        at += 1
        switch byte {
        case 0x22: return "\""
        case 0x5c: return "\\"
        case 0x2f: return "/"
        case 0x62: return "\u{8}"
        case 0x66: return "\u{c}"
        case 0x6e: return "\n"
        case 0x72: return "\r"
        case 0x74: return "\t"
        case 0x75: return try unicodeEscape()
        default:
            at -= 1
            throw error("no such escape in a string")
        }
    }

    private mutating func unicodeEscape() throws(JSONError) -> Unicode.Scalar {
        let start = at
        let first = try fourDigits()
        if let scalar = Unicode.Scalar(first) { return scalar }
        if first < 0xdc00, byte == 0x5c {
            at += 1
            if byte == 0x75 {
                at += 1
                let second = try fourDigits()
                if (0xdc00...0xdfff).contains(second),
                    let scalar = Unicode.Scalar(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
                {
                    return scalar
                }
            }
        }
        at = start
        throw error("half of a surrogate pair in a string")
    }

    private mutating func fourDigits() throws(JSONError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte else { throw error("a string does not end") }
            let digit: UInt8
            switch byte {
            case 0x30...0x39: digit = byte - 0x30
            case 0x41...0x46: digit = byte - 0x37
            case 0x61...0x66: digit = byte - 0x57
            default: throw error("four hexadecimal digits should follow \\u")
            }
            value = value << 4 | UInt32(digit)
            at += 1
        }
        return value
    }
}
