// The command that was probably meant, where there is none of the name that was typed.

import ArgumentParser
import LocalAPI

/// Commands by their names, for somebody who has mistyped one.
enum Suggestion {
    /// The error for a command line that names no command; nil where the names are right and something else is wrong.
    static func error(for arguments: [String]) -> UserError? {
        var path = [Imctl._commandName]
        var choices = Imctl.configuration.subcommands
        for argument in arguments {
            if choices.isEmpty || argument.hasPrefix("-") { return nil }
            if let next = choices.first(where: { $0._commandName == argument }) {
                path.append(argument)
                choices = next.configuration.subcommands
                continue
            }
            if argument == "help" { return nil }
            let names = choices.filter { $0.configuration.shouldDisplay }.map { $0._commandName }
            let command = path.joined(separator: " ")
            return UserError(
                .usage, "there is no command '\(command) \(String(argument.unicodeScalars.prefix(64)))'",
                hint: nearest(to: argument, among: names).map { "did you mean: \(command) \($0)" }
                    ?? "see: \(command) --help")
        }
        return nil
    }

    /// The name that a few slips of the finger turn into `word`.
    static func nearest(to word: String, among names: [String]) -> String? {
        let typed = Array(word.utf8.prefix(64))
        let allowed = max(1, typed.count / 3)
        let distances = names.map { (name: $0, distance: distance(typed, Array($0.utf8))) }
        if let best = distances.min(by: { $0.distance < $1.distance }), best.distance <= allowed {
            return best.name
        }
        return typed.count < 3 ? nil : names.first { $0.hasPrefix(word) }
    }

    /// Optimal string alignment: insertions, deletions, replacements, and neighbours exchanged.
    static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var before: [Int] = []
        var above = Array(0...b.count)
        for i in 1..<(a.count + 1) {
            var row = [i]
            for j in 1..<(b.count + 1) {
                var best = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
                if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] {
                    best = min(best, before[j - 2] + 1)
                }
                row.append(best)
            }
            (before, above) = (above, row)
        }
        return above[b.count]
    }
}
