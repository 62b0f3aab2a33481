// SCRAM against the published examples, and against servers that cheat.

import IMCrypto
import Testing

@testable import XMPP

/// One published exchange of user `user` with password `pencil`.
struct SCRAMVector: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var hash: HashAlgorithm
    var nonce: String
    var binding = SCRAM.Binding.unsupported
    var clientFirst: String
    var serverFirst: String
    var clientFinal: String
    var serverFinal: String

    static let rfc5802 = SCRAMVector(
        testDescription: "RFC 5802 §5",
        hash: .sha1,
        nonce: "fyko+d2lbbFgONRv9qkxdawL",
        clientFirst: "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        serverFirst: "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        clientFinal:
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        serverFinal: "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")

    static let all = [
        rfc5802,
        SCRAMVector(
            testDescription: "RFC 7677 §3",
            hash: .sha256,
            nonce: "rOprNGfwEbeRWgbNEkqO",
            clientFirst: "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            serverFirst:
                "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            clientFinal:
                "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                + "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            serverFinal: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="),
        // No RFC has an example for these two: computed with Python's hashlib and hmac.
        SCRAMVector(
            testDescription: "SHA-512",
            hash: .sha512,
            nonce: "rOprNGfwEbeRWgbNEkqO",
            clientFirst: "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            serverFirst: "r=rOprNGfwEbeRWgbNEkqO02431b08-2f0c,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            clientFinal:
                "c=biws,r=rOprNGfwEbeRWgbNEkqO02431b08-2f0c,"
                + "p=VqrkGtvIlr9FZM+VhRP7kBGZaDWyj/YBIWx47a1DpO26dAJzvJqZIPbMImK96LkNucxOuGRHV/WOAGjI5lX2jw==",
            serverFinal:
                "v=xa+loThtZNCgEk4D+S3clzKkGzT+sorDOldaFvjup8F8vFNpWMSZP1P2P/iNGdKRjgz2v7kZBZz01S1dZWTxEg=="),
        SCRAMVector(
            testDescription: "SHA-256 with tls-exporter",
            hash: .sha256,
            nonce: "rOprNGfwEbeRWgbNEkqO",
            binding: .bound(.tlsExporter, Bytes(0..<32)),
            clientFirst: "p=tls-exporter,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            serverFirst:
                "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            clientFinal:
                "c=cD10bHMtZXhwb3J0ZXIsLAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f,"
                + "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                + "p=QC6CS20quADQRb3mT99YUH+n3VJxUvzuK0K0E1Vrs2M=",
            serverFinal: "v=2GiAgapEppLVlUXbxUDksL3VgYHzuqiK5tR4mhJGgvs="),
    ]
}

@Suite struct SCRAMTests {
    private static func exchange(
        _ nonce: String = SCRAMVector.rfc5802.nonce, username: String = "user", offer: SCRAM.Offer? = nil
    ) throws -> SCRAM {
        try SCRAM(
            .sha1, username: username, password: SecretBytes("pencil".utf8), nonce: nonce,
            binding: .unsupported,
            offer: offer)
    }

    @Test(arguments: SCRAMVector.all)
    func `an exchange matches the published messages`(_ vector: SCRAMVector) throws {
        var scram = try SCRAM(
            vector.hash, username: "user", password: SecretBytes("pencil".utf8), nonce: vector.nonce,
            binding: vector.binding)
        #expect(scram.clientFirst == Bytes(vector.clientFirst.utf8))
        #expect(try scram.received(Bytes(vector.serverFirst.utf8)) == Bytes(vector.clientFinal.utf8))
        #expect(!scram.isVerified)
        #expect(try scram.received(Bytes(vector.serverFinal.utf8)) == [])
        #expect(scram.isVerified)
    }

