// The manual of the API, imd-api.5, generated from the declarations.

/// Writes imd-api.5 in mdoc(7).
public enum ManPage {
    /// The whole page.
    public static func render() -> String {
        var page = Mdoc()
        page.raw(introduction)
        page.macro("Sh", ["METHODS"])
        page.text("Optional parameters are marked; an explicit null is the same as leaving one out.")
        for method in allMethods { page.method(method) }
        page.macro("Sh", ["EVENTS"])
        page.raw(eventsIntroduction)
        page.fields(Event.commonFields, of: "Members of every event")
        for (type, summary, detail) in Event.types {
            page.macro("Ss", [type.rawValue])
            page.text(sentence(summary))
            let own = EventSchema.fields(common: Event.commonFields, own: detail.fields)
            page.fields(Array(own.dropFirst(Event.commonFields.count)), of: "Members")
        }
        page.objects()
        page.errors()
        page.raw(closing)
        return page.lines.joined(separator: "\n") + "\n"
    }

    static func sentence(_ text: String) -> String {
        guard let first = text.first else { return text }
        return first.uppercased() + text.dropFirst() + "."
    }

    private static let introduction = """
        .\\" Generated from Sources/LocalAPI: do not edit.
        .Dd November 23, 2026
        .Dt IMD-API 5
        .Os
        .Sh NAME
        .Nm imd-api
        .Nd local API of the messaging daemon imd
        .Sh DESCRIPTION
        .Xr imd 1
        serves JSON-RPC 2.0 on the Unix socket
        .Pa $XDG_RUNTIME_DIR/imd/imd.sock .
        Only processes of the same user may connect.
        .Ss Framing
        Each request, answer and notification is one JSON object on one line of UTF-8,
        ended by a line feed.
        Lines that hold only white space are ignored.
        A request is at most 1048576 bytes long and nested at most 32 deep;
        no object may have a key twice.
        A line that breaks these rules is answered with an error and skipped;
        the connection goes on.
        Answers may be longer.
        .Pp
        Requests on one connection are answered in the order they were sent.
        Nothing arrives on a connection that it did not ask for.
        A request without
        .Ql id
        is carried out and not answered.
        A line may also hold an array of at most 1000 requests.
        They are begun in order, like those of several lines,
        and answered together by an array on one line, in the same order;
        those without
        .Ql id
        have no answer in it, and an array of nothing else has none at all.
        Once the answers are longer than 16777216 bytes,
        the requests that follow are not carried out and answered with
        .Er too-large .
        .Ss Stability
        Members may be added to answers and events; ignore those you do not know.
        None is renamed, removed or changes its type, and no parameter becomes required.
        Parameters that a method does not know are errors.
        Times are RFC 3339 in UTC with milliseconds.
        JIDs are bare unless said otherwise.
        """

    private static let eventsIntroduction = """
        After
        .Ic event.subscribe
        events arrive as notifications of the method
        .Ic event ,
        whose params are one flat object.
        When all events that existed at subscription time have been sent,
        the notification
        .Ic event.caughtUp
        follows once, with
        .Fa number .
        .Pp
        A named consumer gets every event at least once:
        what it has not acknowledged with
        .Ic event.ack
        comes again after the next subscription.
        Old events are dropped when there are too many of them;
        a consumer that had not acknowledged them gets
        .Ic overflow
        first.
        """

    private static let closing = """
        .Sh EXAMPLES
        Send a message with standard tools:
        .Bd -literal
        printf '%s\\en' '{"jsonrpc":"2.0","id":1,"method":"message.send","params":
        {"to":"bob@example.org","body":"hello"}}' | tr -d '\\en' |
        nc -N -U "$XDG_RUNTIME_DIR/imd/imd.sock"
        .Ed
        .Pp
        The description of the whole API as an OpenRPC document:
        .Dl imctl call rpc.discover
        .Sh SEE ALSO
        .Xr imctl 1 ,
        .Xr imd 1
        """
}

/// Lines of mdoc with text made safe.
private struct Mdoc {
    var lines: [String] = []

