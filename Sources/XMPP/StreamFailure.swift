// Everything that can end a stream, in the words shown to people.

/// Why a stream ended or could not be established.
///
/// Texts that come from the server are cut to a line; nothing here holds a secret.
public enum StreamFailure: Error, Equatable, Sendable {
    // The connection.

    /// No connection came about, or none was tried; the reason in words.
    case unreachable(String)
    /// The connection broke without a closing tag.
    case connectionLost
    /// The server stayed silent for too long.
    case timeout
    /// The server closed the stream without an error.
    case closedByServer
    /// We closed the stream ourselves.
    case closed

    // Before the login.

    /// What answers is not an XMPP server, or one older than RFC 3920; the version it named.
    case unsupportedVersion(String?)
    /// The server's bytes are not what XMPP allows as XML.
    case xml(XMLError)
    /// The server sent something that has no place at this point.
    case protocolViolation(String)
    /// No `<starttls/>` (RFC 6120 §5); also what an attacker who removes it causes.
    case tlsNotOffered
    /// The server answered `<failure/>` to STARTTLS.
    case tlsRefused
    /// The handshake failed; the reason in words.
    case tls(String)
    /// The certificate is not valid for the account's domain; the reason in words.
    case certificate(String)

    // The login.

    /// The server offers no mechanism that is good enough; the names it offered.
    case mechanismsTooWeak([String])
    /// The server offers less than it once did.
    case downgrade(pinned: String, offered: [String])
    /// The server announces only channel bindings that are unknown, which XEP-0440 treats as an attack.
    case channelBindingUnavailable(announced: [String])
    /// The server's list of mechanisms was changed on the way (XEP-0474).
    case tamperedMechanisms
    /// The user name or password holds characters that SASLprep prohibits; which of the two.
    case unusableCredentials(String)
    /// The server refused the login (RFC 6120 §6.5).
    case authentication(condition: String, text: String?)
    /// The server's SCRAM message is malformed or demands an unknown extension; what is wrong with it.
    case scram(String)
    /// The server's nonce does not extend ours.
    case nonce
    /// The server's iteration count is too low to be safe or too high to be honest.
    case iterationCount(Int)
    /// The server could not prove that it knows the password.
    case serverSignature

    // After the login.

    /// No resource was bound (RFC 6120 §7).
    case bind(StanzaError)
    /// No session was established (RFC 3921 §3).
    case session(StanzaError)
    /// The server reported a stream error.
    case stream(StreamError)
    /// The server sends us elsewhere (RFC 6120 §4.9.3.19), as it wrote it. Not followed automatically.
    case seeOtherHost(String)
    /// The server acknowledged more stanzas than were sent (XEP-0198 §6).
    case handledCountTooHigh(h: UInt32, sent: UInt32)
}

extension StreamFailure {
    /// Whether trying again soon is pointless or harmful: somebody has to change something first.
    public var isPermanent: Bool {
        switch self {
        case .unreachable, .connectionLost, .timeout, .closedByServer, .closed, .xml, .protocolViolation,
            .tls, .tlsRefused, .session, .seeOtherHost, .handledCountTooHigh:
            false
        case .unsupportedVersion, .tlsNotOffered, .certificate, .mechanismsTooWeak, .downgrade,
            .channelBindingUnavailable, .tamperedMechanisms, .unusableCredentials, .scram, .nonce,
            .iterationCount, .serverSignature:
            true
        case .authentication(let condition, _):
            !["temporary-auth-failure", "aborted", "no-resources", "other-error"].contains(condition)
        case .bind(let error):
            error.kind != .wait && error.condition != .conflict
        case .stream(let error):
            error.isPermanent
        }
    }
}

extension StreamError {
    /// A conflict counts: two clients that throw each other out would do so for ever.
    fileprivate var isPermanent: Bool {
        switch condition {
        case .conflict, .hostGone, .hostUnknown, .notAuthorized, .unsupportedVersion: true
        default: false
        }
    }
}

extension StreamFailure: CustomStringConvertible {
    /// A sentence for people, lower case, without full stop and without secrets.
    public var description: String {
        switch self {
        case .unreachable(let reason): "the server cannot be reached: \(line(reason))"
        case .connectionLost: "the connection broke"
        case .timeout: "the server did not answer in time"
        case .closedByServer: "the server closed the stream"
        case .closed: "the stream was closed"
        case .unsupportedVersion(let version):
            "the server does not speak XMPP 1.0" + (version.map { ", it says \(line($0))" } ?? "")
        case .xml: "the server sent XML that XMPP does not allow"
        case .protocolViolation(let reason): "the server broke the protocol: \(line(reason))"
        case .tlsNotOffered: "the server does not offer encryption, or somebody on the way removed the offer"
        case .tlsRefused: "the server offered encryption and then refused it"
        case .tls(let reason): "encryption could not be set up: \(line(reason))"
        case .certificate(let reason): "the server's certificate is not valid: \(line(reason))"
        case .bind(let error):
            "the server bound no resource: \(error.condition.rawValue)" + explanation(error.text)
        case .session(let error):
            "the server established no session: \(error.condition.rawValue)" + explanation(error.text)
        case .stream(let error):
            "the server ended the stream: \(error.condition.rawValue)" + explanation(error.text)
        case .seeOtherHost(let host): "the server sends us to another host: \(line(host))"
        case .handledCountTooHigh(let h, let sent):
            "the server acknowledged \(h) stanzas, but only \(sent) were sent"
        default: loginDescription
        }
    }

    private var loginDescription: String {
        switch self {
        case .mechanismsTooWeak(let offered):
            "the server offers no safe way to log in: \(list(offered))"
        case .downgrade(let pinned, let offered):
            "the server once offered \(line(pinned)) and now only \(list(offered)): "
                + "somebody may be intercepting the connection"
        case .channelBindingUnavailable(let announced):
            "the server announces only unknown channel bindings: \(list(announced))"
        case .tamperedMechanisms: "somebody on the way changed the server's list of login mechanisms"
        case .unusableCredentials(let which): "the \(which) is empty or holds characters that are not allowed"
        case .authentication("not-authorized", let text): "wrong user name or password" + explanation(text)
        case .authentication(let condition, let text):
            "the server refused the login: \(line(condition))" + explanation(text)
        case .scram(let reason): "the server's login message is not acceptable: \(line(reason))"
        case .nonce: "the server's login message does not answer ours"
        case .iterationCount(let count):
            "the server asks for \(count) password iterations, not within 4096...500000"
        case .serverSignature: "the server could not prove that it knows the password"
        default: "the stream failed"
        }
    }
}

/// At most 200 characters of somebody else's text, without anything a terminal would obey.
private func line(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars.prefix(200) {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: result += " "
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result
}

private func explanation(_ text: String?) -> String {
    guard let text, !text.isEmpty else { return "" }
    return " (\(line(text)))"
}

private func list(_ names: [String]) -> String {
    names.isEmpty ? "nothing" : line(names.prefix(10).joined(separator: ", "))
}
