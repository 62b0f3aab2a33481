// Checks parameters against what a method declares, so that a typo is an error that names itself.

extension Documented {
    /// Refuses unknown and missing members, wrong types and values out of range, naming the member.
    ///
    /// - Throws: `.invalidParams`, or `.badRequest` if `value` is no object.
    public static func check(_ value: JSONValue, in method: String) throws(UserError) {
        try check(value, path: "", method: method)
    }

    static func check(_ value: JSONValue, path: String, method: String) throws(UserError) {
        guard case .object(let members) = value else {
            throw UserError(.invalidParams, "\(path.isEmpty ? "params" : quoted(path)) must be an object")
        }
        let fields = Self.fields
        for member in members where !fields.contains(where: { $0.key == member.key }) {
            let known = fields.map(\.key).joined(separator: ", ")
            throw UserError(
                .invalidParams, "unknown parameter \(quoted(path + member.key)) for \(method)",
                hint: known.isEmpty ? "\(method) takes no parameters" : "known are: \(known)")
        }
        for field in fields {
            guard let member = value[field.key], !(field.isOptional && member == .null) else {
                guard field.isOptional else {
                    throw UserError(
                        .invalidParams, "missing parameter \(quoted(path + field.key)) for \(method)",
                        hint: "it is \(field.sentence)")
                }
                continue
            }
            try field.type.check(member, path: path + field.key, method: method)
        }
    }
}

/// A name from a request as error messages show it: short and on one line.
func quoted(_ name: String) -> String {
    let escaped = TerminalText.escape(String(name.unicodeScalars.prefix(64)), keepsLines: false)
    return "\"\(escaped)\(name.unicodeScalars.count > 64 ? "…" : "")\""
}

extension FieldType {
    func check(_ value: JSONValue, path: String, method: String) throws(UserError) {
        switch (self, value) {
        case (.string, .string), (.jid, .string), (.boolean, .bool), (.json, _), (.nullable, .null): return
        case (.timestamp, .string(let text)) where Timestamp(text) != nil: return
        case (.integer(let range), .integer), (.integer(let range), .number):
            guard let number = value.integer else { break }
            guard range.contains(number) else {
                throw UserError(
                    .invalidParams,
                    "parameter \(quoted(path)) must be from \(range.lowerBound) to \(range.upperBound)")
            }
            return
        case (.word(let words), .string(let text)):
            guard words.contains(text) else {
                throw UserError(
                    .invalidParams,
                    "parameter \(quoted(path)) must be one of \(words.joined(separator: ", "))")
            }
            return
        case (.array(let element), .array(let values)):
            for (index, value) in values.enumerated() {
                try element.check(value, path: "\(path)[\(index)]", method: method)
            }
            return
        case (.object(let type), .object):
            return try type.check(value, path: path + ".", method: method)
        case (.nullable(let type), _):
            return try type.check(value, path: path, method: method)
        default: break
        }
        throw UserError(.invalidParams, "parameter \(quoted(path)) must be \(article), not \(value.kind)")
    }

    private var article: String {
        switch self {
        case .integer, .array, .object: "an \(name)"
        case .json: name
        default: "a \(name)"
        }
    }
}
