// What goes out, to whom, and what never does (threats.md rows 21, 29, 30).
import IMCrypto
import LocalAPI
import OMEMO
import Store
import Testing
import XMPP

@testable import imd

struct SendingTests {
    @Test func `the text is in no stanza`() async throws {
        let (alice, bob) = try await pair()
        let message = try await alice.encrypt("a secret word", to: bob)
        let text = String(decoding: message.xml(), as: UTF8.self)
        #expect(!text.contains("secret"))
        #expect(message.child("body", in: Namespace.client)?.text == MessageStanza.fallback)
    }

    @Test func `C29 an empty device list fails and sends nothing`() async throws {
        let (alice, bob) = try await pair()
        _ = try await alice.encrypt("hello", to: bob)
        try await alice.learn(.legacy, [], of: bob.jid)
        let before = try await alice.outbox().count
        let outbound = alice.outbound()
        let request = SendRequest(chat: bob.jid, body: "again", clientID: nil, plaintext: false)
        let accepted = try await alice.write { try outbound.accept(request, mayEncrypt: true, $0) }
        let (outcome, message) = (accepted.outcome, accepted.message.id)
        guard case .noTrustedDevice? = outcome else {
            Issue.record("\(String(describing: outcome))")
            return
        }
        #expect(try await alice.outbox().count == before)
        let state = try await alice.write { try $0.message(row: message)?.state }
        #expect(state == .failed)
    }

    @Test func `a device without bundle is left out by name, and alone it stops the message`() async throws {
        let (alice, bob) = try await pair()
        let address = DeviceAddress(jid: bob.jid, device: bob.own.device)
        let outbound = alice.outbound(failures: [BundleKey(address, .legacy): .noBundle])
        let request = SendRequest(chat: bob.jid, body: "hello", clientID: nil, plaintext: false)
        let outcome = try await alice.write { try outbound.accept(request, mayEncrypt: true, $0).outcome }
        guard case .noTrustedDevice(let excluded)? = outcome else {
            Issue.record("\(String(describing: outcome))")
            return
        }
        #expect(excluded.map { $0.reason } == ["no-bundle"])
        #expect(excluded.map { $0.device } == [bob.own.device])
    }

    @Test func `C21 a bundle with another identity key is refused`() async throws {
        let (alice, bob) = try await pair()
        let mallory = try await Party("m@evil.example")
        let address = DeviceAddress(jid: bob.jid, device: bob.own.device)
        let known = try await bob.bundle().identityKey
        _ = try await alice.write { [alice] tx in
            try tx.setIdentity(account: alice.own.account, address, known, policy: .btbv, now: Party.now)
        }
        let outbound = alice.outbound([BundleKey(address, .legacy): try await mallory.bundle()])
        let request = SendRequest(chat: bob.jid, body: "hello", clientID: nil, plaintext: false)
        let outcome = try await alice.write { try outbound.accept(request, mayEncrypt: true, $0).outcome }
        guard case .noTrustedDevice(let excluded)? = outcome else {
            Issue.record("\(String(describing: outcome))")
            return
        }
        #expect(excluded.map { $0.reason } == ["key-changed"])
        let stored = try await alice.write { [own = alice.own] in
            try $0.device(account: own.account, address)?.identityKey
        }
        #expect(stored == known)
    }

    @Test func `C30 after one verification a new device gets nothing by itself`() async throws {
        let (alice, bob) = try await pair()
        _ = try await alice.encrypt("hello", to: bob)
        let second = try await Party("bob@example.org")
        let devices = [bob.own.device, second.own.device]
        let secondAddress = DeviceAddress(jid: bob.jid, device: second.own.device)
        _ = try await alice.write { [alice] tx in
            try tx.setTrust(
                .verified, account: alice.own.account, bob.address, source: .person, now: Party.now)
        }
        try await alice.learn(.legacy, devices, of: bob.jid)
        let outbound = alice.outbound([BundleKey(secondAddress, .legacy): try await second.bundle()])
        let request = SendRequest(chat: bob.jid, body: "again", clientID: nil, plaintext: false)
        let outcome = try await alice.write { try outbound.accept(request, mayEncrypt: true, $0).outcome }
        guard case .enqueued(let delivery)? = outcome else {
            Issue.record("\(String(describing: outcome))")
            return
        }
        #expect(delivery.devices.map { $0.device } == [bob.own.device])
        #expect(delivery.excluded.map { $0.device } == [second.own.device])
        let events = try await alice.events(.device).compactMap(\.detail)
        #expect(events.count == 2)
        #expect(events[0].contains("added") && events[1].contains("trust-needed"))
    }

