// Random conversations, and stored ratchets that were damaged.
import Testing

@testable import IMCrypto

/// A conversation in which messages are lost, overtaken and repeated.
private struct Disorder {
    var pair: Pair
    var choices: SeededGenerator
    var toAlice: [Pair.Message] = []
    var toBob: [Pair.Message] = []
    var delivered: [(message: Pair.Message, isToBob: Bool)] = []

    init(seed: UInt64, _ parameters: DoubleRatchet.Parameters) throws {
        pair = try Pair(seed: seed, parameters)
        choices = SeededGenerator(seed &* 77)
        toBob = try pair.send(1, from: \.alice)
        try deliver(toBob: true)
    }

    mutating func step() throws {
        let isBob = Bool.random(using: &choices)
        switch Int.random(in: 0..<10, using: &choices) {
        case 0...3:
            let burst = Int.random(in: 1...4, using: &choices)
            if isBob {
                toAlice += try pair.send(burst, from: \.bob)
            } else {
                toBob += try pair.send(burst, from: \.alice)
            }
        case 4...7: try deliver(toBob: isBob)
        case 8: drop(toBob: isBob)
        default: try repeatOne()
        }
        try restore()
    }

    private mutating func deliver(toBob: Bool) throws {
        if toBob {
            guard let index = self.toBob.indices.randomElement(using: &choices) else { return }
            let message = self.toBob.remove(at: index)
            try pair.deliver(message, to: \.bob)
            delivered.append((message, true))
        } else {
            guard let index = toAlice.indices.randomElement(using: &choices) else { return }
            let message = toAlice.remove(at: index)
            try pair.deliver(message, to: \.alice)
            delivered.append((message, false))
        }
    }

    private mutating func drop(toBob: Bool) {
        if toBob {
            self.toBob.indices.randomElement(using: &choices).map { _ = self.toBob.remove(at: $0) }
        } else {
            toAlice.indices.randomElement(using: &choices).map { _ = toAlice.remove(at: $0) }
        }
    }

    /// A duplicate must never yield the message's keys again, nor change anything when it is refused.
    private mutating func repeatOne() throws {
        guard let (message, isToBob) = delivered.randomElement(using: &choices) else { return }
        let receiver = isToBob ? pair.bob : pair.alice
        var copy = receiver
        do {
            let keys = try copy.receivingKeys(message.header)
            #expect(keys.material != message.material)
        } catch {
            #expect(error == .alreadyDecrypted || error == .unknownRatchetKey)
            #expect(copy.serialized() == receiver.serialized())
        }
    }

    /// Both sides go through storage.
    private mutating func restore() throws {
        for path in [\Pair.alice, \Pair.bob] {
            let stored = pair[keyPath: path].serialized()
            let restored = try DoubleRatchet(serialized: stored.bytes)
            #expect(restored.serialized() == stored)
            pair[keyPath: path] = restored
        }
    }

    mutating func finish() throws {
        while !toBob.isEmpty { try deliver(toBob: true) }
        while !toAlice.isEmpty { try deliver(toBob: false) }
        #expect(pair.alice.skipped.count <= DoubleRatchet.maxSkip)
    }
}

@Suite struct DoubleRatchetPropertyTests {
    @Test(arguments: 1...24)
    func `every message that arrives decrypts, once, in whatever order`(_ seed: Int) throws {
        var disorder = try Disorder(seed: UInt64(seed), seed.isMultiple(of: 2) ? .legacy : .omemo2)
        for _ in 0..<250 { try disorder.step() }
        try disorder.finish()
    }

    /// Stored ratchets in every shape: before and after sending, with old chains and skipped keys.
    private func samples() throws -> [Bytes] {
        var pair = try Pair(.omemo2)
        var samples = [pair.alice.serialized().bytes, pair.bob.serialized().bytes]
        for _ in 0..<6 {
            let sent = try pair.send(5, from: \.alice)
            try pair.deliver(sent[1], to: \.bob)
            try pair.deliver(sent[4], to: \.bob)
            samples.append(pair.bob.serialized().bytes)
            try pair.deliver(pair.send(from: \.bob), to: \.alice)
            samples += [pair.alice.serialized().bytes, pair.bob.serialized().bytes]
        }
        return samples
    }

    @Test func `the first byte is the version and no other version is read`() throws {
        for sample in try samples() {
            #expect(sample[0] == 1)
            for version in UInt8.min...UInt8.max where version != 1 {
                #expect(throws: CryptoError.invalidSerialization) {
                    try DoubleRatchet(serialized: [version] + sample.dropFirst())
                }
            }
        }
    }

    @Test func `no truncation and no appendix is accepted`() throws {
        for sample in try samples() {
            for count in 0..<sample.count {
                #expect(throws: CryptoError.invalidSerialization) {
                    try DoubleRatchet(serialized: Bytes(sample.prefix(count)))
                }
            }
            #expect(throws: CryptoError.invalidSerialization) {
                try DoubleRatchet(serialized: sample + [0])
            }
        }
    }

    @Test func `flipped bits never trap, in reading or in use`() throws {
        var random = SeededGenerator(5)
        let foreign = RatchetHeader(dh: KeyPair.generate(using: &random).publicKey, n: 3, pn: 2)
        for sample in try samples() {
            for bit in 0..<sample.count * 8 where bit < 400 || bit % 13 == 0 {
                var damaged = sample
                damaged[bit / 8] ^= 1 << UInt8(bit % 8)
                guard var ratchet = try? DoubleRatchet(serialized: damaged) else { continue }
                #expect(ratchet.serialized().bytes == damaged)
                _ = try? ratchet.sendingKeys(using: &random)
                _ = try? ratchet.receivingKeys(foreign)
            }
        }
    }

    @Test func `random bytes never trap`() {
        var random = SeededGenerator(6)
        for _ in 0..<20_000 {
            let count = Int.random(in: 0..<200, using: &random)
            var bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            if count > 5 {
                bytes.replaceSubrange(
                    0..<6, with: [1, bytes[1] & 2, bytes[2] & 3, bytes[3] & 7, 0, bytes[5] & 3])
            }
            _ = try? DoubleRatchet(serialized: bytes)
        }
    }
}
