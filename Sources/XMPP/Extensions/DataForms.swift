// Forms of named fields (XEP-0004), as other extensions use them; no layout.

extension Namespace {
    /// Data forms.
    public static let dataForms = "jabber:x:data"
}

/// A data form.
public struct DataForm: Equatable, Sendable {
    /// What the form is for (§3.1).
    public enum Kind: String, Sendable, CaseIterable {
        /// To be filled out.
        case form
        /// Filled out.
        case submit
        /// Not filled out.
        case cancel
        /// Data, such as a search result.
        case result
    }

    /// One field.
    public struct Field: Equatable, Sendable {
        /// The name (`var`); nil only for text meant to be read.
        public var name: String?
        /// How it is to be shown; forms that are submitted may leave it out.
        public var type: String?
        /// Its values, in order.
        public var values: [String]

        /// A field.
        public init(_ name: String?, type: String? = nil, _ values: [String]) {
            self.name = name
            self.type = type
            self.values = values
        }
    }

    /// What the form is for.
    public var kind: Kind
    /// In order, the form's type among them.
    public var fields: [Field]

    /// A form with fields as they are.
    public init(_ kind: Kind, fields: [Field]) {
        self.kind = kind
        self.fields = fields
    }

    /// A form to submit: its type (XEP-0068) and one value per field.
    public init(submitting type: String, _ values: KeyValuePairs<String, String>) {
        kind = .submit
        fields = [Field("FORM_TYPE", type: "hidden", [type])] + values.map { Field($0.key, [$0.value]) }
    }

    /// Reads `<x/>`.
    public init(_ element: Element) throws(CodecError) {
        try element.expect("x", in: Namespace.dataForms)
        guard let kind = Kind(rawValue: try element.required("type")) else { throw .invalid("type") }
        self.kind = kind
        fields = element.children("field", in: Namespace.dataForms).map { field in
            Field(
                field["var"], type: field["type"],
                field.children("value", in: Namespace.dataForms).map(\.text))
        }
    }

    /// The first value of the field of that name.
    public subscript(_ name: String) -> String? {
        fields.first { $0.name == name }?.values.first
    }

    /// What the names of the fields mean (XEP-0068): the value of the hidden field `FORM_TYPE`. In a
    /// submitted form the field need not say that it is hidden.
    public var formType: String? {
        guard let field = fields.first(where: { $0.name == "FORM_TYPE" }) else { return nil }
        guard field.type == "hidden" || (kind == .submit && field.type == nil) else { return nil }
        return field.values.first
    }

    /// The `<x/>` element.
    public var element: Element {
        Element(
            "x", in: Namespace.dataForms, ["type": kind.rawValue],
            fields.map { field in
                Element(
                    "field", in: Namespace.dataForms, ["var": field.name, "type": field.type],
                    field.values.map { Element("value", in: Namespace.dataForms, text: $0) })
            })
    }
}
