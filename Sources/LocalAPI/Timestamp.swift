// A moment as the API writes it: RFC 3339, UTC, milliseconds.

/// A moment in UTC; on the wire `2026-11-23T06:43:39.123Z`.
public struct Timestamp: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Unix time in milliseconds.
    public var milliseconds: Int64

    /// - Parameter milliseconds: Unix time; years outside 0000–9999 are shown as the nearest year inside.
    public init(milliseconds: Int64) { self.milliseconds = milliseconds }

    /// Reads `YYYY-MM-DDTHH:MM:SS[.fraction]Z`; nil for anything else.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count >= 20, bytes.count <= 40, bytes.last == 0x5a else { return nil }
        func number(_ range: Range<Int>) -> Int64? {
            var value: Int64 = 0
            for byte in bytes[range] {
                guard (0x30...0x39).contains(byte) else { return nil }
                value = value * 10 + Int64(byte - 0x30)
            }
            return value
        }
        let separators: [(Int, UInt8)] = [(4, 0x2d), (7, 0x2d), (10, 0x54), (13, 0x3a), (16, 0x3a)]
        guard separators.allSatisfy({ bytes[$0.0] == $0.1 }),
            let year = number(0..<4), let month = number(5..<7), let day = number(8..<10),
            let hour = number(11..<13), let minute = number(14..<16), let second = number(17..<19),
            (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second < 61
        else { return nil }
        var fraction: Int64 = 0
        if bytes.count > 20 {
            guard bytes[19] == 0x2e, bytes.count > 21 else { return nil }
            let digits = min(3, bytes.count - 21)
            guard bytes.count - 21 <= 18, number(20..<bytes.count - 1) != nil,
                var value = number(20..<20 + digits)
            else { return nil }
            for _ in digits..<3 { value *= 10 }
            fraction = value
        }
        let seconds =
            Self.days(year: year, month: month, day: day) * 86_400 + hour * 3600 + minute * 60 + second
        milliseconds = seconds * 1000 + fraction
    }

    /// Earlier comes first.
    public static func < (a: Timestamp, b: Timestamp) -> Bool { a.milliseconds < b.milliseconds }

    /// `2026-11-23T06:43:39.123Z`.
    public var description: String { String(decoding: utf8(fraction: true), as: UTF8.self) }

    /// To the second: `2026-11-23T06:43:39Z`.
    public var seconds: String { String(decoding: utf8(fraction: false), as: UTF8.self) }

    func utf8(fraction: Bool) -> [UInt8] {
        let clamped = milliseconds.clamped(to: -62_167_219_200_000...253_402_300_799_999)
        let (quotient, remainder) = clamped.quotientAndRemainder(dividingBy: 86_400_000)
        let (day, millisecond) =
            remainder < 0 ? (quotient - 1, remainder + 86_400_000) : (quotient, remainder)
        let date = Self.civil(day: day)
        var text: [UInt8] = []
        text.reserveCapacity(24)
        func digits(_ value: Int64, _ count: Int) {
            var divisor: Int64 = count == 4 ? 1000 : count == 3 ? 100 : 10
            for _ in 0..<count {
                text.append(0x30 + UInt8(truncatingIfNeeded: value / divisor % 10))
                divisor /= 10
            }
        }
        let second = millisecond / 1000
        digits(date.year, 4)
        text.append(0x2d)
        digits(date.month, 2)
        text.append(0x2d)
        digits(date.day, 2)
        text.append(0x54)
        digits(second / 3600, 2)
        text.append(0x3a)
        digits(second / 60 % 60, 2)
        text.append(0x3a)
        digits(second % 60, 2)
        if fraction {
            text.append(0x2e)
            digits(millisecond % 1000, 3)
        }
        text.append(0x5a)
        return text
    }

    /// Days since 1970-01-01 in the proleptic Gregorian calendar; the year is counted from March so that the
    /// leap day comes last.
    private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let y = month <= 2 ? year - 1 : year
        let era = (y >= 0 ? y : y - 399) / 400
        let yearOfEra = y - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func civil(day: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = day + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }
}

extension Timestamp: Codable {
    /// Reads the RFC 3339 form.
    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let value = Timestamp(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "not an RFC 3339 time in UTC"))
        }
        self = value
    }

    /// Writes the RFC 3339 form.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

extension Comparable {
    func clamped(to range: ClosedRange<Self>) -> Self {
        min(max(self, range.lowerBound), range.upperBound)
    }
}
