// Secrets stay out of text and reflection, and behave as values.
import Testing

@testable import IMCrypto

@Suite struct SecretBytesTests {
    private struct Failure: Error {}

    @Test func `no way of printing shows the contents`() throws {
        let secret = SecretBytes(Bytes(repeating: 0x41, count: 32))
        var dumped = ""
        dump(secret, to: &dumped)
        let texts = [
            "\(secret)", String(describing: secret), String(reflecting: secret), "\([secret])",
            "\(Optional(secret) as Any)", dumped,
            "\(try KeyPair(privateKey: secret).privateKey)", "\(try IdentityKeyPair(seed: secret).seed)",
        ]
        for text in texts {
            #expect(text.contains("<secret>"))
            #expect(!text.contains("65") && !text.contains("41") && !text.contains("A"))
        }
    }

    @Test func `a struct that holds secrets shows none of them`() throws {
        var random = SeededGenerator(1)
        let secret = SecretBytes(Bytes(repeating: 0x41, count: 32))
        let spk = KeyPair.generate(using: &random)
        let ratchet = DoubleRatchet(responder: secret, signedPreKey: spk, parameters: .legacy)
        var dumped = ""
        dump(ratchet, to: &dumped)
        #expect(dumped.contains("<secret>"))
        #expect(!dumped.contains("- 65"))
    }

    @Test func `equality is by content`() {
        #expect(SecretBytes(Bytes(0..<32)) == SecretBytes(Bytes(0..<32)))
        #expect(SecretBytes(Bytes(0..<32)) != SecretBytes(Bytes(0..<31)))
        #expect(SecretBytes(Bytes(0..<32)) != SecretBytes(Bytes(1..<33)))
        #expect(SecretBytes(Bytes()) == SecretBytes(Bytes()))
    }

    @Test func `slices and copies hold the right bytes`() {
        let secret = SecretBytes(Bytes(0..<32))
        #expect(secret.slice(4..<8).bytes == [4, 5, 6, 7])
        #expect(secret.slice(32..<32).count == 0)
        #expect(secret.bytes == Bytes(0..<32))
    }

    @Test
    func `D43 more secrets than there is locked memory for, and longer ones, are kept apart all the same`() {
        let seeds = Array(0..<3 * LockedMemory.slotCount)
        func content(_ seed: Int) -> Bytes {
            Bytes((0..<seed % 100).map { UInt8(truncatingIfNeeded: seed &* 31 &+ $0) })
        }
        for _ in 0..<3 {
            let secrets = seeds.map { SecretBytes(content($0)) }
            for seed in seeds { #expect(secrets[seed].bytes == content(seed)) }
        }
    }

    @Test func `D43 memory is zero when it is given out, locked or not`() {
        for count in [1, 32, 64, 65, 4096] {
            let memory = LockedMemory.allocate(count)
            memory.initializeMemory(as: UInt8.self, repeating: 0x41, count: count)
            LockedMemory.deallocate(memory, count)
            let next = LockedMemory.allocate(count)
            #expect(UnsafeRawBufferPointer(start: next, count: count).allSatisfy { $0 == 0 })
            LockedMemory.deallocate(next, count)
        }
    }

    @Test func `what a fill throws comes through`() {
        #expect(throws: Failure.self) { try SecretBytes(count: 8) { _ in throw Failure() } }
    }

    @Test func `random bytes are the generator's words, little-endian`() {
        var random = ScriptedGenerator(Bytes(0..<16))
        #expect(SecretBytes.random(count: 11, using: &random).bytes == Bytes(0..<11))
    }
}
