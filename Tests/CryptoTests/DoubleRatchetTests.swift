// The ratchet's rules one by one: chains, limits, duplicates, what a failed call leaves behind.
import Foundation
import Testing

@testable import IMCrypto

private let sharedSecret = SecretBytes(Bytes(0..<32))

/// Both ends of a session, and what was sent.
struct Pair {
    typealias Message = (header: RatchetHeader, material: Bytes)

    var alice: DoubleRatchet
    var bob: DoubleRatchet
    var random: SeededGenerator

    init(seed: UInt64 = 1, _ parameters: DoubleRatchet.Parameters = .legacy) throws {
        var random = SeededGenerator(seed)
        let spk = KeyPair.generate(using: &random)
        alice = try DoubleRatchet(
            initiator: sharedSecret, remoteSignedPreKey: spk.publicKey, parameters: parameters,
            using: &random)
        bob = DoubleRatchet(responder: sharedSecret, signedPreKey: spk, parameters: parameters)
        self.random = random
    }

    mutating func send(from path: WritableKeyPath<Pair, DoubleRatchet>) throws -> Message {
        var random = random
        let (header, keys) = try self[keyPath: path].sendingKeys(using: &random)
        self.random = random
        return (header, keys.material)
    }

    mutating func send(
        _ count: Int, from path: WritableKeyPath<Pair, DoubleRatchet>
    ) throws -> [Message] {
        try (0..<count).map { _ in try send(from: path) }
    }

    mutating func deliver(
        _ message: Message, to path: WritableKeyPath<Pair, DoubleRatchet>,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let keys = try self[keyPath: path].receivingKeys(message.header)
        #expect(keys.material == message.material, sourceLocation: sourceLocation)
    }

    /// One message each way, so that both sides have both chains.
    mutating func turn() throws {
        try deliver(send(from: \.alice), to: \.bob)
        try deliver(send(from: \.bob), to: \.alice)
    }
}

@Suite struct DoubleRatchetTests {
    @Test func `messages in order use one chain per turn`() throws {
        var pair = try Pair()
        for round in 0..<4 {
            let sent = try pair.send(3, from: \.alice)
            #expect(sent.map(\.header.n) == [0, 1, 2])
            #expect(Set(sent.map(\.header.dh)).count == 1)
            #expect(sent.allSatisfy { $0.header.pn == (round == 0 ? 0 : 3) })
            for message in sent { try pair.deliver(message, to: \.bob) }
            #expect(pair.bob.receivedCount == 3)
            let answers = try pair.send(2, from: \.bob)
            #expect(answers.allSatisfy { $0.header.pn == (round == 0 ? 0 : 2) })
            for message in answers { try pair.deliver(message, to: \.alice) }
        }
    }

    @Test func `every message has other keys`() throws {
        var pair = try Pair()
        var seen = Set<Bytes>()
        for _ in 0..<5 {
            for message in try pair.send(4, from: \.alice) {
                #expect(seen.insert(message.material).inserted)
                try pair.deliver(message, to: \.bob)
            }
            for message in try pair.send(4, from: \.bob) {
                #expect(seen.insert(message.material).inserted)
                try pair.deliver(message, to: \.alice)
            }
        }
    }

    @Test func `the two OMEMO versions derive different keys`() throws {
        var (legacy, omemo2) = (try Pair(.legacy), try Pair(.omemo2))
        #expect(try legacy.send(from: \.alice).material != omemo2.send(from: \.alice).material)
    }

    @Test func `a responder cannot send first`() throws {
        var pair = try Pair()
        #expect(throws: RatchetError.nothingReceived) { try pair.send(from: \.bob) }
        #expect(pair.bob.receivedCount == 0)
    }

    @Test func `a message decrypts once, in any chain`() throws {
        var pair = try Pair()
        var delivered: [Pair.Message] = []
        for _ in 0..<3 {
            let sent = try pair.send(4, from: \.alice)
            for index in [2, 0, 3] {
                try pair.deliver(sent[index], to: \.bob)
                delivered.append(sent[index])
            }
            try pair.deliver(pair.send(from: \.bob), to: \.alice)
            let before = pair.bob.serialized()
            for message in delivered {
                #expect(throws: RatchetError.alreadyDecrypted) { try pair.deliver(message, to: \.bob) }
            }
            #expect(pair.bob.serialized() == before)
        }
    }

