// Lists as one bound value: SQLite's json_each takes them apart.

/// `[1,2,3]`
func jsonArray(_ numbers: [Int64]) -> String {
    "[" + numbers.map { String($0) }.joined(separator: ",") + "]"
}

/// `["a","b"]`, escaped as RFC 8259 §7 asks.
func jsonArray(_ words: [String]) -> String {
    var text = "["
    for word in words {
        text += text.utf8.count > 1 ? ",\"" : "\""
        for scalar in word.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\0"..<" ":
                text += (scalar.value < 16 ? "\\u000" : "\\u00") + String(scalar.value, radix: 16)
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
    return text + "]"
}