    @Test(arguments: [
        "r=fyko+d2lbbFgONRv9qkxdawL",  // not extended
        "r=fyko+d2lbbFgONRv9qkxdawM3rfc", "r=3rfcfyko+d2lbbFgONRv9qkxdawL", "r=",
        "r=fyko+d2lbbFgONRv9qkxdawL\u{7}",
        "r=fyko+d2lbbFgONRv9qkxdawLé",
    ])
    func `the server's nonce must extend ours`(_ nonce: String) throws {
        var scram = try Self.exchange()
        #expect(throws: StreamFailure.nonce) {
            try scram.received(Bytes("\(nonce),s=QSXCR+Q6sek8bf92,i=4096".utf8))
        }
    }

    @Test(arguments: [
        ("1", 1), ("4095", 4095), ("500001", 500_001), ("1000000000", 1_000_000_000),
        ("99999999999999999999999", Int.max),
    ])
    func `iterations must be neither few nor endless`(_ digits: String, _ count: Int) throws {
        var scram = try Self.exchange()
        #expect(throws: StreamFailure.iterationCount(count)) {
            try scram.received(Bytes("r=fyko+d2lbbFgONRv9qkxdawL3rfc,s=QSXCR+Q6sek8bf92,i=\(digits)".utf8))
        }
    }

    @Test func `500000 iterations are still accepted`() throws {
        var scram = try Self.exchange()
        _ = try scram.received(Bytes("r=fyko+d2lbbFgONRv9qkxdawL3rfc,s=QSXCR+Q6sek8bf92,i=500000".utf8))
    }

    @Test(arguments: [
        "", ",", "r", "hello", "r=fyko+d2lbbFgONRv9qkxdawL3rfc", "s=QSXCR+Q6sek8bf92,i=4096",
        "i=4096,s=QSXCR+Q6sek8bf92,r=fyko+d2lbbFgONRv9qkxdawL3rfc",
        "r=fyko+d2lbbFgONRv9qkxdawL3rfc,s=,i=4096", "r=fyko+d2lbbFgONRv9qkxdawL3rfc,s=QSX,i=4096",
        "r=fyko+d2lbbFgONRv9qkxdawL3rfc,s=QSXCR Q6sek8bf92,i=4096",
        "r=fyko+d2lbbFgONRv9qkxdawL3rfc,s=QSXCR+Q6sek8bf93=,i=4096",
        "r=fyko+d2lbbFgONRv9qkxdawL3rfc,s=QSXCR+Q6sek8bf92,i=",
        "r=fyko+d2lbbFgONRv9qkxdawL3rfc,s=QSXCR+Q6sek8bf92,i=-4096",
        "r=fyko+d2lbbFgONRv9qkxdawL3rfc,s=QSXCR+Q6sek8bf92,i=04096",
        "r=fyko+d2lbbFgONRv9qkxdawL3rfc,s=QSXCR+Q6sek8bf92,i=4096,",
        "r=fyko+d2lbbFgONRv9qkxdawL3rfc,s=QSXCR+Q6sek8bf92,i=4096,1=x",
        "r=fyko+d2lbbFgONRv9qkxdawL3rfc,s=QSXCR+Q6sek8bf92,i=4096,x",
        "m=ext,r=fyko+d2lbbFgONRv9qkxdawL3rfc,s=QSXCR+Q6sek8bf92,i=4096",
        "r=fyko+d2lbbFgONRv9qkxdawL3rfc,s=QSXCR+Q6sek8bf92,i=4096,m=ext",
    ])
    func `a malformed first message is refused`(_ message: String) throws {
        var scram = try Self.exchange()
        let error = #expect(throws: StreamFailure.self) { try scram.received(Bytes(message.utf8)) }
        guard case .scram? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func `an enormous message is refused unread`() throws {
        var scram = try Self.exchange()
        #expect(throws: StreamFailure.scram("too long")) {
            try scram.received(Bytes(repeating: 0x61, count: SCRAM.maxMessage + 1))
        }
    }

    @Test func `unknown optional attributes are ignored`() throws {
        var scram = try Self.exchange()
        _ = try scram.received(
            Bytes("r=fyko+d2lbbFgONRv9qkxdawL3rfc,s=QSXCR+Q6sek8bf92,i=4096,d=abc,t=0304".utf8))
    }

    @Test(arguments: [
        "", "v=", "v=AAAA", "v=rmF9pqV8S7suAoZWja4dJRkFsKR=", "v=smF9pqV8S7suAoZWja4dJRkFsKQ=",
        "v=rmF9pqV8S7suAoZWja4dJRkFsA==", "x=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ])
    func `the server must prove that it knows the password`(_ message: String) throws {
        var scram = try Self.exchange()
        _ = try scram.received(Bytes(SCRAMVector.rfc5802.serverFirst.utf8))
        #expect(throws: StreamFailure.self) { try scram.received(Bytes(message.utf8)) }
        #expect(!scram.isVerified)
    }

    @Test func `the server's own error is passed on`() throws {
        var scram = try Self.exchange()
        _ = try scram.received(Bytes(SCRAMVector.rfc5802.serverFirst.utf8))
        #expect(throws: StreamFailure.authentication(condition: "invalid-proof", text: nil)) {
            try scram.received(Bytes("e=invalid-proof".utf8))
        }
    }

    @Test func `nothing follows the server's proof`() throws {
        var scram = try Self.exchange()
        _ = try scram.received(Bytes(SCRAMVector.rfc5802.serverFirst.utf8))
        _ = try scram.received(Bytes(SCRAMVector.rfc5802.serverFinal.utf8))
        #expect(throws: StreamFailure.self) {
            try scram.received(Bytes(SCRAMVector.rfc5802.serverFinal.utf8))
        }
    }

    @Test func `comma and equals sign are escaped in the user name`() throws {
        let scram = try Self.exchange(username: "a,b=c")
        #expect(scram.clientFirst == Bytes("n,,n=a=2Cb=3Dc,r=fyko+d2lbbFgONRv9qkxdawL".utf8))
    }

    @Test(arguments: ["", "\u{7}", "a\u{0}", "\u{E000}"])
    func `what SASLprep prohibits is not sent`(_ text: String) {
        #expect(throws: StreamFailure.unusableCredentials("user name")) {
            try SCRAM(
                .sha1, username: text, password: SecretBytes([0x61]), nonce: "abc", binding: .unsupported)
        }
        #expect(throws: StreamFailure.unusableCredentials("password")) {
            try SCRAM(
                .sha1, username: "user", password: SecretBytes(text.utf8), nonce: "abc", binding: .unsupported
            )
        }
    }

    @Test func `a password that is not UTF-8 is refused`() {
        #expect(throws: StreamFailure.unusableCredentials("password")) {
            try SCRAM(
                .sha1, username: "user", password: SecretBytes([0xFF, 0xFE]), nonce: "abc",
                binding: .unsupported)
        }
    }

    // MARK: Downgrade protection (XEP-0474 §5.3, its example)

    private static let offered = SCRAM.Offer(
        mechanisms: ["SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"], bindings: ["tls-server-end-point", "tls-exporter"])
    private static let hashed = """
        r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6,\
        s=QSXCR+Q6sek8bf92,i=4096,h=G6k/rBLDqgOhRRaCuuatSDFkJ08=
        """

    @Test func `the server's hash of its offer is recognised`() throws {
        var scram = try Self.exchange("12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6", offer: Self.offered)
        _ = try scram.received(Bytes(Self.hashed.utf8))
    }

    @Test(arguments: [
        SCRAM.Offer(mechanisms: ["SCRAM-SHA-1"], bindings: ["tls-server-end-point", "tls-exporter"]),
        SCRAM.Offer(mechanisms: ["SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"], bindings: ["tls-server-end-point"]),
        SCRAM.Offer(mechanisms: ["SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"], bindings: nil),
    ])
    func `an offer that was changed on the way is noticed`(_ offer: SCRAM.Offer) throws {
        var scram = try Self.exchange("12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6", offer: offer)
        #expect(throws: StreamFailure.tamperedMechanisms) { try scram.received(Bytes(Self.hashed.utf8)) }
    }
}
