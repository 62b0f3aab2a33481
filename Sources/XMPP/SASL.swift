// Which SASL mechanism to log in with, and what it says (RFC 6120 §6).

public import IMCrypto

/// The mechanisms imd knows.
public enum SASLMechanism: Hashable, Sendable {
    /// The password itself (RFC 4616).
    case plain
    /// Proof of knowing the password (RFC 5802); `plus` binds it to the TLS connection.
    case scram(HashAlgorithm, plus: Bool)

    /// The mechanism of that name; nil for one that imd does not know.
    public init?(name: String) {
        switch name {
        case "PLAIN": self = .plain
        case "SCRAM-SHA-1": self = .scram(.sha1, plus: false)
        case "SCRAM-SHA-256": self = .scram(.sha256, plus: false)
        case "SCRAM-SHA-512": self = .scram(.sha512, plus: false)
        case "SCRAM-SHA-1-PLUS": self = .scram(.sha1, plus: true)
        case "SCRAM-SHA-256-PLUS": self = .scram(.sha256, plus: true)
        case "SCRAM-SHA-512-PLUS": self = .scram(.sha512, plus: true)
        default: return nil
        }
    }

    /// The registered name.
    public var name: String {
        switch self {
        case .plain: "PLAIN"
        case .scram(let hash, let plus): "SCRAM-" + hash.scramName + (plus ? "-PLUS" : "")
        }
    }

    /// Larger is stronger: any binding counts for more than the better hash.
    public var strength: Int {
        switch self {
        case .plain: 0
        case .scram(.sha1, let plus): plus ? 4 : 1
        case .scram(.sha256, let plus): plus ? 5 : 2
        case .scram(.sha512, let plus): plus ? 6 : 3
        }
    }
}

extension HashAlgorithm {
    fileprivate var scramName: String {
        switch self {
        case .sha1: "SHA-1"
        case .sha256: "SHA-256"
        case .sha512: "SHA-512"
        }
    }
}

/// What the account accepts when it logs in.
public struct SASLPolicy: Equatable, Sendable {
    /// Whether the password may be sent as it is when the server offers nothing better.
    public var allowPlain = false
    /// The strongest mechanism used before, by name: anything weaker is refused.
    public var pinnedMechanism: String?
    /// The strongest binding used before, by name: anything weaker is refused.
    public var pinnedChannelBinding: String?

    /// SCRAM only, nothing pinned.
    public init() {}
}

/// A mechanism and how it is bound.
struct SASLChoice: Equatable, Sendable {
    var mechanism: SASLMechanism
    var binding: SCRAM.Binding

    /// The best that the server offers, by `policy`.
    ///
    /// The rules of XEP-0440 for a client that supports binding, with SASL 1:
    /// - `-PLUS` and types: the strongest type that both know. Without a common one, and without
    ///   `tls-server-end-point` in the list, the list was tampered with: abort.
    /// - `-PLUS` without types: left open by XEP-0440 (it may abort, or try some type). This is how ejabberd
    ///   before 24 looks on TLS 1.3, where the only binding it knows, tls-unique, does not exist, so a try
    ///   fails always. Hence `n`. Somebody who removes the list gains that much on the first login only:
    ///   later the pin catches it.
    /// - Types without `-PLUS`: `y`, not the abort that is a SHOULD in XEP-0440, because ejabberd announces
    ///   types also where its operator has disabled `-PLUS`. Where it was removed on the way, `y` makes the
    ///   server refuse (RFC 5802 §6).
    /// - Neither: `y`.
    static func best(
        of features: StreamFeatures, available: ChannelBindings, policy: SASLPolicy
    ) throws(StreamFailure) -> SASLChoice {
        let offered = features.mechanisms
        let choice = try unpinned(
            offered, announced: features.channelBindingTypes, available: available, policy: policy)
        if let pinned = policy.pinnedMechanism {
            // A pin that this version does not know was set by a newer one, which knew something stronger.
            let least = SASLMechanism(name: pinned)?.strength ?? .max
            guard let choice, choice.mechanism.strength >= least else {
                throw .downgrade(pinned: pinned, offered: offered)
            }
        }
        if let pinned = policy.pinnedChannelBinding {
            let least = ChannelBindingType(rawValue: pinned)?.strength ?? .max
            guard let choice, choice.binding.strength >= least else {
                throw .downgrade(pinned: pinned, offered: features.channelBindingTypes ?? [])
            }
        }
        guard let choice else { throw .mechanismsTooWeak(offered) }
        return choice
    }

