// Dates and times as XMPP writes them (XEP-0082 §3.2), without a calendar library.

/// `YYYY-MM-DDThh:mm:ss[.sss]TZD` to and from Unix milliseconds.
public enum DateTime {
    /// Reads a date and time strictly.
    ///
    /// - Returns: Unix milliseconds UTC; nil if malformed, not a day of the calendar, or out of range. A leap
    ///   second counts as the second after. Digits beyond milliseconds are cut off.
    public static func parse(_ text: String) -> Int64? {
        var text = text
        return text.withUTF8 { parse($0) }
    }

    /// Writes a time in UTC with milliseconds, such as `2002-09-10T23:08:25.000Z`.
    ///
    /// - Parameter milliseconds: Unix time; held within the years 0 to 9999.
    public static func format(_ milliseconds: Int64) -> String {
        let time = min(max(milliseconds, -62_167_219_200_000), 253_402_300_799_999)
        let days = (time >= 0 ? time : time - 86_399_999) / 86_400_000
        var rest = time - days * 86_400_000
        let (year, month, day) = date(ofDay: days)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(24)
        let millisecond = rest % 1000
        rest /= 1000
        for (value, digits, separator) in [
            (year, 4, "-"), (month, 2, "-"), (day, 2, "T"), (rest / 3600, 2, ":"), (rest / 60 % 60, 2, ":"),
            (rest % 60, 2, "."), (millisecond, 3, "Z"),
        ] {
            var power: Int64 = digits == 4 ? 1000 : digits == 3 ? 100 : 10
            while power > 0 {
                bytes.append(UInt8(truncatingIfNeeded: 0x30 + value / power % 10))
                power /= 10
            }
            bytes.append(contentsOf: separator.utf8)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func parse(_ text: UnsafeBufferPointer<UInt8>) -> Int64? {
        guard text.count >= 20, text.count <= 64,
            text[4] == UInt8(ascii: "-"), text[7] == UInt8(ascii: "-"), text[10] == UInt8(ascii: "T"),
            text[13] == UInt8(ascii: ":"), text[16] == UInt8(ascii: ":"),
            let year = number(text, 0..<4), let month = number(text, 5..<7), let day = number(text, 8..<10),
            let hour = number(text, 11..<13), let minute = number(text, 14..<16),
            let second = number(text, 17..<19),
            (1...12).contains(month), day >= 1, day <= Self.days(in: month, of: year),
            hour <= 23, minute <= 59, second <= 59 || (second == 60 && minute == 59)
        else { return nil }
        var index = 19
        var milliseconds: Int64 = 0
        if text[index] == UInt8(ascii: ".") {
            index += 1
            let start = index
            var weight: Int64 = 100
            while index < text.count, let digit = number(text, index..<index + 1) {
                milliseconds += digit * weight
                weight /= 10
                index += 1
            }
            guard index > start else { return nil }
        }
        guard let offset = zone(text, from: index) else { return nil }
        let seconds = ((Self.day(of: year, month, day) * 24 + hour) * 60 + minute - offset) * 60 + second
        return seconds * 1000 + milliseconds
    }

    /// Minutes east of UTC.
    private static func zone(_ text: UnsafeBufferPointer<UInt8>, from index: Int) -> Int64? {
        switch text.count - index {
        case 1: return text[index] == UInt8(ascii: "Z") ? 0 : nil
        case 6:
            guard text[index + 3] == UInt8(ascii: ":"),
                let hours = number(text, index + 1..<index + 3), hours <= 23,
                let minutes = number(text, index + 4..<index + 6), minutes <= 59
            else { return nil }
            switch text[index] {
            case UInt8(ascii: "+"): return hours * 60 + minutes
            case UInt8(ascii: "-"): return -(hours * 60 + minutes)
            default: return nil
            }
        default: return nil
        }
    }

    private static func number(_ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> Int64? {
        var value: Int64 = 0
        for index in range {
            guard (0x30...0x39).contains(text[index]) else { return nil }
            value = value * 10 + Int64(text[index] - 0x30)
        }
        return value
    }

    private static func days(in month: Int64, of year: Int64) -> Int64 {
        switch month {
        case 4, 6, 9, 11: 30
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        default: 31
        }
    }

    // Both count years from March, so that the leap day is a year's last, in eras of 400 years.

    private static func day(of year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month > 2 ? year : year - 1
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func date(ofDay days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
    }
}