    mutating func raw(_ text: String) {
        lines += text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    mutating func macro(_ name: String, _ arguments: [String] = []) {
        lines.append(([".\(name)"] + arguments.map(Self.escape)).joined(separator: " "))
    }

    /// A paragraph, one sentence or clause per line: mdoc wants no full stop or line longer than 80 within.
    mutating func text(_ text: String) {
        var line = ""
        for word in text.split(separator: " ") {
            if line.utf8.count + word.utf8.count > 76 {
                lines.append(Self.escape(line))
                line = ""
            }
            line += line.isEmpty ? String(word) : " \(word)"
            if line.hasSuffix(".") || line.hasSuffix(";") {
                lines.append(Self.escape(line))
                line = ""
            }
        }
        if !line.isEmpty { lines.append(Self.escape(line)) }
    }

    private static func escape(_ text: String) -> String {
        var escaped = ""
        for character in text {
            switch character {
            case "\\": escaped += "\\e"
            case "\"": escaped += "\\(dq"
            case "'" where escaped.isEmpty, "." where escaped.isEmpty: escaped += "\\&\(character)"
            default: escaped.append(character)
            }
        }
        return escaped
    }

    mutating func method<M: Method>(_: M.Type) {
        macro("Ss", [M.name])
        text(ManPage.sentence(M.summary))
        fields(M.Params.fields, of: "Parameters")
        fields(M.Result.fields, of: "Result")
        if !M.errors.isEmpty {
            macro("Pp")
            text("Errors: \(M.errors.map(\.rawValue).joined(separator: ", ")).")
        }
    }

    mutating func fields(_ fields: [Field], of title: String) {
        if lines.last?.hasPrefix(".Ss") == false { macro("Pp") }
        guard !fields.isEmpty else { return text("\(title): none.") }
        text("\(title):")
        macro("Bl", ["-tag", "-width", "Ds", "-compact"])
        for field in fields {
            let kind = field.type.described + (field.isOptional ? ", optional" : "")
            lines.append(".It Fa \(Self.escape(field.key)) Pq \(kind)")
            text(ManPage.sentence(field.sentence))
            if case .word(let words) = field.type.innermost, words.count <= 12 {
                text("One of: \(words.joined(separator: ", ")).")
            }
        }
        macro("El")
    }

    mutating func objects() {
        macro("Sh", ["OBJECTS"])
        text("Objects that the sections above name.")
        for type in DocumentedObjects.all {
            macro("Ss", ["\(type)"])
            fields(type.fields, of: "Members")
        }
    }

    mutating func errors() {
        macro("Sh", ["ERROR CODES"])
        text(
            """
            An error object has the JSON-RPC code, a message for people, and in data a permanent word in code and, \
            where something can be done, a hint. Beside those it lists, every method can answer with \
            \(alwaysPossible.map(\.rawValue).joined(separator: ", ")). The second column is the exit status of \
            imctl; where JSON-RPC has no code of its own, the code is -32000 minus that.
            """)
        macro("Bl", ["-column", "password-unavailable", "status", "-32700"])
        lines.append(".It Sy code Ta Sy status Ta Sy JSON-RPC")
        for code in ErrorCode.allCases {
            lines.append(".It \(code.rawValue) Ta \(code.exitCode) Ta \(code.rpcCode)")
        }
        macro("El")
        macro("Pp")
        text("What they mean:")
        macro("Bl", ["-tag", "-width", "Ds", "-compact"])
        for code in ErrorCode.allCases {
            macro("It", ["Er", code.rawValue])
            text(ManPage.sentence(code.sentence))
        }
        macro("El")
    }
}

extension FieldType {
    /// The type with the name of the object it leads to.
    var described: String {
        switch self {
        case .object(let type): "object \(type)"
        case .array(let element): "array of \(element.described)"
        case .nullable(let type): "\(type.described) or null"
        default: name
        }
    }

    var innermost: FieldType {
        switch self {
        case .array(let element), .nullable(let element): element.innermost
        default: self
        }
    }
}
