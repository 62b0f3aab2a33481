// Addresses: the RFC's examples, and those made to deceive (row D40).

import Foundation
import Testing

@testable import XMPP

@Suite struct JIDTests {
    /// RFC 7622 §3.5, table 1, and what each consists of.
    static let valid: [(String, String?, String, String?)] = [
        ("juliet@example.com", "juliet", "example.com", nil),
        ("juliet@example.com/foo", "juliet", "example.com", "foo"),
        ("juliet@example.com/foo bar", "juliet", "example.com", "foo bar"),
        ("juliet@example.com/foo@bar", "juliet", "example.com", "foo@bar"),
        ("foo\\20bar@example.com", "foo\\20bar", "example.com", nil),
        ("fussball@example.com", "fussball", "example.com", nil),
        ("fu\u{DF}ball@example.com", "fu\u{DF}ball", "example.com", nil),
        ("\u{3C0}@example.com", "\u{3C0}", "example.com", nil),
        ("\u{3A3}@example.com/foo", "\u{3C3}", "example.com", "foo"),
        ("\u{3C3}@example.com/foo", "\u{3C3}", "example.com", "foo"),
        ("\u{3C2}@example.com/foo", "\u{3C2}", "example.com", "foo"),
        ("king@example.com/\u{265A}", "king", "example.com", "\u{265A}"),
        ("example.com", nil, "example.com", nil),
        ("example.com/foobar", nil, "example.com", "foobar"),
        ("a.example.com/b@example.net", nil, "a.example.com", "b@example.net"),
        // Not in the table.
        ("example.com/b/c", nil, "example.com", "b/c"),
        ("Juliet@EXAMPLE.com./Balcony", "juliet", "example.com", "Balcony"),
        ("example.com.", nil, "example.com", nil),
        ("a@localhost", "a", "localhost", nil),
        ("a@192.0.2.7/x", "a", "192.0.2.7", "x"),
        ("a@[2001:DB8::1]/x", "a", "[2001:db8::1]", "x"),
        ("#room%irc.example.net@biboumi.example.org", "#room%irc.example.net", "biboumi.example.org", nil),
        ("J\u{FC}RGEN@M\u{DC}NCHEN.example", "j\u{FC}rgen", "m\u{FC}nchen.example", nil),
        ("ju\u{308}rgen@mu\u{308}nchen.example/u\u{308}", "j\u{FC}rgen", "m\u{FC}nchen.example", "\u{FC}"),
        ("\u{FF41}\u{FF22}@example.com", "ab", "example.com", nil),  // full width
        ("a@example.com/b\u{3000}c\u{A0}d", "a", "example.com", "b c d"),  // every space is one
        ("\u{5D0}\u{5D1}1@example.com", "\u{5D0}\u{5D1}1", "example.com", nil),
        ("a@example.com/\u{1F600}", "a", "example.com", "\u{1F600}"),
        // RFC 7622 lists this as wrong, but OpaqueString, which it prescribes, allows the space.
        ("juliet@example.com/ foo", "juliet", "example.com", " foo"),
    ]

