// One request failed, the stream lives on (RFC 6120 §8.3).

/// A stanza error.
public struct StanzaError: Error, Equatable, Sendable {
    /// What the sender may do about it (§8.3.2).
    public enum Kind: String, Sendable, CaseIterable {
        /// Retry after providing credentials.
        case auth
        /// Do not retry.
        case cancel
        /// Only a warning.
        case `continue`
        /// Retry after changing the data.
        case modify
        /// Retry after waiting.
        case wait
    }

    /// The defined conditions (§8.3.3); the raw value is the element's name.
    public enum Condition: String, Sendable, CaseIterable {
        case badRequest = "bad-request"
        case conflict
        case featureNotImplemented = "feature-not-implemented"
        case forbidden
        case gone
        case internalServerError = "internal-server-error"
        case itemNotFound = "item-not-found"
        case jidMalformed = "jid-malformed"
        case notAcceptable = "not-acceptable"
        case notAllowed = "not-allowed"
        case notAuthorized = "not-authorized"
        case policyViolation = "policy-violation"
        case recipientUnavailable = "recipient-unavailable"
        case redirect
        case registrationRequired = "registration-required"
        case remoteServerNotFound = "remote-server-not-found"
        case remoteServerTimeout = "remote-server-timeout"
        case resourceConstraint = "resource-constraint"
        case serviceUnavailable = "service-unavailable"
        case subscriptionRequired = "subscription-required"
        case undefinedCondition = "undefined-condition"
        case unexpectedRequest = "unexpected-request"

        /// The error type that §8.3.3 associates with the condition.
        public var kind: Kind {
            switch self {
            case .badRequest, .jidMalformed, .notAcceptable, .policyViolation, .redirect: .modify
            case .forbidden, .notAuthorized, .registrationRequired, .subscriptionRequired: .auth
            case .recipientUnavailable, .remoteServerTimeout, .resourceConstraint, .unexpectedRequest: .wait
            case .conflict, .featureNotImplemented, .gone, .internalServerError, .itemNotFound, .notAllowed,
                .remoteServerNotFound, .serviceUnavailable, .undefinedCondition:
                .cancel
            }
        }
    }

    /// What the sender may do about it.
    public var kind: Kind
    /// What went wrong, in the RFC's vocabulary; `.undefinedCondition` for a word it does not know.
    public var condition: Condition
    /// The peer's explanation, untrusted text.
    public var text: String?
    /// The condition of an extension, if any: an element beside the defined one.
    public var application: Element?

    /// An error of the condition's usual kind unless told otherwise.
    public init(
        _ condition: Condition, _ kind: Kind? = nil, text: String? = nil, application: Element? = nil
    ) {
        self.condition = condition
        self.kind = kind ?? condition.kind
        self.text = text
        self.application = application
    }

    /// Reads the error of a stanza; nil unless its type is `error`.
    ///
    /// Real servers leave things out, so a missing or unknown part gets a default instead of a refusal.
    public init?(_ stanza: Element) {
        guard stanza.type == "error" else { return nil }
        let error = stanza.child("error", in: stanza.namespace)
        var condition: Condition?
        var text: String?
        var application: Element?
        for child in error?.children ?? [] {
            if child.namespace != Namespace.stanzaErrors {
                application = application ?? child
            } else if child.name == "text" {
                text = text ?? child.text
            } else {
                condition = condition ?? Condition(rawValue: child.name)
            }
        }
        let known = condition ?? .undefinedCondition
        self.init(
            known, error?["type"].flatMap(Kind.init(rawValue:)), text: text, application: application)
    }

    /// The `<error/>` child.
    public var element: Element {
        var element = Element(
            "error", in: Namespace.client, ["type": kind.rawValue],
            [Element(condition.rawValue, in: Namespace.stanzaErrors)])
        if let text { element.append(Element("text", in: Namespace.stanzaErrors, text: text)) }
        if let application { element.append(application) }
        return element
    }
}
