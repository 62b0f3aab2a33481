// Our own keys over time: what was made with an older bundle, and how the bundle stays full (XEP-0384 §5.3.2).
import IMCrypto
import OMEMO
import Store
import Testing
import XMPP

@testable import imd

struct KeyRotationTests {
    @Test(arguments: ProtocolVersion.allCases)
    func `a key exchange made before the last rotation is read, one made two rotations ago is refused`(
        _ version: ProtocolVersion
    ) async throws {
        let bob = try await Party("bob@example.org")
        let old = try await bob.bundle(version)
        let senders = [try await Party("alice@example.org"), try await Party("carol@example.org")]
        var messages: [Element] = []
        for (index, sender) in senders.enumerated() {
            try await sender.meet(bob, versions: [version])
            // Each its own one-time key, so that nothing but the signed one can be missing.
            let bundle = try old.keeping(preKey: index)
            messages.append(try await sender.encrypt("hello", to: bob, with: bundle))
        }
        let once = try await bob.rotate(weeks: 1, version)
        #expect(once.signedPreKeyID != old.signedPreKeyID)
        try await bob.receive(messages[0], from: senders[0].jid)
        #expect(try await bob.bodies() == ["hello"])

        let twice = try await bob.rotate(weeks: 2, version)
        #expect(Set([old, once, twice].map(\.signedPreKeyID)).count == 3)
        #expect(twice.preKeys.contains { $0.id == old.preKeys[1].id }, "the one-time key is still there")
        let change = try await bob.changes { try await bob.receive(messages[1], from: senders[1].jid) }
        change.expectOnly([.undecryptable], in: senders[1].jid)
    }

    @Test func `the signed pre-key lasts a week`() async throws {
        let bob = try await Party("bob@example.org")
        let first = try await bob.bundle()
        let week = OwnDevice.signedPreKeyPeriod
        #expect((7...31).contains(week / (24 * 3_600_000)), "XEP-0384: once a week to once a month")
        #expect(try await bob.bundle(at: Party.now + week - 1).signedPreKeyID == first.signedPreKeyID)
        let next = try await bob.bundle(at: Party.now + week)
        #expect(next.signedPreKeyID > first.signedPreKeyID)
        #expect(next.signedPreKey != first.signedPreKey)
        #expect(next.preKeys == first.preKeys)
    }

    /// Each sender finds the newest key, so that the highest ids are among the spent ones.
    @Test(arguments: ProtocolVersion.allCases)
    func `pre-keys are filled up to 100 and no id is given twice`(_ version: ProtocolVersion) async throws {
        let bob = try await Party("bob@example.org")
        var published = try await bob.bundle(version)
        var given = Dictionary(uniqueKeysWithValues: published.preKeys.map { ($0.id, $0.key) })
        var spent: Set<UInt32> = []
        for number in 0..<20 {
            let sender = try JID("sender\(number)@example.org")
            let last = try #require(published.preKeys.indices.last)
            let message = try bob.firstMessage(from: sender, with: published.keeping(preKey: last))
            try await bob.receive(message, from: sender)
            spent.insert(published.preKeys[last].id)
            published = try await bob.bundle(version)
            #expect(published.preKeys.count == 100)
            #expect(spent.isDisjoint(with: published.preKeys.map(\.id)))
            for preKey in published.preKeys { #expect(given[preKey.id, default: preKey.key] == preKey.key) }
            given.merge(published.preKeys.map { ($0.id, $0.key) }) { old, _ in old }
        }
        #expect(try await bob.bodies().count == 20)
        #expect(given.count == 120)
    }

    @Test func `pre-keys that were lost are made up for under new ids`() async throws {
        let bob = try await Party("bob@example.org")
        _ = try await bob.bundle()
        try await bob.write { [own = bob.own] tx in
            for id in UInt32(51)...100 { try tx.removePreKey(id, account: own.account) }
        }
        #expect(try await bob.bundle().preKeys.map(\.id) == Array(1...50) + Array(101...150))
    }

    @Test func `what was used while the archive was read is made up for at once and goes afterwards`()
        async throws
    {
        let bob = try await Party("bob@example.org")
        let bundle = try await bob.bundle()
        for number in 0..<5 {
            let sender = try JID("sender\(number)@example.org")
            let message = try bob.firstMessage(from: sender, with: bundle.keeping(preKey: number))
            try await bob.read((id: "\(number)", stanza: message, from: sender))
        }
        let used = Set(bundle.preKeys.prefix(5).map(\.id))
        let published = try await bob.bundle().preKeys.map(\.id)
        #expect(published.count == 100)
        #expect(used.isDisjoint(with: published))
        let gone = try await bob.write { [own = bob.own] in try $0.removeUsedPreKeys(account: own.account) }
        #expect(gone == 5)
        #expect(try await bob.bundle().preKeys.map(\.id) == published)
    }
}

extension OMEMO.Bundle {
    /// As it is read, with one one-time key alone: the sender has no choice.
    fileprivate func keeping(preKey index: Int) throws -> OMEMO.Bundle {
        var element = element
        element.nodes = element.nodes.map { node in
            guard case .element(var child) = node, child.name == "prekeys" else { return node }
            child.nodes = [.element(child.children[index])]
            return .element(child)
        }
        return try OMEMO.Bundle(element, version)
    }
}

extension Party {
    /// What is published at a time.
    fileprivate func bundle(
        _ version: ProtocolVersion = .legacy, at now: Int64
    ) async throws -> OMEMO.Bundle {
        let bundles = try await write { [own] in try $0.currentBundles(of: own, now: now) }
        return try bundles.first { $0.version == version } ?? { throw Failure.notEncrypted }()
    }

    /// What is published some weeks and a day later. Not to be followed by the bundle of today: for that clock the new
    /// key is from the future.
    fileprivate func rotate(weeks: Int64, _ version: ProtocolVersion) async throws -> OMEMO.Bundle {
        try await bundle(version, at: Self.now + weeks * OwnDevice.signedPreKeyPeriod + 24 * 3_600_000)
    }

    fileprivate func firstMessage(from sender: JID, with bundle: OMEMO.Bundle) throws -> Element {
        var random = SystemRandomNumberGenerator()
        return try exchange(
            from: DeviceAddress(jid: sender, device: 1), by: .generate(using: &random), with: bundle)
    }
}
