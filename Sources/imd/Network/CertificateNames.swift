// What imd itself reads from the server's certificate: its DNS names and its hash for channel binding.
import Crypto
import SwiftASN1

/// NIOSSL accepts a certificate for the connected IP address and falls back to the common name;
/// XMPP wants the JID's domain among the dNSNames (RFC 7590 §3.4, RFC 6125 §6.4), so imd looks itself.
struct CertificateNames {
    /// The dNSName entries of subjectAltName, as they stand. Nothing else counts.
    let dnsNames: [String]
    /// tls-server-end-point (RFC 5929 §4.1): the certificate's hash, with SHA-256 in place of MD5 and SHA-1.
    let endPoint: [UInt8]

    init(der: [UInt8]) throws {
        let certificate = try Self.children(DER.parse(der))
        guard certificate.count == 3 else { throw ASN1Error.invalidASN1Object(reason: "not a certificate") }
        endPoint = try Self.hash(der, signatureAlgorithm: certificate[1])
        dnsNames = try Self.subjectAltNames(tbsCertificate: certificate[0])
    }

    /// Whether one of the names is `domain`, or a wildcard for its left-most label.
    func cover(_ domain: String) -> Bool {
        let wanted = domain.lowercased().split(separator: ".", omittingEmptySubsequences: false)
        return dnsNames.contains { name in
            let offered = name.lowercased().split(separator: ".", omittingEmptySubsequences: false)
            guard offered.count == wanted.count else { return false }
            guard offered.first == "*" else { return offered == wanted }
            return offered.count > 2 && offered.dropFirst() == wanted.dropFirst()
        }
    }

    private static func hash(_ der: [UInt8], signatureAlgorithm: ASN1Node) throws -> [UInt8] {
        guard let identifier = try children(signatureAlgorithm).first else {
            throw ASN1Error.invalidASN1Object(reason: "no signature algorithm")
        }
        // The second of these arcs is ECDSA's, the first RSA's; Ed25519 has no hash of its own (RFC 5929 leaves
        // it undefined, and servers use SHA-256).
        switch try ASN1ObjectIdentifier(derEncoded: identifier) {
        case [1, 2, 840, 113_549, 1, 1, 12], [1, 2, 840, 10045, 4, 3, 3]: return Array(SHA384.hash(data: der))
        case [1, 2, 840, 113_549, 1, 1, 13], [1, 2, 840, 10045, 4, 3, 4]: return Array(SHA512.hash(data: der))
        default: return Array(SHA256.hash(data: der))
        }
    }

    private static func subjectAltNames(tbsCertificate: ASN1Node) throws -> [String] {
        let extensionsTag = ASN1Identifier(tagWithNumber: 3, tagClass: .contextSpecific)
        guard let wrapper = try children(tbsCertificate).first(where: { $0.identifier == extensionsTag }),
            let extensions = try children(wrapper).first
        else { return [] }
        for entry in try children(extensions) {
            let fields = try children(entry)
            guard let first = fields.first, let last = fields.last,
                try ASN1ObjectIdentifier(derEncoded: first) == [2, 5, 29, 17]
            else { continue }
            let names = try children(DER.parse(ASN1OctetString(derEncoded: last).bytes))
            let dnsTag = ASN1Identifier(tagWithNumber: 2, tagClass: .contextSpecific)
            return names.compactMap { name in
                guard name.identifier == dnsTag, case .primitive(let bytes) = name.content else { return nil }
                return String(decoding: bytes, as: UTF8.self)
            }
        }
        return []
    }

    private static func children(_ node: ASN1Node) throws -> [ASN1Node] {
        guard case .constructed(let nodes) = node.content else {
            throw ASN1Error.invalidASN1Object(reason: "a primitive where a sequence belongs")
        }
        return Array(nodes)
    }
}
