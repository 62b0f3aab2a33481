// The optional configuration file, `config.toml`.
import Foundation
import LocalAPI
import Logging
import TOMLKit

struct Config: Equatable, Sendable {
    /// `log-level`: what goes to stderr.
    var logLevel: Logger.Level = .info
    /// `event-days`: how long an event is kept that every consumer has acknowledged.
    var eventDays = 30
    /// `event-limit`: how many events are kept, acknowledged or not.
    var eventLimit = 1_000_000
    /// `first-login-history`: how many messages a new account takes from the server's archive; 0 for none.
    var firstLoginHistory = 50

    init() {}

    /// Reads the file at `path`; without one everything stands at its default.
    ///
    /// - Throws: `.config` naming the line, for a syntax error, an unknown key or a wrong value.
    init(path: String) throws(UserError) {
        guard let data = FileManager.default.contents(atPath: path) else {
            guard !FileManager.default.fileExists(atPath: path) else {
                throw UserError(.configuration, "cannot read \(path)", hint: "check its owner and mode")
            }
            self.init()
            return
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw UserError(.configuration, "\(path) is not UTF-8", hint: nil)
        }
        try self.init(text: text, path: path)
    }

    init(text: String, path: String) throws(UserError) {
        self.init()
        let table: TOMLTable
        do {
            table = try TOMLTable(string: text)
        } catch let error as TOMLParseError {
            let place = "\(path):\(error.source.begin.line):\(error.source.begin.column)"
            throw UserError(.configuration, "\(place): \(error.description)", hint: "see imd(1), FILES")
        } catch {
            throw UserError(.configuration, "\(path) is not valid TOML", hint: "see imd(1), FILES")
        }
        for key in table.keys {
            let place = Self.line(of: key, in: text).map { "\(path):\($0)" } ?? path
            switch key {
            case "log-level":
                guard let level = table[key]?.string.flatMap(Logger.Level.init(rawValue:)) else {
                    let levels = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
                    throw UserError(.configuration, "\(place): log-level takes one of \(levels)", hint: nil)
                }
                logLevel = level
            case "event-days": eventDays = try Self.number(1...36_500, table, key, place)
            case "event-limit": eventLimit = try Self.number(1000...1_000_000_000, table, key, place)
            case "first-login-history": firstLoginHistory = try Self.number(0...10_000, table, key, place)
            default:
                throw UserError(
                    .configuration, "\(place): unknown key '\(key)'", hint: "see imd(1), FILES")
            }
        }
    }

    private static func number(
        _ range: ClosedRange<Int>, _ table: TOMLTable, _ key: String, _ place: String
    ) throws(UserError) -> Int {
        guard let value = table[key]?.int, range.contains(value) else {
            throw UserError(
                .configuration,
                "\(place): \(key) takes a whole number from \(range.lowerBound) to \(range.upperBound)",
                hint: "see imd(1), FILES")
        }
        return value
    }

    /// The parser does not keep the places of values. Nil where the key is written in a way of its own.
    private static func line(of key: String, in text: String) -> Int? {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let index = lines.firstIndex { line in
            line.prefix { $0 != "=" }.trimmingCharacters(in: .whitespaces) == key
        }
        return index.map { $0 + 1 }
    }
}
