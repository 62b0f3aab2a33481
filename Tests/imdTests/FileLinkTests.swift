// Encrypted files by link (XEP-0454): imd has none, so such a link is a text like any other (threat row 34).
import LocalAPI
import OMEMO
import Testing
import XMPP

@testable import imd

struct FileLinkTests {
    static let key = String(repeating: "c0ffee42", count: 11)
    static let link = "aesgcm://files.example.org/a/b.jpg#\(key)"

    @Test(arguments: ProtocolVersion.allCases)
    func `C34 the key of a file stands in the message alone, here and there`(
        _ version: ProtocolVersion
    ) async throws {
        let (alice, bob) = try await Party.friends(version)
        let message = try await alice.encrypt(Self.link, to: bob)
        let effects = try await bob.receive(message, from: alice.jid)
        #expect(try await bob.bodies() == [Self.link])
        #expect(effects.replies.isEmpty, "nobody is asked for the file")
        for party in [alice, bob] {
            let holding = try await party.dump().filter { $0.contains(Self.key) }
            #expect(holding.map { String($0.prefix { $0 != ":" }) } == ["message"])
            for stanza in try await party.outbox() {
                let text = String(decoding: stanza.xml(), as: UTF8.self)
                #expect(!text.contains(Self.key) && !text.contains("files.example.org"))
            }
        }
    }
}
