// What a hook wants and may have: its defaults, the header of its script, the configuration file.
import LocalAPI
import XMPP

/// Which events a hook gets, and how it is run.
struct HookSettings: Equatable, Sendable {
    var types: [EventType] = [.message]
    var account: JID?
    var chat: JID?
    /// Also messages that we sent on other devices.
    var outgoing = false
    /// Runs at the same time.
    var parallel = 1
    /// Seconds a run may take.
    var timeout = 30
    /// Runs for one event before it is a dead letter.
    var attempts = 5
    /// Seconds before the second run; each further one waits twice as long as the one before.
    var retry = 5
    var enabled = true

    /// No wait between two runs is longer, in seconds.
    static let maxRetry = 3600

    /// Milliseconds between the end of a run that failed and the next.
    /// - Parameter attempts: how many runs there were.
    func wait(after attempts: Int64) -> Int64 {
        let doublings = min(max(attempts - 1, 0), 20)
        return min(Int64(retry) << doublings, Int64(Self.maxRetry)) * 1000
    }
}

/// What `[hook.NAME]` or a header says; what is nil stays as it is.
struct HookOverrides: Equatable, Sendable {
    var types: [EventType]?
    var account: JID?
    var chat: JID?
    var outgoing: Bool?
    var parallel: Int?
    var timeout: Int?
    var attempts: Int?
    var retry: Int?
    var enabled: Bool?

    func applied(to settings: HookSettings) -> HookSettings {
        var settings = settings
        settings.types = types ?? settings.types
        settings.account = account ?? settings.account
        settings.chat = chat ?? settings.chat
        settings.outgoing = outgoing ?? settings.outgoing
        settings.parallel = parallel ?? settings.parallel
        settings.timeout = timeout ?? settings.timeout
        settings.attempts = attempts ?? settings.attempts
        settings.retry = retry ?? settings.retry
        settings.enabled = enabled ?? settings.enabled
        return settings
    }

    /// Takes one word of a header, or one key of a table.
    /// - Throws: what is wrong, in a few words.
    mutating func set(_ key: String, to value: String) throws(HookSettingsError) {
        switch key {
        case "types": types = try Self.types(value.split(separator: ",").map(String.init))
        case "account": account = try Self.jid(key, value)
        case "chat": chat = try Self.jid(key, value)
        case "outgoing": outgoing = try Self.flag(key, value)
        case "enabled": enabled = try Self.flag(key, value)
        case "parallel", "timeout", "attempts", "retry":
            guard let number = Int(value) else { throw HookSettingsError("\(key) takes a whole number") }
            try set(key, to: number)
        default: throw HookSettingsError("unknown key '\(key.prefix(64))'")
        }
    }

    mutating func set(_ key: String, to number: Int) throws(HookSettingsError) {
        switch key {
        case "parallel": parallel = try Self.number(key, number, 1...HookSchedule.maxRunning)
        case "timeout": timeout = try Self.number(key, number, 1...3600)
        case "attempts": attempts = try Self.number(key, number, 1...100)
        case "retry": retry = try Self.number(key, number, 1...HookSettings.maxRetry)
        default: throw HookSettingsError("\(key) takes no number")
        }
    }

    static func types(_ words: [String]) throws(HookSettingsError) -> [EventType] {
        var types: [EventType] = []
        for word in words {
            guard let type = EventType(rawValue: word) else {
                throw HookSettingsError("there are no events of type '\(word.prefix(64))'")
            }
            types.append(type)
        }
        guard !types.isEmpty else { throw HookSettingsError("types names none") }
        return types
    }

    private static func jid(_ key: String, _ value: String) throws(HookSettingsError) -> JID {
        guard let jid = try? JID(value), jid.isBare else {
            throw HookSettingsError("\(key) takes a bare JID")
        }
        return jid
    }

    private static func flag(_ key: String, _ value: String) throws(HookSettingsError) -> Bool {
        switch value {
        case "true": return true
        case "false": return false
        default: throw HookSettingsError("\(key) takes true or false")
        }
    }

    private static func number(
        _ key: String, _ value: Int, _ range: ClosedRange<Int>
    ) throws(HookSettingsError) -> Int {
        guard range.contains(value) else {
            throw HookSettingsError(
                "\(key) takes a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }
}

extension HookOverrides {
    /// So much of a file is looked at.
    static let headerLength = 4096

    /// Reads `# imd-hook: types=message,presence parallel=2 timeout=10` near the beginning of a script; other files say
    /// nothing.
    init(header: [UInt8]) throws(HookSettingsError) {
        self.init()
        guard header.starts(with: [0x23, 0x21]) else { return }
        for line in header.prefix(Self.headerLength).split(separator: 0x0a) {
            let line = String(decoding: line, as: UTF8.self)
            let words = line.drop { $0 == "#" || $0 == " " || $0 == "\t" }.split { $0 == " " || $0 == "\t" }
            guard line.hasPrefix("#"), words.first == "imd-hook:" else { continue }
            for word in words.dropFirst() {
                guard let equals = word.firstIndex(of: "=") else {
                    throw HookSettingsError("'\(word.prefix(64))' is not KEY=VALUE")
                }
                try set(String(word[..<equals]), to: String(word[word.index(after: equals)...]))
            }
        }
    }
}

/// What is wrong with a hook's settings.
struct HookSettingsError: Error, Equatable {
    let text: String

    init(_ text: String) { self.text = text }
}