    private static func unpinned(
        _ offered: [String], announced: [String]?, available: ChannelBindings, policy: SASLPolicy
    ) throws(StreamFailure) -> SASLChoice? {
        let known = offered.compactMap(SASLMechanism.init(name:)).sorted { $0.strength > $1.strength }
        let bound = known.first { if case .scram(_, plus: true) = $0 { true } else { false } }
        let unbound = known.first { if case .scram(_, plus: false) = $0 { true } else { false } }
        let offersBinding = bound != nil || offered.contains { $0.hasSuffix("-PLUS") }
        if let bound, let type = try bindingType(announced, available), let data = available[type] {
            return SASLChoice(mechanism: bound, binding: .bound(type, data))
        }
        if let unbound {
            let isMissed = !offersBinding && !available.isEmpty
            return SASLChoice(mechanism: unbound, binding: isMissed ? .notOffered : .unsupported)
        }
        guard policy.allowPlain, bound == nil, known.contains(.plain) else { return nil }
        return SASLChoice(mechanism: .plain, binding: .unsupported)
    }

    private static func bindingType(
        _ announced: [String]?, _ available: ChannelBindings
    ) throws(StreamFailure) -> ChannelBindingType? {
        guard !available.isEmpty, let announced else { return nil }
        let known = announced.compactMap(ChannelBindingType.init(rawValue:))
        if let common = available.strongest(among: known) { return common }
        guard known.contains(.tlsServerEndPoint) else {
            throw .channelBindingUnavailable(announced: announced)
        }
        return nil
    }
}

/// One login in progress.
struct SASLExchange: Sendable {
    private enum State: Sendable {
        case plain(response: Bytes)
        case scram(SCRAM)
    }

    let mechanism: SASLMechanism
    let channelBinding: ChannelBindingType?
    private var state: State

    /// - Parameters:
    ///   - username: the localpart, not yet prepared.
    ///   - nonce: see ``SCRAM``.
    /// - Throws: `.unusableCredentials`.
    init(
        _ choice: SASLChoice, features: StreamFeatures, username: String, password: SecretBytes, nonce: String
    ) throws(StreamFailure) {
        mechanism = choice.mechanism
        channelBinding = choice.binding.type
        switch choice.mechanism {
        case .plain:
            guard let username = SASLprep.prepare(username) else { throw .unusableCredentials("user name") }
            guard let password = SASLprep.prepare(password) else { throw .unusableCredentials("password") }
            state = .plain(response: [0] + Bytes(username.utf8) + [0] + password.bytes)
        case .scram(let hash, _):
            state = .scram(
                try SCRAM(
                    hash, username: username, password: password, nonce: nonce, binding: choice.binding,
                    offer: SCRAM.Offer(
                        mechanisms: features.mechanisms, bindings: features.channelBindingTypes)))
        }
    }

    var initialResponse: Bytes {
        switch state {
        case .plain(let response): response
        case .scram(let scram): scram.clientFirst
        }
    }

    /// - Returns: the response; empty when the challenge was the server's last word (RFC 6120 §6.4.6).
    mutating func received(challenge: Bytes) throws(StreamFailure) -> Bytes {
        guard case .scram(var scram) = state else { throw .scram("a challenge to PLAIN") }
        let response = try scram.received(challenge)
        state = .scram(scram)
        return response
    }

    /// - Parameter data: what came with `<success/>`; nil for nothing, as after a last challenge.
    mutating func received(success data: Bytes?) throws(StreamFailure) {
        guard case .scram(var scram) = state else { return }
        if let data { _ = try scram.received(data) }
        guard scram.isVerified else { throw .serverSignature }
        state = .scram(scram)
    }
}

extension Element {
    /// The content of a SASL element (RFC 6120 §6.4.2): nil for none, empty for `=`.
    func saslData() throws(CodecError) -> Bytes? {
        let text = text
        if text.isEmpty { return nil }
        if text == "=" { return [] }
        guard let data = Base64.decode(text) else { throw .invalid(name) }
        return data
    }

    init(sasl name: String, mechanism: String? = nil, _ data: Bytes?) {
        let text = data.map { $0.isEmpty ? "=" : Base64.encode($0) }
        self.init(name, in: Namespace.sasl, ["mechanism": mechanism], text: text ?? "")
    }
}

extension StreamFailure {
    /// Reads SASL's `<failure/>` (RFC 6120 §6.5).
    init(saslFailure element: Element) {
        var condition: String?
        for child in element.children where child.namespace == Namespace.sasl && child.name != "text" {
            condition = condition ?? child.name
        }
        self = .authentication(
            condition: condition ?? "not-authorized", text: element.child("text", in: Namespace.sasl)?.text)
    }
}
