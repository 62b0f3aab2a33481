// The API's description of itself, generated from the declarations.

/// Builds the OpenRPC document that `rpc.discover` serves.
public enum OpenRPC {
    /// The whole document.
    public static let document = RPCDiscover.Result(
        openrpc: "1.3.2",
        info: [
            "title": "imd", "version": .string(LocalAPI.version),
            "description": "Local API of imd, an XMPP and OMEMO messaging daemon. See imd-api(5).",
        ],
        methods: allMethods.map { method($0) },
        events: Event.types.map { event($0.type, $0.summary, $0.detail) })

    private static func method<M: Method>(_: M.Type) -> JSONValue {
        let params = M.Params.fields.map { field -> JSONValue in
            [
                "name": .string(field.key), "description": .string(field.sentence),
                "required": .bool(!field.isOptional), "schema": field.type.schema,
            ]
        }
        let errors = (alwaysPossible + M.errors).map { code -> JSONValue in
            [
                "code": .integer(code.rpcCode), "message": .string(code.sentence),
                "data": ["code": .string(code.rawValue)],
            ]
        }
        return [
            "name": .string(M.name), "summary": .string(M.summary), "paramStructure": "by-name",
            "params": .array(params), "result": ["name": "result", "schema": M.Result.schema],
            "errors": .array(errors), "examples": .array(example(M.self).map { [$0] } ?? []),
        ]
    }

    private static func example<M: Method>(_: M.Type) -> JSONValue? {
        guard let json = try? M.example?.json(), case .object(let params) = json.params else { return nil }
        return [
            "name": .string(M.name),
            "params": .array(params.map { ["name": .string($0.key), "value": $0.value] }),
            "result": ["name": "result", "value": json.result],
        ]
    }

    private static func event(
        _ type: EventType, _ summary: String, _ detail: any Documented.Type
    ) -> JSONValue {
        .object([
            .init("name", .string(type.rawValue)), .init("summary", .string(summary)),
            .init("schema", EventSchema.schema(common: Event.commonFields, own: detail.fields)),
        ])
    }
}

/// The flat object of an event: the members every event has, then its own.
enum EventSchema {
    /// Members a detail repeats, as a message its account, are listed once.
    static func fields(common: [Field], own: [Field]) -> [Field] {
        common + own.filter { field in !common.contains { $0.key == field.key } }
    }

    static func schema(common: [Field], own: [Field]) -> JSONValue {
        let fields = fields(common: common, own: own)
        return [
            "type": "object",
            "properties": .object(fields.map { .init($0.key, $0.type.schema) }),
            "required": .array(fields.filter { !$0.isOptional }.map { .string($0.key) }),
        ]
    }
}

extension OpenRPC {
    /// The document as indented JSON with a line feed at its end, for people and for comparing versions.
    ///
    /// - Throws: `.internalError`; never in practice.
    public static func text() throws(UserError) -> String {
        var text = ""
        indent(try RPCDiscover.encode(document), "", &text)
        return text + "\n"
    }

    private static func indent(_ value: JSONValue, _ margin: String, _ text: inout String) {
        let inner = margin + "  "
        switch value {
        case .array(let elements) where !elements.isEmpty:
            text += "["
            for (index, element) in elements.enumerated() {
                text += (index > 0 ? ",\n" : "\n") + inner
                indent(element, inner, &text)
            }
            text += "\n\(margin)]"
        case .object(let members) where !members.isEmpty:
            text += "{"
            for (index, member) in members.enumerated() {
                text += (index > 0 ? ",\n" : "\n") + inner
                indent(.string(member.key), inner, &text)
                text += ": "
                indent(member.value, inner, &text)
            }
            text += "\n\(margin)}"
        default: text += String(decoding: value.serialized(), as: UTF8.self)
        }
    }
}
