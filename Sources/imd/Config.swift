// The optional configuration file, `config.toml`.
import Foundation
import LocalAPI
import Logging
import OMEMO
import Store
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
    /// `device-label`: what others see beside our device's id; empty for nothing.
    var deviceLabel = "imd"
    /// `[storage] key`: where the key comes from that the database is sealed with.
    var keyOrigin = KeyOrigin.file
    /// `[trust]` and `[account."JID".trust]`.
    var trust = TrustSettings()
    /// `[hook.NAME]`, by name.
    var hooks: [String: HookOverrides] = [:]
    /// `[access.NAME]`: the limited sockets.
    var access: [Access] = []

    init() {}

    /// What `--check-config` says of a file without mistakes.
    static func exists(at path: String) -> String {
        FileManager.default.fileExists(atPath: path)
            ? "ok" : "does not exist; everything stands at its default"
    }

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
        let fail = ConfigFailure(path: path, text: text)
        for key in table.keys {
            switch key {
            case "log-level": logLevel = try Self.word(table, key, fail)
            case "event-days": eventDays = try Self.number(1...36_500, table, key, fail)
            case "event-limit": eventLimit = try Self.number(1000...1_000_000_000, table, key, fail)
            case "first-login-history": firstLoginHistory = try Self.number(0...10_000, table, key, fail)
            case "device-label": deviceLabel = try Self.label(table, key, fail)
            case "storage":
                let storage = try Self.table(table, key, fail)
                let inside = fail.inside(key)
                for key in storage.keys {
                    guard key == "key" else { throw inside.unknown(key) }
                    keyOrigin = try Self.word(storage, key, inside)
                }
            case "trust": try trust.read(try Self.table(table, key, fail), fail.inside(key))
            case "hook":
                hooks = try [String: HookOverrides](try Self.table(table, key, fail), fail.inside(key))
            case "account": try trust.read(accounts: try Self.table(table, key, fail), fail.inside(key))
            case "access": access = try Access.read(try Self.table(table, key, fail), fail.inside(key))
            default: throw fail.unknown(key)
            }
        }
    }

    private static func table(
        _ table: TOMLTable, _ key: String, _ fail: ConfigFailure
    ) throws(UserError) -> TOMLTable {
        guard let value = table[key]?.table else { throw fail.at(key, "\(key) takes a table") }
        return value
    }

    private static func word<T: RawRepresentable<String> & CaseIterable>(
        _ table: TOMLTable, _ key: String, _ fail: ConfigFailure
    ) throws(UserError) -> T {
        guard let value = table[key]?.string.flatMap(T.init(rawValue:)) else {
            let words = T.allCases.map(\.rawValue).joined(separator: ", ")
            throw fail.at(key, "\(key) takes one of \(words)")
        }
        return value
    }

    /// Others show it: no longer than XEP-0384 §5.3.1 recommends, and nothing that controls a terminal.
    private static func label(
        _ table: TOMLTable, _ key: String, _ fail: ConfigFailure
    ) throws(UserError) -> String {
        guard let label = table[key]?.string, label.unicodeScalars.count < OMEMO.DeviceList.maxLabelCount,
            !label.unicodeScalars.contains(where: TerminalText.isUnsafe)
        else {
            throw fail.at(
                key, "\(key) takes a text of fewer than \(OMEMO.DeviceList.maxLabelCount) characters")
        }
        return label
    }

    private static func number(
        _ range: ClosedRange<Int>, _ table: TOMLTable, _ key: String, _ fail: ConfigFailure
    ) throws(UserError) -> Int {
        guard let value = table[key]?.int, range.contains(value) else {
            throw fail.at(
                key, "\(key) takes a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }
}
