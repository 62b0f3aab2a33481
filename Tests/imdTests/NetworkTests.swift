// Where to connect, whose certificate counts, what a login is bound to.
import Foundation
import NIOCore
import Testing
import XMPP

@testable import imd

struct EndpointTests {
    @Test func `both services are tried in one order of priority`() throws {
        let records = [
            record(20, 0, "c", .startTLS), record(5, 0, "a", .direct), record(10, 0, "b", .startTLS),
        ]
        #expect(order(records)?.map { $0.host } == ["a", "b", "c"])
        #expect(order(records)?.map { $0.tls } == [.direct, .startTLS, .startTLS])
    }

    @Test func `within a priority the chance is by weight`() throws {
        let records = [record(0, 90, "often", .direct), record(0, 10, "seldom", .direct)]
        var random = SystemRandomNumberGenerator()
        let first = (0..<1000).count { _ in
            EndpointSearch.order(records, using: &random)?.first?.host == "often"
        }
        // 900 expected; 800 is ten standard deviations away.
        #expect((800...980).contains(first))
    }

    @Test func `a root target says that the service is not there`() {
        #expect(order([record(0, 0, ".", .direct)]) == [])
        #expect(order([record(0, 0, ".", .direct), record(0, 0, "a", .startTLS)])?.map { $0.host } == ["a"])
    }

    @Test func `no records are not a refusal`() {
        #expect(order([]) == nil)
    }

    private func order(_ records: [ServiceRecord]) -> [Endpoint]? {
        var random = SystemRandomNumberGenerator()
        return EndpointSearch.order(records, using: &random)
    }

    private func record(
        _ priority: UInt16, _ weight: UInt16, _ target: String, _ tls: ClientStream.Configuration.TLS
    ) -> ServiceRecord {
        ServiceRecord(priority: priority, weight: weight, port: 5222, target: target, tls: tls)
    }
}

/// Threat row 18. The certificates are self-signed ones made with openssl.
struct CertificateTests {
    @Test(arguments: [
        ("example.org", true), ("EXAMPLE.org", true), ("a.chat.example.org", true),
        ("chat.example.org", false),
        ("a.b.chat.example.org", false), ("other.example", false), ("evil.org", false), ("127.0.0.1", false),
        ("", false),
    ])
    func `only dNSNames count, with one label of wildcard`(_ domain: String, _ isCovered: Bool) throws {
        #expect(try CertificateNames(der: der(named)).cover(domain) == isCovered)
    }

    @Test func `addresses, URIs and common names do not count`() throws {
        for certificate in [address, plain] {
            let names = try CertificateNames(der: der(certificate))
            #expect(names.dnsNames.isEmpty)
            #expect(!names.cover("example.org"))
        }
    }

