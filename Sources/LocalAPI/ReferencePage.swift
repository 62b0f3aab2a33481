// docs/API.md, generated from the declarations.

/// Writes docs/API.md in Markdown.
public enum ReferencePage {
    /// The whole page.
    ///
    /// - Throws: `.internalError`; never in practice.
    public static func render() throws(UserError) -> String {
        var page = Markdown()
        page.text(introduction)
        page.contents()
        page.text("## Methods\n\nAn explicit `null` is the same as leaving an optional parameter out.")
        for method in allMethods { try page.method(method) }
        page.text("## Events\n\n" + eventsIntroduction)
        page.fields(Event.commonFields, of: "Members of every event")
        let examples = Event.examples
        for (type, summary, detail) in Event.types {
            page.text("### Event `\(type.rawValue)`\n\n\(ManPage.sentence(summary))")
            let own = EventSchema.fields(common: Event.commonFields, own: detail.fields)
            page.fields(Array(own.dropFirst(Event.commonFields.count)), of: "Members")
            for event in examples where event.detail.type == type {
                page.code(String(decoding: try event.line().dropLast(), as: UTF8.self))
            }
        }
        page.objects()
        page.errors()
        return page.parts.joined(separator: "\n\n") + "\n"
    }

    private static let introduction = """
        <!-- Generated from Sources/LocalAPI: do not edit. IMD_UPDATE_GOLDEN=1 swift test --filter DeclarationTests -->
        # The local API

        `imd` serves JSON-RPC 2.0 on the Unix socket `$XDG_RUNTIME_DIR/imd/imd.sock`, for processes of the same user. \
        Each request, answer and notification is one JSON object on one line of UTF-8. `imctl call METHOD [JSON]` sends \
        one request; `nc -U` and `jq` are enough for more:

        ```sh
        echo '{"jsonrpc":"2.0","id":1,"method":"daemon.status"}' | nc -N -U "$XDG_RUNTIME_DIR/imd/imd.sock" | jq
        ```

        imd-api(5) is this reference as a manual page, `rpc.discover` serves it as an OpenRPC document.

        ## Rules

        - A line is at most \(maxLineLength) bytes long and nested at most 32 deep, and no object has a key twice. What \
        breaks this is answered with an error; the connection goes on. Answers may be longer.
        - Requests on one connection are answered in the order they were sent. Nothing arrives that was not asked for.
        - A request without `id` is carried out and not answered.
        - A line may hold a batch, an array of 1 to \(maxBatchLength) requests: begun in order, answered together by an \
        array on one line. Once its answers are longer than \(maxBatchAnswerLength) bytes, what follows is not carried out \
        and answered with `too-large`.
        - Times are RFC 3339 in UTC with milliseconds. JIDs are bare unless said otherwise.

        ## The promise

        What is here stays: no method, parameter, member, type of event or error code is renamed, retyped or removed, no \
        member that is always there becomes optional, and no parameter becomes required. New ones may be added, also new \
        words where a member is one of several: ignore what you do not know. A parameter that a method does not know is an \
        error, so that no typo is silent. `Tests/LocalAPITests/Golden/promise.txt` lists what was promised, and a test \
        fails when one of its lines is not true any more.
        """

    private static let eventsIntroduction = """
        After `event.subscribe` events arrive as notifications of the method `event`, whose params are one flat object. \
        When all events that existed at subscription time have been sent, the notification `event.caughtUp` follows once, \
        with `number`. A named consumer gets every event at least once: what it has not acknowledged with `event.ack` comes \
        again after the next subscription.
        """
}

/// Paragraphs of Markdown.
private struct Markdown {
    var parts: [String] = []

    mutating func text(_ text: String) { parts.append(text) }

    mutating func code(_ json: String) { parts.append("```json\n\(json)\n```") }

    mutating func contents() {
        func name<M: Method>(_: M.Type) -> String { M.name }
        func link(_ name: String, _ title: String) -> String {
            let anchor = title.filter { $0.isLetter || $0.isNumber || $0 == "-" }.lowercased()
            return "[`\(name)`](#\(anchor))"
        }
        let methods = allMethods.map { link(name($0), name($0)) }.joined(separator: " · ")
        let events = EventType.allCases.map { link($0.rawValue, "event-\($0.rawValue)") }
        parts.append("Methods: \(methods)\n\nEvents: \(events.joined(separator: " · "))")
    }

    mutating func method<M: Method>(_: M.Type) throws(UserError) {
        parts.append("### `\(M.name)`\n\n\(ManPage.sentence(M.summary))")
        fields(M.Params.fields, of: "Parameters")
        fields(M.Result.fields, of: "Result")
        if !M.errors.isEmpty {
            parts.append("Errors: \(M.errors.map { "`\($0.rawValue)`" }.joined(separator: ", ")).")
        }
        guard let example = M.example else { return }
        code("\(try example.request())\n\(try example.answer())")
    }

    mutating func fields(_ fields: [Field], of title: String) {
        guard !fields.isEmpty else { return parts.append("\(title): none.") }
        var table = "| \(title) | Type | |\n|---|---|---|"
        for field in fields {
            var sentence = ManPage.sentence(field.sentence)
            if case .word(let words) = field.type.innermost, words.count <= 12 {
                sentence += " One of: \(words.joined(separator: ", "))."
            }
            let type = field.type.described + (field.isOptional ? ", optional" : "")
            table += "\n| `\(field.key)` | \(type) | \(sentence.replacing("|", with: "\\|")) |"
        }
        parts.append(table)
    }

    mutating func objects() {
        parts.append("## Objects")
        for type in DocumentedObjects.all {
            parts.append("### \(type)")
            fields(type.fields, of: "Members")
        }
    }

    mutating func errors() {
        parts.append(
            """
            ## Error codes

            An error object has the JSON-RPC code, a `message` for people, and in `data` a permanent word in `code` and, \
            where something can be done, a `hint`. Beside those it lists, every method can answer with \
            \(alwaysPossible.map { "`\($0.rawValue)`" }.joined(separator: ", ")).
            """)
        var table = "| Code | JSON-RPC | Exit status of imctl | |\n|---|---|---|---|"
        for code in ErrorCode.allCases {
            table +=
                "\n| `\(code.rawValue)` | \(code.rpcCode) | \(code.exitCode) | \(ManPage.sentence(code.sentence)) |"
        }
        parts.append(table)
    }
}

/// The objects that methods and events name, each once, in the order of the manual.
enum DocumentedObjects {
    static var all: [any Documented.Type] {
        var found: [any Documented.Type] = []
        func visit(_ fields: [Field]) {
            for field in fields {
                guard case .object(let type) = field.type.innermost, !found.contains(where: { $0 == type })
                else { continue }
                found.append(type)
                visit(type.fields)
            }
        }
        func visitMethod<M: Method>(_: M.Type) {
            visit(M.Params.fields)
            visit(M.Result.fields)
        }
        for method in allMethods { visitMethod(method) }
        for (_, _, detail) in Event.types { visit(detail.fields) }
        return found
    }
}
