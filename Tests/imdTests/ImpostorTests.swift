// Another key in the name of a device that is known: refused, told, and nothing of it kept (threat row 21).
import IMCrypto
import LocalAPI
import OMEMO
import Store
import Testing
import XMPP

@testable import imd

struct ImpostorTests {
    @Test(arguments: ProtocolVersion.allCases)
    func `C21 a key exchange with another identity key is told and leaves the session alone`(
        _ version: ProtocolVersion
    ) async throws {
        let (alice, bob) = try await Party.talking(version)
        try await expectRefusal(of: alice, version, by: bob)
        try await bob.receive(try await alice.encrypt("still me", to: bob), from: alice.jid)
        #expect(try await bob.bodies() == ["one", "still me"])
        try await bob.meet(alice, versions: [version])
        try await alice.receive(try await bob.encrypt("I know", to: alice), from: bob.jid)
        #expect(try await alice.bodies() == ["I know"])
    }

    /// The device is on the list and its bundle was seen; nothing else binds it.
    @Test(arguments: ProtocolVersion.allCases)
    func `C21 nor can it be the first session with a device whose key is known`(
        _ version: ProtocolVersion
    ) async throws {
        let (alice, bob) = try await Party.friends(version)
        try await bob.meet(alice, versions: [version])
        try await bob.know(alice)
        try await expectRefusal(of: alice, version, by: bob)
        try await bob.receive(try await alice.encrypt("it is really me", to: bob), from: alice.jid)
        #expect(try await bob.bodies() == ["it is really me"])
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `C21 a bundle with another identity key is not stored, and the answer names the device`(
        _ version: ProtocolVersion
    ) async throws {
        let (bob, other) = (try await Party("bob@example.org"), try await Party("bob@example.org"))
        let (alice, mallory) = (try await Party("alice@example.org"), try await Party("m@evil.example"))
        try await alice.meet(bob, other, versions: [version])
        try await alice.know(bob)
        let outbound = alice.outbound([
            BundleKey(bob.address, version): try await mallory.bundle(version),
            BundleKey(other.address, version): try await other.bundle(version),
        ])
        let before = try await alice.rows(of: bob.address)
        let outcome = try await alice.accept("hello", to: bob.jid, outbound)
        guard case .enqueued(let delivery) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(delivery.devices.map(\.device) == [other.own.device])
        #expect(delivery.excluded.map(\.device) == [bob.own.device])
        #expect(delivery.excluded.map(\.reason) == ["key-changed"])
        #expect(try await alice.rows(of: bob.address) == before)
        let sent = try #require(try await alice.outbox().last).encryptedMessage(version)
        #expect(sent.keys.map(\.rid) == [other.own.device])
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `C21 where no other device is left such a bundle stops the message`(
        _ version: ProtocolVersion
    ) async throws {
        let (alice, bob) = try await Party.friends(version)
        let mallory = try await Party("m@evil.example")
        try await alice.know(bob)
        let outbound = alice.outbound([BundleKey(bob.address, version): try await mallory.bundle(version)])
        let change = try await alice.changes {
            guard case .noTrustedDevice(let excluded) = try await alice.accept("hi", to: bob.jid, outbound)
            else {
                Issue.record("it was not refused")
                return
            }
            #expect(excluded.map(\.reason) == ["key-changed"])
        }
        #expect(change.tables == ["message", "event", "sqlite_sequence"], "kept as a message that failed")
        #expect(change.gone.allSatisfy { $0.hasPrefix("sqlite_sequence") })
        _ = try await alice.encrypt("hello", to: bob)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `C21 such a bundle replaces no session`(_ version: ProtocolVersion) async throws {
        let (alice, bob) = try await Party.talking(version)
        let bundle = try await Party("m@evil.example").bundle(version)
        let key = BundleKey(bob.address, version)
        let change = try await alice.changes {
            let renewal = Renewal(own: alice.own, policies: alice.policies, now: Party.now)
            let isRenewed = try await alice.write { try renewal.renew(key, with: bundle, $0) }
            #expect(!isRenewed)
        }
        #expect(change.isEmpty)
        try await bob.receive(try await alice.encrypt("still the same", to: bob), from: alice.jid)
        #expect(try await bob.bodies().last == "still the same")
    }

    // MARK: Support

    /// Both events, and no row beside them: no key, no session, no pre-key is gone.
    private func expectRefusal(
        of alice: Party, _ version: ProtocolVersion, by bob: Party,
        at location: SourceLocation = #_sourceLocation
    ) async throws {
        var random = SystemRandomNumberGenerator()
        let bundle = try await bob.bundle(version)
        let forged = try bob.exchange(from: alice.address, by: .generate(using: &random), with: bundle)
        let change = try await bob.changes {
            let effects = try await bob.receive(forged, from: alice.jid)
            #expect(!effects.isBroken, "a person decides", sourceLocation: location)
            #expect(!effects.outboxGrew, sourceLocation: location)
        }
        change.expectOnly([.device, .undecryptable], in: alice.jid, at: location)
        let detail = try #require(try await bob.events(.device).last?.detail)
        #expect(detail.contains("key-changed"), sourceLocation: location)
        #expect(detail.contains(alice.own.identity.publicKey.fingerprint), sourceLocation: location)
    }
}

extension Party {
    /// All that is kept about a device and its sessions.
    func rows(of address: DeviceAddress) async throws -> Set<String> {
        let name = ", '\(address.jid)', \(address.device), "
        return try await dump().filter { $0.contains(name) }
    }

    /// Sends a text with these keys at hand.
    func accept(_ body: String, to chat: JID, _ outbound: Outbound) async throws -> Outbound.Outcome {
        let request = SendRequest(chat: chat, body: body, clientID: nil, plaintext: false)
        let outcome = try await write { try outbound.accept(request, mayEncrypt: true, $0).outcome }
        return try outcome ?? { throw Failure.notEncrypted }()
    }
}
