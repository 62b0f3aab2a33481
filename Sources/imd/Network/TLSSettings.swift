// How one connection is secured: trust roots, the name to verify, channel bindings (RFC 6120 §5, RFC 7590).
import Foundation
import NIOCore
import NIOSSL
import XMPP

struct TLSSettings: Sendable {
    let domain: String
    let mode: ClientStream.Configuration.TLS
    private let context: NIOSSLContext
    private let exporter = TLSExporter()

    /// - Parameter caFile: PEM file of the only authorities to trust; nil for the system's.
    /// - Throws: `.settings` where the file cannot be used.
    init(domain: String, mode: ClientStream.Configuration.TLS, caFile: String?) throws(ConnectionError) {
        self.domain = domain
        self.mode = mode
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        if mode == .direct { configuration.applicationProtocols = ["xmpp-client"] }
        // Whether the server answers the end of TLS says nothing any more; a shutdown must not wait for it.
        configuration.shutdownTimeout = .milliseconds(250)
        configuration.keyLogCallback = exporter.log
        do {
            if let caFile {
                configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(caFile))
            }
            context = try NIOSSLContext(configuration: configuration)
        } catch {
            throw .settings("cannot use the CA file \(caFile ?? ""): not a readable PEM certificate")
        }
    }

    func makeHandler() throws -> NIOSSLClientHandler {
        try NIOSSLClientHandler(context: context, serverHostname: domain)
    }

    /// Checks the dNSNames of the certificate that the handshake accepted, before anything is sent.
    func verify(_ certificate: NIOSSLCertificate?) throws(ConnectionError) -> ChannelBindings {
        guard let der = try? certificate?.toDERBytes(), let names = try? CertificateNames(der: der) else {
            throw .stream(.certificate("it cannot be read"))
        }
        guard names.cover(domain) else {
            let others = names.dnsNames.prefix(3).joined(separator: ", ")
            throw .stream(
                .certificate(
                    "it is for \(others.isEmpty ? "no domain" : others), not for \(domain)"))
        }
        return ChannelBindings(exporter: exporter.takeBinding(), serverEndPoint: names.endPoint)
    }

    func describe(_ error: any Error) -> ConnectionError {
        switch error {
        case let error as NIOSSLExtraError where error == .failedToValidateHostname:
            .stream(.certificate("it is not for \(domain)"))
        case let error as NIOSSLError where "\(error)".contains("CERTIFICATE_VERIFY_FAILED"):
            .stream(.certificate("it has expired, or its authority is not trusted here"))
        case NIOSSLError.uncleanShutdown: .closed
        case let error as IOError: .stream(.unreachable(String(cString: strerror(error.errnoCode))))
        default: .stream(.tls(Self.reason(in: "\(error)")))
        }
    }

    /// BoringSSL's error stacks carry file names and line numbers; only the reason helps anybody.
    private static func reason(in text: String) -> String {
        let words = text.split { !$0.isLetter && $0 != "_" }
        let reasons = words.filter { $0.contains("_") && $0.allSatisfy { $0.isUppercase || $0 == "_" } }
        return reasons.isEmpty ? text : reasons.joined(separator: " ").lowercased()
    }
}
