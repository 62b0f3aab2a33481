// daemon.check: does everything that imd relies on work?

/// `daemon.check`.
public enum DaemonCheck: Method {
    /// The name on the wire.
    public static let name = "daemon.check"
    /// What it does.
    public static let summary =
        "Check the database, keys, permissions, clock and servers, with a real round trip; may take a minute"
    /// What can go wrong.
    public static let errors: [ErrorCode] = [.busy]

    /// None.
    public typealias Params = Empty

    /// The outcome of one check.
    public struct Check: Documented, Equatable {
        /// What was checked.
        public var name: String
        /// Whether it is well.
        public var ok: Bool
        /// What was found.
        public var detail: String
        /// What to do about it.
        public var hint: String?

        /// An outcome from its parts.
        public init(name: String, ok: Bool, detail: String, hint: String? = nil) {
            self.name = name
            self.ok = ok
            self.detail = detail
            self.hint = hint
        }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("name", .string, "what was checked, a word, followed by the account where it concerns one"),
            Field("ok", .boolean, "it is well"),
            Field("detail", .string, "what was found, one line for people"),
            .optional("hint", .string, "one thing to do about it"),
        ]
    }

    /// All checks.
    public struct Result: Documented, Equatable {
        /// In the order they were made.
        public var checks: [Check]

        /// A result from its parts.
        public init(checks: [Check]) { self.checks = checks }

        /// The members on the wire.
        public static let fields: [Field] = [
            Field("checks", .array(.object(Check.self)), "the checks, in the order they were made")
        ]
    }
}