    @Test func `1000 messages may be skipped and not one more`() throws {
        var pair = try Pair()
        try pair.turn()
        let sent = try pair.send(1002, from: \.alice)
        let before = pair.bob.serialized()
        #expect(throws: RatchetError.tooFarAhead) { try pair.deliver(sent[1001], to: \.bob) }
        #expect(pair.bob.serialized() == before)
        try pair.deliver(sent[1000], to: \.bob)
        #expect(pair.bob.skipped.count == 1000)
        for index in [0, 999, 500] { try pair.deliver(sent[index], to: \.bob) }
        try pair.deliver(sent[1001], to: \.bob)
        #expect(pair.bob.skipped.count == 997)
    }

    @Test func `beyond 1000 kept keys the oldest go first`() throws {
        var pair = try Pair()
        let first = try pair.send(601, from: \.alice)
        try pair.deliver(first[600], to: \.bob)
        try pair.deliver(pair.send(from: \.bob), to: \.alice)
        let second = try pair.send(501, from: \.alice)
        try pair.deliver(second[500], to: \.bob)
        #expect(pair.bob.skipped.count == 1000)
        for message in first[..<100] {
            #expect(throws: RatchetError.alreadyDecrypted) { try pair.deliver(message, to: \.bob) }
        }
        for message in first[100..<600] + second[..<500] { try pair.deliver(message, to: \.bob) }
        #expect(pair.bob.skipped.count == 0)
        #expect(pair.bob.skipped.runs.isEmpty)
    }

    @Test func `previous chain and new chain share one message's limit`() throws {
        var pair = try Pair()
        let old = try pair.send(900, from: \.alice)
        try pair.deliver(old[0], to: \.bob)
        try pair.deliver(pair.send(from: \.bob), to: \.alice)
        let new = try pair.send(501, from: \.alice)
        try pair.deliver(new[500], to: \.bob)
        #expect(pair.bob.skipped.count == 1000)
        // What was over the limit comes from the old chain itself.
        try pair.deliver(old[899], to: \.bob)
    }

    @Test(arguments: [UInt32(1001), .max - 1, .max]) func `a far n is refused at once`(_ n: UInt32) throws {
        var pair = try Pair()
        try pair.turn()
        var known = try pair.send(from: \.alice).header
        known.n = n
        let fresh = RatchetHeader(dh: KeyPair.generate(using: &pair.random).publicKey, n: n, pn: .max)
        let before = pair.bob.serialized()
        for header in [known, fresh] {
            #expect(throws: RatchetError.tooFarAhead) { try pair.bob.receivingKeys(header) }
        }
        #expect(pair.bob.serialized() == before)
    }

    @Test func `a hostile pn skips at most 1000 keys`() throws {
        var pair = try Pair()
        try pair.turn()
        let header = RatchetHeader(dh: KeyPair.generate(using: &pair.random).publicKey, n: 0, pn: .max)
        _ = try pair.bob.receivingKeys(header)
        #expect(pair.bob.skipped.count == 1000)
    }

    @Test func `the last message of a chain arrives late although libsignal's pn is one short`() throws {
        var pair = try Pair()
        for _ in 0..<DoubleRatchet.maxReceivingChains - 1 {
            let sent = try pair.send(4, from: \.alice)
            try pair.deliver(sent[0], to: \.bob)
            for _ in 0..<DoubleRatchet.maxReceivingChains - 1 {
                try pair.deliver(pair.send(from: \.bob), to: \.alice)
                var next = try pair.send(from: \.alice)
                next.header.pn = next.header.pn > 0 ? next.header.pn - 1 : 0
                try pair.deliver(next, to: \.bob)
            }
            for message in sent[1...].reversed() { try pair.deliver(message, to: \.bob) }
            try pair.deliver(pair.send(from: \.bob), to: \.alice)
        }
    }

