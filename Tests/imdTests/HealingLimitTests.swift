// Nothing that cannot be read starts a session by itself, and a lost one is replaced with measure (threat row 31).
import IMCrypto
import LocalAPI
import OMEMO
import Store
import Testing
import XMPP

@testable import imd

struct HealingLimitTests {
    /// What a thousand unreadable messages are.
    enum Garbage: CaseIterable {
        /// Key exchanges that do not verify.
        case exchanges
        /// Of a session that this device does not have.
        case strayMessages
        /// Forged ones of a session that it has.
        case forgedMessages
    }

    @Test(arguments: ProtocolVersion.allCases, Garbage.allCases)
    func `C31 a thousand undecryptable messages are a thousand events and no session`(
        _ version: ProtocolVersion, _ garbage: Garbage
    ) async throws {
        let (alice, bob) = try await pair(version, garbage)
        let message = try await alice.encrypt("hello", to: bob)
        let encrypted = try message.encryptedMessage(version)
        let forged = garbage == .strayMessages ? [encrypted] : try encrypted.flipping(.ratchetMAC)
        let work = (0..<1000).map { number in
            var stanza = message.carrying(forged[number % forged.count])
            stanza["id"] = "garbage \(number)"
            stanza["from"] = alice.jid.description
            return Work.stanza(stanza)
        }
        let broken = BrokenSession(alice.address, version)
        let change = try await bob.changes {
            let effects = try await bob.take(work)
            #expect(!effects.outboxGrew)
            #expect(!effects.bundleChanged)
        }
        let events = Array(repeating: EventType.undecryptable, count: 1000)
        change.expectOnly(events, in: alice.jid, broken: broken)
        #expect(try await bob.broken() == [broken], "one session, to be replaced once")
        if garbage != .forgedMessages { #expect(try await bob.sessions().isEmpty) }
    }

    /// The session is of a device that is not to be healed, so that no stream is needed to settle it.
    @Test func `C31 nothing is decided about a broken session before the archive has been read`()
        async throws
    {
        let bob = try await Party("bob@example.org")
        let stranger = DeviceAddress(jid: try JID("m@evil.example"), device: 1)
        try await bob.breaks([BrokenSession(stranger, .legacy)])
        let account = try await bob.account()
        await account.stand(isRead: false)
        let change = try await bob.changes { await account.heal() }
        #expect(change.isEmpty)
        await account.stand(isRead: true)
        await account.heal()
        #expect(try await bob.broken().isEmpty)
    }

    /// There is no stream here to fetch a bundle over.
    @Test func `C31 a try that the connection cut off is none`() async throws {
        let (alice, bob) = try await listed()
        try await bob.breaks([BrokenSession(alice.address, .legacy)])
        let account = try await bob.account()
        await account.stand(isRead: true)
        let change = try await bob.changes { await account.heal() }
        #expect(change.isEmpty)
    }

    @Test func `C31 a session is replaced at most once a day`() async throws {
        let (alice, bob) = try await listed()
        let session = BrokenSession(alice.address, .legacy)
        #expect(try await bob.due([session]) == [session], "for the first time")
        try await bob.write { [own = bob.own] in
            try $0.noteHealed(account: own.account, alice.address, at: Party.now)
        }
        let day: Int64 = 24 * 3_600_000
        for age in [0, 1, day / 2, day - 1] {
            #expect(try await bob.due([session], at: Party.now + age).isEmpty, "\(age)")
        }
        #expect(try await bob.due([session], at: Party.now + day) == [session])
        #expect(try await bob.due([session], at: Party.now - day) == [session], "the clock was ahead")
    }

    /// Both break together where its owner restored a backup.
    @Test func `C31 of a device with both versions one session is replaced`() async throws {
        let (alice, bob) = try await listed(ProtocolVersion.allCases)
        let sessions = ProtocolVersion.allCases.map { BrokenSession(alice.address, $0) }
        let due = try await bob.due(sessions)
        #expect(due.count == 1)
    }

    @Test func `C31 a device that is unknown, not listed or refused is not healed`() async throws {
        let (alice, bob) = try await listed()
        let mallory = try await Party("m@evil.example")
        #expect(try await bob.due([BrokenSession(mallory.address, .legacy)]).isEmpty)
        #expect(try await bob.due([BrokenSession(alice.address, .omemo2)]).isEmpty, "not in that version")
        #expect(try await bob.due([BrokenSession(bob.address, .legacy)]).isEmpty, "it is ourselves")
        try await bob.refuse(alice)
        #expect(try await bob.due([BrokenSession(alice.address, .legacy)]).isEmpty)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `C31 a refused device gets no new session, and nothing of its bundle is kept`(
        _ version: ProtocolVersion
    ) async throws {
        let (alice, bob) = try await listed([version])
        try await bob.refuse(alice)
        let bundle = try await alice.bundle(version)
        let change = try await bob.changes {
            let isRenewed = try await bob.renews(BundleKey(alice.address, version), with: bundle)
            #expect(!isRenewed)
        }
        #expect(change.isEmpty)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `C31 what was on its way when a session was replaced is still read`(
        _ version: ProtocolVersion
    ) async throws {
        let (alice, bob) = try await Party.talking(version)
        try await bob.meet(alice, versions: [version])
        let late = try await alice.encrypt("on its way", to: bob)
        let bundle = try await alice.bundle(version)
        #expect(try await bob.renews(BundleKey(alice.address, version), with: bundle))
        try await bob.receive(late, from: alice.jid)
        #expect(try await bob.bodies().last == "on its way")
    }

    // MARK: Support

    private func pair(
        _ version: ProtocolVersion, _ garbage: Garbage
    ) async throws -> (Party, Party) {
        if garbage == .exchanges { return try await Party.friends(version) }
        let (alice, bob) = try await Party.talking(version)
        if garbage == .strayMessages {
            try await bob.write { [own = bob.own] in
                try $0.removeSessions(account: own.account, alice.address)
            }
        }
        return (alice, bob)
    }

    /// The second knows the first's device from its list, and its key.
    private func listed(_ versions: [ProtocolVersion] = [.legacy]) async throws -> (Party, Party) {
        let (alice, bob) = (try await Party("alice@example.org"), try await Party("bob@example.org"))
        try await bob.meet(alice, versions: versions)
        try await bob.know(alice)
        return (alice, bob)
    }
}

extension Account {
    /// As if it were online.
    fileprivate func stand(isRead: Bool) {
        phase = .online
        archive = ArchiveReading(isDone: isRead)
    }
}

extension Party {
    /// Something in these sessions could not be read.
    fileprivate func breaks(_ sessions: [BrokenSession]) async throws {
        try await write { [own] tx in
            for session in sessions { try tx.noteBroken(session, account: own.account) }
        }
    }

