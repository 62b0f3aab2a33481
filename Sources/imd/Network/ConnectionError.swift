// Why an account is not connected, and what a person is told about it.
import LocalAPI
import XMPP

enum ConnectionError: Error, Equatable, Sendable {
    /// The domain has no XMPP server, or says that it has none.
    case unresolvable(String)
    /// The password command gave nothing; the reason.
    case password(String)
    /// A setting of the account cannot be used; which and why.
    case settings(String)
    /// Everything between the first byte and the last.
    case stream(StreamFailure)

    static let closed = ConnectionError.stream(.connectionLost)

    /// True where trying again at once would only repeat the failure: somebody has to act first.
    var isPermanent: Bool {
        switch self {
        case .password, .settings: true
        case .unresolvable: false
        case .stream(let failure): failure.isPermanent
        }
    }

    /// True where nobody answered at all: trying again costs a server nothing.
    var isUnanswered: Bool {
        switch self {
        case .unresolvable, .stream(.unreachable): true
        default: false
        }
    }

    /// True where taking the same stream up again would only repeat the failure.
    var forbidsResumption: Bool {
        switch self {
        case .stream(.handledCountTooHigh), .stream(.protocolViolation): true
        // Beyond a limit it comes again until it is left out; anything else is wrong for good.
        case .stream(.xml(.limit)): false
        case .stream(.xml): true
        default: false
        }
    }

    /// True where the server refused who we say we are: asking again may lock the account.
    var isRefusal: Bool {
        guard case .stream(let failure) = self else { return false }
        switch failure {
        case .certificate, .tlsNotOffered, .unsupportedVersion: return false
        default: return failure.isPermanent
        }
    }

    var userError: UserError {
        switch self {
        case .unresolvable(let domain):
            UserError(
                .hostUnknown, "no XMPP server found for \(domain)",
                hint: "check the spelling, or name the server with --server HOST:PORT")
        case .password(let reason):
            UserError(
                .passwordUnavailable, "no password: \(reason)", hint: "run the password command by hand")
        case .settings(let reason):
            UserError(.unreadableFile, reason, hint: "give the authority's certificate in PEM form")
        case .stream(let failure):
            UserError(failure.code, failure.description, hint: failure.hint)
        }
    }
}

extension StreamFailure {
    fileprivate var code: ErrorCode {
        switch self {
        case .unreachable, .timeout: .serverUnreachable
        case .connectionLost, .closedByServer, .closed: .notConnected
        case .tlsNotOffered, .tlsRefused, .tls: .tlsRequired
        case .certificate: .certificate
        case .authentication, .unusableCredentials, .bind, .session: .notAuthorized
        case .stream(let error) where error.condition == .hostUnknown: .hostUnknown
        case .unsupportedVersion, .xml, .protocolViolation, .mechanismsTooWeak, .downgrade,
            .channelBindingUnavailable, .tamperedMechanisms, .scram, .nonce, .iterationCount,
            .serverSignature,
            .stream, .seeOtherHost, .handledCountTooHigh:
            .serverProtocol
        }
    }

    fileprivate var hint: String? {
        switch self {
        case .unreachable: "check that the server runs and the port is right (--server HOST:PORT)"
        case .timeout, .xml, .protocolViolation: "check that it speaks XMPP on this port"
        case .tls, .tlsRefused: "check the port, and whether it wants --tls starttls or --tls direct"
        case .tlsNotOffered: "imd never logs in without encryption; ask the server's operator"
        case .certificate: "for a private authority give its certificate with --ca-file"
        case .authentication, .unusableCredentials: "check the JID and the password"
        case .mechanismsTooWeak: "ask the operator for SCRAM; --allow-plain shows the server your password"
        case .downgrade: "if the server really changed, remove the account and add it again"
        default: nil
        }
    }
}