    @Test func `the fifth chain back is forgotten`() throws {
        var pair = try Pair()
        var last: [Pair.Message] = []
        for _ in 0...DoubleRatchet.maxReceivingChains {
            let sent = try pair.send(2, from: \.alice)
            var first = sent[0]
            first.header.pn = 0
            try pair.deliver(first, to: \.bob)
            last.append(sent[1])
            try pair.deliver(pair.send(from: \.bob), to: \.alice)
        }
        #expect(pair.bob.receiving.count == DoubleRatchet.maxReceivingChains)
        for message in last.suffix(DoubleRatchet.maxReceivingChains) { try pair.deliver(message, to: \.bob) }
        var copy = pair.bob
        let keys = try copy.receivingKeys(last[0].header)
        #expect(keys.material != last[0].material)
    }

    @Test func `a new ratchet key needs an answer in between`() throws {
        var pair = try Pair()
        try pair.deliver(pair.send(from: \.alice), to: \.bob)
        let before = pair.bob.serialized()
        let forged = RatchetHeader(dh: KeyPair.generate(using: &pair.random).publicKey, n: 0, pn: 0)
        #expect(throws: RatchetError.unknownRatchetKey) { try pair.bob.receivingKeys(forged) }
        #expect(pair.bob.serialized() == before)
        try pair.turn()
    }

    @Test func `a forged message on a copy leaves the original able to decrypt`() throws {
        var pair = try Pair()
        try pair.turn()
        let sent = try pair.send(3, from: \.alice)
        for header in [
            RatchetHeader(dh: KeyPair.generate(using: &pair.random).publicKey, n: 5, pn: 9),
            RatchetHeader(dh: sent[0].header.dh, n: 700, pn: 0),
        ] {
            var copy = pair.bob
            _ = try copy.receivingKeys(header)
        }
        for message in sent { try pair.deliver(message, to: \.bob) }
    }

    @Test func `counters near 2^32 neither trap nor repeat`() throws {
        var pair = try Pair()
        try pair.turn()
        try pair.deliver(pair.send(from: \.alice), to: \.bob)
        _ = try pair.send(from: \.bob)
        pair.alice.sending?.count = .max - 2
        pair.bob.receiving[pair.bob.receiving.count - 1].chain.count = .max - 2
        let sent = try pair.send(2, from: \.alice)
        #expect(sent.map(\.header.n) == [.max - 2, .max - 1])
        #expect(throws: RatchetError.chainExhausted) { try pair.send(from: \.alice) }
        try pair.deliver(sent[1], to: \.bob)
        try pair.deliver(sent[0], to: \.bob)
        #expect(throws: RatchetError.alreadyDecrypted) { try pair.deliver(sent[0], to: \.bob) }
        #expect(throws: RatchetError.alreadyDecrypted) { try pair.deliver(sent[1], to: \.bob) }
        try pair.deliver(pair.send(from: \.bob), to: \.alice)
        let next = try pair.send(from: \.alice)
        #expect(next.header.pn == .max)
        try pair.deliver(next, to: \.bob)
    }

    @Test func `a shared secret of the wrong size is refused`() {
        var random = SeededGenerator(3)
        let spk = KeyPair.generate(using: &random).publicKey
        #expect(throws: RatchetError.invalidKey) {
            try DoubleRatchet(
                initiator: SecretBytes(Bytes(0..<31)), remoteSignedPreKey: spk, parameters: .legacy,
                using: &random)
        }
    }

    @Test func `C28 a thousand messages that each skip a thousand stay within memory and 50 ms`() throws {
        var pair = try Pair()
        try pair.turn()
        var header = try pair.send(from: \.alice).header
        var slowest = Duration.zero
        for hop in 1...1000 {
            header.n = UInt32(hop * 1001 - 1)
            let start = processorTime()
            _ = try pair.bob.receivingKeys(header)
            slowest = max(slowest, processorTime() - start)
            #expect(pair.bob.skipped.count == DoubleRatchet.maxSkip)
        }
        #expect(slowest < .milliseconds(50))
    }

    /// What this thread has used: single measurements by the clock would count the tests beside this one.
    private func processorTime() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
}