    @Test(arguments: valid)
    func `a valid address has its parts`(
        _ text: String, localpart: String?, domainpart: String, resourcepart: String?
    ) throws {
        let jid = try JID(text)
        // Compared as bytes: Swift's equality takes composed and decomposed letters as the same.
        #expect(jid.localpart.map { Array($0.utf8) } == localpart.map { Array($0.utf8) })
        #expect(Array(jid.domainpart.utf8) == Array(domainpart.utf8))
        #expect(jid.resourcepart.map { Array($0.utf8) } == resourcepart.map { Array($0.utf8) })
        #expect(jid.isBare == (resourcepart == nil))
        #expect(jid.bare.description == (localpart.map { $0 + "@" } ?? "") + domainpart)
        #expect(jid.bare.isBare && jid.bare.bare == jid.bare && jid.domain.description == domainpart)
        #expect(try JID(jid.description) == jid)
        #expect(try jid.bare == JID(jid.bare.description))
        #expect(
            try JID(localpart: localpart, domainpart: domainpart, resourcepart: resourcepart) == jid)
    }

    static let invalid: [(String, JIDError)] = [
        // RFC 7622 §3.5, table 2.
        ("\"juliet\"@example.com", .forbidden("\"", .localpart)),
        ("foo bar@example.com", .forbidden(" ", .localpart)),
        ("@example.com/", .empty(.localpart)),
        ("henry\u{2163}@example.com", .forbidden("\u{2163}", .localpart)),
        ("\u{265A}@example.com", .forbidden("\u{265A}", .localpart)),
        ("juliet@", .empty(.domainpart)),
        ("/foobar", .empty(.domainpart)),
        // Empty parts.
        ("", .empty(.domainpart)),
        (".", .empty(.domainpart)),
        ("@", .empty(.domainpart)),
        ("@example.com", .empty(.localpart)),
        ("a@example.com/", .empty(.resourcepart)),
        ("a@/b", .empty(.domainpart)),
        // Forbidden in localparts.
        ("a&b@example.com", .forbidden("&", .localpart)),
        ("a'b@example.com", .forbidden("'", .localpart)),
        ("a:b@example.com", .forbidden(":", .localpart)),
        ("a<b@example.com", .forbidden("<", .localpart)),
        ("a>b@example.com", .forbidden(">", .localpart)),
        ("a\u{FF1A}b@example.com", .forbidden(":", .localpart)),  // full width, mapped
        ("a\u{0}b@example.com", .forbidden("\u{0}", .localpart)),
        ("a\u{7F}b@example.com", .forbidden("\u{7F}", .localpart)),
        ("a\u{AA}b@example.com", .forbidden("\u{AA}", .localpart)),
        ("\u{FB01}@example.com", .forbidden("\u{FB01}", .localpart)),
        // Domains.
        ("a@b@c", .forbidden("@", .domainpart)),
        ("a@exam ple.com", .forbidden(" ", .domainpart)),
        ("a@example..com", .notADomain),
        ("a@.example.com", .notADomain),
        ("a@example.com..", .notADomain),
        ("a@-example.com", .notADomain),
        ("a@example-.com", .notADomain),
        ("a@[::1", .notADomain),
        ("a@[::1%eth0]", .notADomain),
        ("a@[example.com]", .notADomain),
        ("a@[]", .notADomain),
        ("a@\u{2024}com", .forbidden("\u{2024}", .domainpart)),  // one dot leader
        ("a@example\u{3002}com", .forbidden("\u{3002}", .domainpart)),
        // Resources.
        ("a@example.com/b\u{9}", .forbidden("\u{9}", .resourcepart)),
        ("a@example.com/\u{1B}[2J", .forbidden("\u{1B}", .resourcepart)),
        ("a@example.com/\u{9B}2J", .forbidden("\u{9B}", .resourcepart)),
    ]

    @Test(arguments: invalid)
    func `D40 an invalid address names its fault`(_ text: String, _ fault: JIDError) {
        #expect(throws: fault) { try JID(text) }
    }

    /// Invisible, direction-changing, private, unassigned and old characters.
    static let deceptive: [UInt32] = [
        0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x180E, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2028, 0x2029,
        0x202A, 0x202B, 0x202C, 0x202D, 0x202E, 0x2060, 0x2061, 0x2066, 0x2067, 0x2068, 0x2069, 0x206F,
        0x3164, 0xE000, 0xF8FF, 0xFE0F, 0xFEFF, 0xFFA0, 0xFFF9, 0xFDD0, 0xFFFE, 0x1FFFF, 0xE0001, 0xE0041,
        0xF0000, 0x10FFFD, 0x378, 0x85, 0x1100, 0x0640,
    ]

    @Test(arguments: deceptive)
    func `D40 characters that deceive are refused in every part`(_ number: UInt32) throws {
        let scalar = try #require(Unicode.Scalar(number))
        for text in [
            "ad\(scalar)min@example.com", "admin@exam\(scalar)ple.com", "admin@example.com/ho\(scalar)me",
        ] {
            #expect(throws: JIDError.self) { try JID(text) }
        }
    }

    @Test func `D40 look-alike letters make another address`() throws {
        #expect(try JID("\u{430}dmin@example.com") != JID("admin@example.com"))
    }

    @Test func `D40 directions do not mix in one label`() {
        #expect(throws: JIDError.mixedDirections(.localpart)) { try JID("a\u{5D0}@example.com") }
        #expect(throws: JIDError.mixedDirections(.localpart)) { try JID("\u{5D0}a@example.com") }
        #expect(throws: JIDError.notADomain) { try JID("a@\u{5D0}a.com") }
        #expect(throws: Never.self) { try JID("a@\u{5D0}.com") }
    }

    @Test func `D40 each part takes 1023 bytes and no more`() throws {
        let label = String(repeating: "d", count: 1023)
        let eAcute = String(repeating: "\u{E9}", count: 511) + "a"
        for part in [label, eAcute] {
            let jid = try JID("\(part)@\(part)/\(part)")
            #expect(jid.description.utf8.count == 3 * 1023 + 2)
            #expect(jid.localpart == part && jid.domainpart == part && jid.resourcepart == part)
        }
        for part in [label + "d", eAcute + "a"] {
            #expect(throws: JIDError.tooLong(.localpart)) { try JID("\(part)@d") }
            #expect(throws: JIDError.tooLong(.domainpart)) { try JID("a@\(part)") }
            #expect(throws: JIDError.tooLong(.resourcepart)) { try JID("a@d/\(part)") }
        }
        // Half of it once composed.
        #expect(throws: Never.self) { try JID(String(repeating: "e\u{301}", count: 500) + "@d") }
    }

    @Test(arguments: 0..<300)
    func `what is normal stays as it is`(_ seed: Int) {
        var random = Seeded(seed)
        for _ in 0..<40 {
            guard let scalar = Unicode.Scalar(UInt32.random(in: 0x80...0x2FFFF, using: &random)),
                let jid = (try? JID("a\(scalar)b@x\(scalar)y/r\(scalar)")) ?? (try? JID("a@x/\(scalar)"))
            else { continue }
            #expect(
                (try? JID(jid.description))?.description.unicodeScalars.elementsEqual(
                    jid.description.unicodeScalars) == true, "U+\(String(scalar.value, radix: 16))")
        }
    }

    @Test func `an address is one string in JSON`() throws {
        let jid = try JID("a@b/c")
        #expect(String(decoding: try JSONEncoder().encode([jid.bare]), as: UTF8.self) == "[\"a@b\"]")
        #expect(try JSONDecoder().decode(JID.self, from: try JSONEncoder().encode(jid)) == jid)
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode(JID.self, from: Array("\"@\"".utf8).data)
        }
    }

    @Test func `D40 errors name the character by number`() {
        #expect(
            JIDError.forbidden("\u{202E}", .localpart).description
                == "the localpart contains the forbidden character U+202E")
        #expect(
            JIDError.forbidden(" ", .domainpart).description
                == "the domainpart contains the forbidden character U+0020")
    }
}

extension [UInt8] {
    fileprivate var data: Data { Data(self) }
}
