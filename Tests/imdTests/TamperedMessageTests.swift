// What does not verify changes nothing: the whole database before and after (threat rows 20 and 27).
import IMCrypto
import OMEMO
import Store
import Testing
import XMPP

@testable import imd

struct TamperedMessageTests {
    @Test(arguments: ProtocolVersion.allCases, [false, true])
    func `C27 a flipped bit changes no row, but that an event tells of it`(
        _ version: ProtocolVersion, _ isEstablished: Bool
    ) async throws {
        let (alice, bob) = try await pair(version, isEstablished)
        let broken = BrokenSession(alice.address, version)
        let genuine = try await alice.encrypt("hello", to: bob)
        let message = try genuine.encryptedMessage(version)
        #expect(message.keys.map(\.isKeyExchange) == [!isEstablished])
        for part in MessagePart.allCases {
            let forgeries = try message.flipping(part)
            #expect(forgeries.isEmpty == (part == .nonce && version == .omemo2))
            for forged in forgeries {
                let change = try await bob.changes {
                    try await bob.receive(genuine.carrying(forged), from: alice.jid)
                }
                change.expectOnly([.undecryptable], in: alice.jid, broken: broken, "\(part)")
            }
        }
        try await expectRead(genuine, "hello", by: bob, from: alice)
    }

    /// Here the ratchet message verifies, so only the payload's own check is left.
    @Test(arguments: ProtocolVersion.allCases, [false, true])
    func `C27 a tag that does not fit moves no ratchet`(
        _ version: ProtocolVersion, _ isEstablished: Bool
    ) async throws {
        let (alice, bob) = try await pair(version, isEstablished)
        let broken = BrokenSession(alice.address, version)
        var random = SystemRandomNumberGenerator()
        let sealed = try Payload.seal(alice.content("hello", version, to: bob), version, using: &random)
        let tag = sealed.secret.count - 16..<sealed.secret.count
        for place in tag {
            let forged = try await alice.seal(
                sealed.secret.flipping(place), iv: sealed.iv, sealed.ciphertext, version, to: bob)
            let change = try await bob.changes { try await bob.receive(forged, from: alice.jid) }
            change.expectOnly([.undecryptable], in: alice.jid, broken: broken, "byte \(place)")
        }
        let genuine = try await alice.seal(
            sealed.secret, iv: sealed.iv, sealed.ciphertext, version, to: bob)
        try await expectRead(genuine, "hello", by: bob, from: alice)
    }

    /// Who else could read such a message could put another text under the same key.
    @Test(arguments: ProtocolVersion.allCases, [false, true])
    func `C20 a key alone in the ratchet is refused, though its tag is in the payload`(
        _ version: ProtocolVersion, _ isEstablished: Bool
    ) async throws {
        let (alice, bob) = try await pair(version, isEstablished)
        let broken = BrokenSession(alice.address, version)
        var random = SystemRandomNumberGenerator()
        let sealed = try Payload.seal(alice.content("hello", version, to: bob), version, using: &random)
        let (key, tag) = (SecretBytes(sealed.secret.bytes.dropLast(16)), sealed.secret.bytes.suffix(16))
        #expect(key.count == (version == .legacy ? 16 : 32))
        for payload in [sealed.ciphertext + tag, sealed.ciphertext] {
            let old = try await alice.seal(key, iv: sealed.iv, payload, version, to: bob)
            let change = try await bob.changes { try await bob.receive(old, from: alice.jid) }
            change.expectOnly([.undecryptable], in: alice.jid, broken: broken)
        }
        let today = try await alice.seal(
            sealed.secret, iv: sealed.iv, sealed.ciphertext, version, to: bob)
        try await expectRead(today, "hello", by: bob, from: alice)
    }

    /// How far the archive has been read does not hang on what could be read of it.
    @Test(arguments: ProtocolVersion.allCases)
    func `C27 out of the archive it moves the position, and no ratchet`(
        _ version: ProtocolVersion
    ) async throws {
        let (alice, bob) = try await Party.talking(version)
        let genuine = try await alice.encrypt("hello", to: bob)
        let forged = try #require(genuine.encryptedMessage(version).flipping(.payload).first)
        let change = try await bob.changes {
            try await bob.read((id: "7", stanza: genuine.carrying(forged), from: alice.jid))
        }
        #expect(change.tables == ["account", "event", "sqlite_sequence", "brokenSession"])
        #expect(try await bob.position == "7")
        try await expectRead(genuine, "hello", by: bob, from: alice)
    }

    // MARK: Support

    private func pair(_ version: ProtocolVersion, _ isEstablished: Bool) async throws -> (Party, Party) {
        try await isEstablished ? Party.talking(version) : Party.friends(version)
    }

    /// That the genuine message still opens, and that a dump shows what opening does.
    private func expectRead(
        _ stanza: Element, _ body: String, by bob: Party, from alice: Party,
        at location: SourceLocation = #_sourceLocation
    ) async throws {
        let change = try await bob.changes { try await bob.receive(stanza, from: alice.jid) }
        #expect(change.tables.isSuperset(of: ["session", "message", "event"]), sourceLocation: location)
        #expect(try await bob.bodies().last == body, sourceLocation: location)
    }
}