    fileprivate func broken() async throws -> [BrokenSession] {
        try await write { [own] in try $0.brokenSessions(account: own.account) }
    }

    /// Those of the broken sessions that are replaced at a time, one after the other.
    fileprivate func due(_ sessions: [BrokenSession], at now: Int64 = now) async throws -> [BrokenSession] {
        struct Undone: Error {}
        return try await write { [own] tx in
            var due: [BrokenSession] = []
            try? tx.savepoint {
                for session in sessions where try tx.mayHeal(session, own: own, now: now) {
                    try tx.noteHealed(account: own.account, session.address, at: now)
                    due.append(session)
                }
                throw Undone()
            }
            return due
        }
    }

    fileprivate func refuse(_ other: Party) async throws {
        let address = other.address
        try await write { [own] in
            _ = try $0.setTrust(
                .distrusted, account: own.account, address, source: .person, now: Self.now)
        }
    }

    fileprivate func renews(_ key: BundleKey, with bundle: OMEMO.Bundle) async throws -> Bool {
        let renewal = Renewal(own: own, policies: policies, now: Self.now)
        return try await write { try renewal.renew(key, with: bundle, $0) }
    }

    fileprivate func sessions() async throws -> Set<String> {
        try await dump().filter { $0.hasPrefix("session: ") }
    }
}
