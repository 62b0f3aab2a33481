// Where in the configuration file something is wrong; the parser keeps no places of what it has read.
import LocalAPI

/// Makes errors that name line and column of a key, both from 1.
struct ConfigFailure {
    let path: String
    private let text: String
    private let table: [String]

    init(path: String, text: String) { self.init(path: path, text: text, table: []) }

    private init(path: String, text: String, table: [String]) {
        self.path = path
        self.text = text
        self.table = table
    }

    /// For the keys of the table `key`.
    func inside(_ key: String) -> ConfigFailure {
        ConfigFailure(path: path, text: text, table: table + [key])
    }

    func at(_ key: String, _ message: String) -> UserError {
        UserError(.configuration, "\(place(of: table + [key])): \(message)", hint: "see imd(1), FILES")
    }

    func unknown(_ key: String) -> UserError { at(key, "unknown key '\(key)'") }

    /// The first line that gives the key a value, or begins its table.
    private func place(of wanted: [String]) -> String {
        var header: [String] = []
        for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
            .enumerated()
        {
            let content = line.drop { $0 == " " || $0 == "\t" }
            let column = line.utf8.count - content.utf8.count + 1
            let isHeader = content.first == "["
            let keys = Self.keys(isHeader ? content.drop { $0 == "[" } : content)
            if isHeader { header = keys }
            let whole = isHeader ? keys : header + keys
            if !keys.isEmpty, whole.starts(with: wanted) { return "\(path):\(index + 1):\(column)" }
        }
        return path
    }

    /// The dotted key at the beginning of a line; empty where there is none.
    private static func keys(_ line: Substring) -> [String] {
        var (keys, current, quote): ([String], String, Character?) = ([], "", nil)
        for character in line {
            switch (quote, character) {
            case (nil, "="), (nil, "]"): return current.isEmpty ? keys : keys + [current]
            case (nil, "#"): return []
            case (nil, "."):
                keys.append(current)
                current = ""
            case (nil, "\""), (nil, "'"): quote = character
            case (nil, " "), (nil, "\t"): break
            case (let open?, character) where open == character: quote = nil
            default: current.append(character)
            }
        }
        return []
    }
}