    @Test func `the end point is hashed as the certificate was signed`() throws {
        // Expected values from `openssl dgst`.
        #expect(
            try hex(CertificateNames(der: der(named)).endPoint)
                == "fc50e3b93256e1a91d20d991ff624e665e837244def42c7228943faffe3e7f77")
        #expect(
            try hex(CertificateNames(der: der(address)).endPoint)
                == "23b58876b7c148409661d416ddd20206da8fb80084f1e80c7d055b80f9bf566d58e8ca5f41f3b1edd5cda5e299f1146b"
        )
        #expect(
            try hex(CertificateNames(der: der(plain)).endPoint).hasPrefix("c9b6a059fd069ba4e0638b67bbeb178c"))
    }

    @Test func `a damaged certificate is an error`() throws {
        let bytes = try der(named)
        for count in stride(from: 0, to: bytes.count, by: 7) {
            #expect(throws: (any Error).self) { try CertificateNames(der: Array(bytes.prefix(count))) }
        }
    }

    private func der(_ base64: String) throws -> [UInt8] { Array(try #require(Data(base64Encoded: base64))) }

    private let named = """
        MIIBuzCCAWKgAwIBAgIUIc2e1n/F35SWtTpaWXcwqEEm73EwCgYIKoZIzj0EAwIwGDEWMBQGA1UEAwwNb3RoZXIuZXhhbXBsZTAg\
        Fw0yNjExMjMwNzI0MzRaGA8yMTI2MTAzMDA3MjQzNFowGDEWMBQGA1UEAwwNb3RoZXIuZXhhbXBsZTBZMBMGByqGSM49AgEGCCqG\
        SM49AwEHA0IABEOuJ7/6fbiB3OTVR5RgxFY4A5G52RR3l4GRaWKTyjl5b9whZ1zTjTRp8HQYp4i/m1M486mbdVU/KIjLQmKWSB6j\
        gYcwgYQwHQYDVR0OBBYEFHVM6PNKDfh3WC4ceZ3t7Z5vDShxMB8GA1UdIwQYMBaAFHVM6PNKDfh3WC4ceZ3t7Z5vDShxMA8GA1Ud\
        EwEB/wQFMAMBAf8wMQYDVR0RBCowKIILZXhhbXBsZS5vcmeCEiouY2hhdC5leGFtcGxlLm9yZ4IFKi5vcmcwCgYIKoZIzj0EAwID\
        RwAwRAIgPyyPcOPEFkjnBtG7+tMEGHHW38c6T+SkNNod7691vYICIGRO/87Qej+niWsGcYSViAtJc28RdbJOjg93i/OJ4vOH
        """
    private let address = """
        MIIBpzCCAUygAwIBAgIUCaJlaz3xaHZmSjcKtLI8KrunsAQwCgYIKoZIzj0EAwMwFjEUMBIGA1UEAwwLZXhhbXBsZS5vcmcwIBcN\
        MjYxMTIzMDcyNDM0WhgPMjEyNjEwMzAwNzI0MzRaMBYxFDASBgNVBAMMC2V4YW1wbGUub3JnMFkwEwYHKoZIzj0CAQYIKoZIzj0D\
        AQcDQgAEVUqpEaD4Ym3GV1ZNCXNKmP+KxkxBF8SRPLxnCn+VjFyi+2kdlzZJN7qkk/TIYmu4bVZCZYffsiCAJmcQw+3IEKN2MHQw\
        HQYDVR0OBBYEFPTw13va6yKvA66d7/riFIzSH2iWMB8GA1UdIwQYMBaAFPTw13va6yKvA66d7/riFIzSH2iWMA8GA1UdEwEB/wQF\
        MAMBAf8wIQYDVR0RBBowGIcEfwAAAYYQeG1wcDpleGFtcGxlLm9yZzAKBggqhkjOPQQDAwNJADBGAiEAulN3IJeEM5ut2zkmnRIE\
        2E/dyFo3j5jDV+yQL418degCIQCxsKZ3byWo+o3NmZEamwZmwwzSpnnwJzYzn/jMRI7ZlA==
        """
    private let plain = """
        MIIBhDCCASmgAwIBAgIUfNRnPvgKqWCKv2bLcv3JjFK2D+0wCgYIKoZIzj0EAwQwFjEUMBIGA1UEAwwLZXhhbXBsZS5vcmcwIBcN\
        MjYxMTIzMDcyNDM0WhgPMjEyNjEwMzAwNzI0MzRaMBYxFDASBgNVBAMMC2V4YW1wbGUub3JnMFkwEwYHKoZIzj0CAQYIKoZIzj0D\
        AQcDQgAEgn1ECRNB2C8osxULvk/FedAr4aKw8v/FznJR8xvbcMzmGXjVGfIPBuKoIjNdz62GA0ij6P31H5UWu0qCGiMbIaNTMFEw\
        HQYDVR0OBBYEFJOqcR2gTQDdXO7u5ODvy1wjk+0wMB8GA1UdIwQYMBaAFJOqcR2gTQDdXO7u5ODvy1wjk+0wMA8GA1UdEwEB/wQF\
        MAMBAf8wCgYIKoZIzj0EAwQDSQAwRgIhAJJVA9UfajYfGAILmC+ZWUbi/FVk+C6fE06rdmaO/ll8AiEAmD6O7c0k4qeZOEKAksuH\
        V7u6b5yJ2jXPBMwYlrTIXpk=
        """
}

/// RFC 9266. Secrets and keying material as `openssl s_client -keylogfile -keymatexport` printed them.
struct TLSExporterTests {
    @Test(arguments: [
        (
            "2a2d2d5a1dc2c2335dbc324e7ad2b698abca81bfc1e8ad687768ef3cc201168c",
            "9904e55cf4057e62f13c332e144615b9da60745b3f9bdeaea5bd7e78f80c3566"
        ),
        (
            "e6d0177d1269d048a30774ce542f04d7d36b1b5f5e35f3b75b8aab2fada34986d4760e16b4b1e8cebb238a75e994778f",
            "3fedeb736811509bd47b30e0707d4a80ba6ece9105de218ab90e00a1e51af9a9"
        ),
    ])
    func `the binding is OpenSSL's`(_ secret: String, _ binding: String) throws {
        let exporter = TLSExporter()
        exporter.log(ByteBuffer(string: "EXPORTER_SECRET 00ff \(secret)"))
        #expect(exporter.takeBinding().map(hex) == binding)
        #expect(exporter.takeBinding() == nil)
    }

    @Test func `other secrets of the key log are not kept`() {
        let exporter = TLSExporter()
        let secret = String(repeating: "ab", count: 32)
        for label in ["CLIENT_RANDOM", "CLIENT_TRAFFIC_SECRET_0", "SERVER_HANDSHAKE_TRAFFIC_SECRET"] {
            exporter.log(ByteBuffer(string: "\(label) 00ff \(secret)"))
        }
        #expect(exporter.takeBinding() == nil)
    }
}

private func hex(_ bytes: [UInt8]) -> String {
    bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
}