    @Test func `an idempotency key stands for one message`() async throws {
        let (alice, bob) = try await pair()
        _ = try await alice.encrypt("hello", to: bob, id: "backup-1")
        let outbound = alice.outbound()
        let same = SendRequest(chat: bob.jid, body: "hello", clientID: "backup-1", plaintext: false)
        let again = try await alice.write { try outbound.accept(same, mayEncrypt: true, $0) }
        #expect(again.isDuplicate)
        #expect(try await alice.outbox().count == 1)
        let other = SendRequest(chat: bob.jid, body: "other", clientID: "backup-1", plaintext: false)
        await #expect(throws: UserError.self) {
            try await alice.write { try outbound.accept(other, mayEncrypt: true, $0) }
        }
    }

    @Test func `fallback aside, plaintext leaves only by explicit command`() async throws {
        let (alice, bob) = try await pair()
        let outbound = alice.outbound()
        let request = SendRequest(chat: bob.jid, body: "in clear", clientID: nil, plaintext: true)
        _ = try await alice.write { try outbound.accept(request, mayEncrypt: true, $0) }
        let stanza = try #require(try await alice.outbox().last)
        #expect(stanza.child("body", in: Namespace.client)?.text == "in clear")
        #expect(stanza.child("encrypted", in: ProtocolVersion.legacy.rawValue) == nil)
    }

    @Test func `a failed message may be tried again with its key`() async throws {
        let (alice, bob) = try await pair()
        let address = DeviceAddress(jid: bob.jid, device: bob.own.device)
        let request = SendRequest(chat: bob.jid, body: "hello", clientID: "k", plaintext: false)
        let without = alice.outbound(failures: [BundleKey(address, .legacy): .noBundle])
        let failed = try await alice.write { try without.accept(request, mayEncrypt: true, $0) }
        let with = alice.outbound([BundleKey(address, .legacy): try await bob.bundle()])
        let again = try await alice.write { try with.accept(request, mayEncrypt: true, $0) }
        #expect(!again.isDuplicate)
        #expect(again.message.id == failed.message.id)
        #expect(try await alice.outbox().count == 1)
    }

    @Test func `a message behind one that waits for keys waits too`() async throws {
        let (alice, bob) = try await pair()
        let address = DeviceAddress(jid: bob.jid, device: bob.own.device)
        let outbound = alice.outbound([BundleKey(address, .legacy): try await bob.bundle()])
        for (body, mayEncrypt) in [("first", false), ("second", true)] {
            let request = SendRequest(chat: bob.jid, body: body, clientID: nil, plaintext: false)
            let accepted = try await alice.write { try outbound.accept(request, mayEncrypt: mayEncrypt, $0) }
            #expect(accepted.outcome == nil)
        }
        let (outcomes, missing) = try await alice.write {
            try outbound.encryptWaiting(in: bob.jid, $0)
        }
        #expect(missing.isEmpty)
        #expect(outcomes.count == 2)
        for stanza in try await alice.outbox() { try await bob.receive(stanza, from: alice.jid) }
        #expect(try await bob.bodies() == ["first", "second"])
    }

    @Test func `a message that is encrypted later names the devices it leaves out`() async throws {
        let alice = try await Party("alice@example.org")
        let (first, second) = (try await Party("bob@example.org"), try await Party("bob@example.org"))
        try await alice.meet(first, second)
        let outbound = alice.outbound(
            [BundleKey(first.address, .legacy): try await first.bundle()],
            failures: [BundleKey(second.address, .legacy): .noBundle])
        let request = SendRequest(chat: first.jid, body: "hello", clientID: "k", plaintext: false)
        let accepted = try await alice.write { try outbound.accept(request, mayEncrypt: false, $0) }
        #expect(accepted.message.excludedDevices.isEmpty)
        _ = try await alice.write { try outbound.encryptWaiting(in: first.jid, $0) }

        let left = [ExcludedDevice(second.address, .noBundle)]
        let details = try await alice.events(.state).compactMap(\.detail).map { detail in
            try StateDetail(json: JSONValue(strict: Array(detail.utf8)))
        }
        let expected = StateDetail(chat: "bob@example.org", id: "k", state: .queued, excluded: left)
        #expect(details == [expected])
        let again = try await alice.write { try outbound.accept(request, mayEncrypt: true, $0) }
        let result = MessageSend.Result(again, now: again.message, account: alice.jid)
        #expect(again.isDuplicate && result.excluded == left)
        #expect(try await alice.outbox().count == 1)
    }

    @Test func `a message that is tried again names the devices it leaves out again`() async throws {
        let (alice, bob) = try await pair()
        let outbound = alice.outbound(failures: [BundleKey(bob.address, .legacy): .noBundle])
        let request = SendRequest(chat: bob.jid, body: "hello", clientID: "k", plaintext: false)
        for _ in 0..<2 { _ = try await alice.write { try outbound.accept(request, mayEncrypt: true, $0) } }
        let details = try await alice.events(.state).compactMap(\.detail)
        #expect(details.map { $0.contains("no-bundle") } == [true, false, true])
        let message = try await alice.write { [own = alice.own] in
            try $0.message(account: own.account, clientID: "k")
        }
        #expect(message?.excludedDevices == [ExcludedDevice(bob.address, .noBundle)])
    }

    @Test func `devices beyond the hundred that are written to are named`() async throws {
        let (alice, bob) = try await pair()
        _ = try await alice.encrypt("hello", to: bob)
        let crowd = (1...1_000).map { UInt32($0) }.filter { $0 != bob.own.device }
        try await alice.learn(.legacy, crowd + [bob.own.device], of: bob.jid)
        #expect(try await alice.events(.security).count == 1)
        var failures: [BundleKey: ExclusionReason] = [:]
        for id in crowd { failures[BundleKey(DeviceAddress(jid: bob.jid, device: id), .legacy)] = .noBundle }
        let outbound = alice.outbound(failures: failures)
        let request = SendRequest(chat: bob.jid, body: "again", clientID: nil, plaintext: false)
        let outcome = try await alice.write { try outbound.accept(request, mayEncrypt: true, $0).outcome }
        guard case .enqueued(let delivery)? = outcome else {
            Issue.record("\(String(describing: outcome))")
            return
        }
        #expect(delivery.devices.map(\.device) == [bob.own.device], "known, though last of the list")
        #expect(Set(delivery.excluded.map(\.device)) == Set(crowd))
        #expect(delivery.excluded.count { $0.reason == "too-many" } == crowd.count - 99)
    }

    private func pair() async throws -> (Party, Party) {
        let (alice, bob) = (try await Party("alice@example.org"), try await Party("bob@example.org"))
        try await alice.meet(bob)
        return (alice, bob)
    }
}
