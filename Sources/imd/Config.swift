// The optional configuration file, `config.toml`.
import Foundation
import LocalAPI
import Logging
import TOMLKit

struct Config: Equatable, Sendable {
    /// `log-level`: what goes to stderr.
    var logLevel: Logger.Level = .info

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
            switch key {
            case "log-level":
                guard let level = table[key]?.string.flatMap(Logger.Level.init(rawValue:)) else {
                    let levels = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
                    throw UserError(.configuration, "\(path): log-level takes one of \(levels)", hint: nil)
                }
                logLevel = level
            default:
                throw UserError(.configuration, "\(path): unknown key '\(key)'", hint: "see imd(1), FILES")
            }
        }
    }
}
