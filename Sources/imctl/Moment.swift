// Times as people read them on a terminal: how long ago, or the hour; in a pipe always RFC 3339.

import Glibc
import LocalAPI

/// A moment seen from another one, both Unix milliseconds.
enum Moment {
    /// How long ago: for what began or was left waiting. Beyond a month, and for the future, the date.
    static func age(_ then: Int64, now: Int64) -> String {
        let seconds = (now - then) / 1000
        switch seconds {
        case 0..<1: return "just now"
        case 1..<60: return "\(seconds) s ago"
        case 60..<3600: return "\(seconds / 60) min ago"
        case 3600..<86_400: return "\(seconds / 3600) h ago"
        case 86_400..<172_800: return "yesterday"
        case 172_800..<2_592_000: return "\(seconds / 86_400) days ago"
        default: return date(then)
        }
    }

    /// When, in local time: for what stays on the screen. The hour today, with the day of the week for six days
    /// back, with the date before that.
    static func clock(_ then: Int64, now: Int64) -> String {
        let (moment, today) = (local(then), local(now))
        let hour = "\(two(moment.tm_hour)):\(two(moment.tm_min))"
        if moment.tm_year == today.tm_year, moment.tm_yday == today.tm_yday { return hour }
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        if then < now, now - then < 6 * 86_400_000, days.indices.contains(Int(moment.tm_wday)) {
            return "\(days[Int(moment.tm_wday)]) \(hour)"
        }
        return "\(date(then)) \(hour)"
    }

    private static func date(_ moment: Int64) -> String {
        let day = local(moment)
        return "\(day.tm_year + 1900)-\(two(day.tm_mon + 1))-\(two(day.tm_mday))"
    }

    private static func local(_ moment: Int64) -> tm {
        var (seconds, parts) = (time_t(moment / 1000), tm())
        localtime_r(&seconds, &parts)
        return parts
    }

    private static func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
}

extension Output {
    private static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// How long ago something began, on a terminal.
    static func age(_ moment: Timestamp) -> String {
        isTerminal ? Moment.age(moment.milliseconds, now: now) : moment.seconds
    }

    /// When something was said, on a terminal in local time.
    static func clock(_ moment: Timestamp) -> String {
        isTerminal ? Style.faint(Moment.clock(moment.milliseconds, now: now)) : moment.seconds
    }

    /// `since` a moment, or `2 h ago`.
    static func since(_ moment: Timestamp) -> String { isTerminal ? age(moment) : "since \(moment.seconds)" }
}
