// Devices that nobody seems to read any more: long silent and much written to, both, and never the last one.
import IMCrypto
import LocalAPI
import OMEMO
import Store
import Testing
import XMPP

@testable import imd

struct StaleDeviceTests {
    private static let day: Int64 = 24 * 3_600_000
    /// Silent for longer than this, and …
    private static let silence = 90 * day
    /// … so many messages without an answer.
    private static let unanswered: UInt32 = 2000

    @Test(arguments: ProtocolVersion.allCases)
    func `a stale device gets nothing, is named, and gets messages again once it writes`(
        _ version: ProtocolVersion
    ) async throws {
        let (alice, phone, laptop) = try await three(version)
        try await alice.leaveUnanswered(Self.unanswered, by: phone, version)
        let later = Party.now + Self.silence + 1
        let first = try await alice.deliver("hello", to: phone.jid, at: later)
        #expect(first.devices.map(\.device) == [laptop.own.device])
        #expect(first.excluded.map(\.device) == [phone.own.device])
        #expect(first.excluded.map(\.reason) == ["stale"])
        let sent = try #require(try await alice.outbox().last).encryptedMessage(version)
        #expect(sent.keys.map(\.rid) == [laptop.own.device])

        try await phone.meet(alice, versions: [version])
        try await alice.receive(try await phone.encrypt("found it", to: alice), from: phone.jid, at: later)
        let second = try await alice.deliver("again", to: phone.jid, at: later)
        #expect(Set(second.devices.map(\.device)) == [phone.own.device, laptop.own.device])
        #expect(second.excluded.isEmpty)
        try await phone.receive(try #require(try await alice.outbox().last), from: alice.jid)
        #expect(try await phone.bodies().last == "again")
    }

    static let notBoth: [(unanswered: UInt32, silence: Int64)] = [
        (unanswered, silence), (unanswered - 1, silence + 1), (unanswered + 500, day), (1, 10 * silence),
    ]

    @Test(arguments: notBoth)
    func `neither silence nor messages alone make a device stale`(
        _ unanswered: UInt32, _ silence: Int64
    ) async throws {
        let (alice, phone, laptop) = try await three(.legacy)
        try await alice.leaveUnanswered(unanswered, by: phone, .legacy)
        let delivery = try await alice.deliver("hello", to: phone.jid, at: Party.now + silence)
        #expect(Set(delivery.devices.map(\.device)) == [phone.own.device, laptop.own.device])
        #expect(delivery.excluded.isEmpty)
    }

    @Test func `silence begins with the last message that came`() async throws {
        let (alice, phone, laptop) = try await three(.legacy)
        try await phone.meet(alice)
        let heard = Party.now + 50 * Self.day
        try await alice.receive(try await phone.encrypt("hi", to: alice), from: phone.jid, at: heard)
        try await alice.leaveUnanswered(Self.unanswered, by: phone, .legacy)
        let early = try await alice.deliver("one", to: phone.jid, at: heard + Self.silence)
        #expect(Set(early.devices.map(\.device)) == [phone.own.device, laptop.own.device])
        let late = try await alice.deliver("two", to: phone.jid, at: heard + Self.silence + 1)
        #expect(late.devices.map(\.device) == [laptop.own.device])
    }

    @Test func `where all are stale they are addressed`() async throws {
        let (alice, phone, laptop) = try await three(.legacy)
        for device in [phone, laptop] {
            try await alice.leaveUnanswered(Self.unanswered, by: device, .legacy)
        }
        let delivery = try await alice.deliver("hello", to: phone.jid, at: Party.now + Self.silence + 1)
        #expect(Set(delivery.devices.map(\.device)) == [phone.own.device, laptop.own.device])
        #expect(delivery.excluded.isEmpty)
        let sent = try #require(try await alice.outbox().last).encryptedMessage(.legacy)
        #expect(Set(sent.keys.map(\.rid)) == [phone.own.device, laptop.own.device])
    }

    @Test func `of our own devices a stale one is left out, though it is the only other one`() async throws {
        let (alice, phone, laptop) = try await three(.legacy)
        let tablet = try await Party("alice@example.org")
        try await alice.meet(alice, tablet)
        _ = try await alice.encrypt("to all", to: phone, alsoTo: tablet)
        try await alice.leaveUnanswered(Self.unanswered, by: tablet, .legacy)
        let delivery = try await alice.deliver("hello", to: phone.jid, at: Party.now + Self.silence + 1)
        #expect(Set(delivery.devices.map(\.device)) == [phone.own.device, laptop.own.device])
        #expect(delivery.excluded.map(\.device) == [tablet.own.device])
        #expect(delivery.excluded.map(\.reason) == ["stale"])
    }

    /// Alice, and two devices of bob that have her first message and did not answer.
    private func three(_ version: ProtocolVersion) async throws -> (Party, Party, Party) {
        let alice = try await Party("alice@example.org")
        let (phone, laptop) = (try await Party("bob@example.org"), try await Party("bob@example.org"))
        try await alice.meet(phone, laptop, versions: [version])
        let first = try await alice.encrypt("one", to: phone, alsoTo: laptop)
        for device in [phone, laptop] { try await device.receive(first, from: alice.jid) }
        return (alice, phone, laptop)
    }
}

extension Party {
    /// Makes it so many messages to a device since it last wrote; those in between are lost on their way.
    fileprivate func leaveUnanswered(
        _ count: UInt32, by other: Party, _ version: ProtocolVersion
    ) async throws {
        let address = other.address
        let reached = try await write { [own] tx in
            guard var record = try tx.session(account: own.account, address, version) else {
                throw Failure.notEncrypted
            }
            var random = SystemRandomNumberGenerator()
            while record.unansweredCount < count {
                _ = try record.encrypt(Payload.emptySecret(version, using: &random), using: &random)
            }
            try tx.save(record, account: own.account, address, version)
            return record.unansweredCount
        }
        guard reached == count else { throw Failure.notEncrypted }
    }

    /// Sends a text at a time, to devices with sessions.
    fileprivate func deliver(
        _ body: String, to chat: JID, at now: Int64
    ) async throws -> Outbound.Delivery {
        let outbound = Outbound(own: own, policies: policies, now: now)
        guard case .enqueued(let delivery) = try await accept(body, to: chat, outbound) else {
            throw Failure.notEncrypted
        }
        return delivery
    }
}
