// The ratchet messages byte by byte, and what must be refused in them.
import IMCrypto
import Testing

@testable import OMEMO

@Suite struct ProtobufTests {
    private let key = Bytes([5]) + Bytes(repeating: 9, count: 32)
    private let mac = Bytes(1...8)
    private let ciphertext = Bytes(repeating: 7, count: 48)

    private var fields: [Bytes] {
        [Wire.field(1, key), Wire.field(2, 300), Wire.field(3, 2), Wire.field(4, ciphertext)]
    }

    private func message(_ fields: [Bytes]) -> Bytes { [0x33] + fields.flatMap { $0 } + mac }

    private var exchangeFields: [Bytes] {
        [
            Wire.field(1, 77), Wire.field(2, key), Wire.field(3, key), Wire.field(4, message(fields)),
            Wire.field(5, 31415), Wire.field(6, 1),
        ]
    }

    private func exchange(_ fields: [Bytes]) -> Bytes { [0x33] + fields.flatMap { $0 } }

    @Test func `a SignalMessage has ratchetKey 1, counter 2, previousCounter 3, ciphertext 4`() throws {
        let decoded = try RatchetMessage(message(fields), .legacy)
        #expect(decoded.header.dh.serialized == key)
        #expect(decoded.header.n == 300)
        #expect(decoded.header.pn == 2)
        #expect(decoded.ciphertext == ciphertext)
        #expect(decoded.mac == mac)
        #expect(decoded.authenticated + mac == message(fields))
        #expect(RatchetMessage.encodeSignalMessage(decoded.header, ciphertext) + mac == message(fields))
    }

    @Test func `counters of zero are written, and read as zero when left out`() throws {
        let header = RatchetHeader(dh: try PublicKey(serialized: key), n: 0, pn: 0)
        #expect(
            RatchetMessage.encodeSignalMessage(header, ciphertext)
                == [0x33] + Wire.field(1, key) + [0x10, 0, 0x18, 0] + Wire.field(4, ciphertext))
        #expect(try RatchetMessage(message([fields[0], fields[3]]), .legacy).header == header)
    }

    @Test func `a PreKeySignalMessage has the fields of the table`() throws {
        let decoded = try KeyExchangeMessage(exchange(exchangeFields), .legacy)
        #expect(decoded.preKeyID == 77)
        #expect(decoded.baseKey.serialized == key)
        #expect([5] + decoded.identityKey == key)
        #expect(decoded.message == message(fields))
        #expect(decoded.registrationID == 31415)
        #expect(decoded.signedPreKeyID == 1)
        #expect(decoded.encoded(.legacy) == exchange(exchangeFields))
    }

    @Test func `fields may come in any order, and the registration id not at all`() throws {
        #expect(try RatchetMessage(message(fields.reversed()), .legacy).header.n == 300)
        let decoded = try KeyExchangeMessage(
            exchange(exchangeFields.reversed().filter { $0 != Wire.field(5, 31415) }), .legacy)
        #expect(decoded.registrationID == nil)
        #expect(decoded.preKeyID == 77)
    }

    @Test func `fields of later versions are skipped`() throws {
        let later = fields + [Wire.field(9, 5), Wire.field(10, Bytes([1, 2, 3]))]
        #expect(try RatchetMessage(message(later), .legacy).header.n == 300)
    }

    @Test func `C33 no field may be repeated`() {
        for index in fields.indices {
            #expect(throws: DecryptionError.self) {
                try RatchetMessage(message(fields + [fields[index]]), .legacy)
            }
        }
        for field in exchangeFields {
            #expect(throws: DecryptionError.self) {
                try KeyExchangeMessage(exchange(exchangeFields + [field]), .legacy)
            }
        }
    }

    @Test func `every field but the counters and the registration id is needed`() {
        for index in [0, 3] {
            var fields = fields
            fields.remove(at: index)
            #expect(throws: DecryptionError.self) { try RatchetMessage(message(fields), .legacy) }
        }
        for index in [0, 1, 2, 3, 5] {
            var fields = exchangeFields
            fields.remove(at: index)
            #expect(throws: DecryptionError.self) { try KeyExchangeMessage(exchange(fields), .legacy) }
        }
    }

    @Test func `C33 numbers beyond 32 bits, 10-byte varints and huge lengths are refused`() {
        let bad: [Bytes] = [
            Wire.field(2, 1 << 32), Wire.field(2, .max), [0x10] + Bytes(repeating: 0x80, count: 9) + [0],
            [0x10, 0x80, 0x80, 0x80, 0x80, 0x80, 0], [0x10, 0xff], [0x22] + Wire.varint(0xffff_ffff),
            [0x22] + Wire.varint(.max), [0x22, 49] + ciphertext, [0x4a, 0x7f, 0],
        ]
        for field in bad {
            #expect(throws: DecryptionError.self) {
                try RatchetMessage(message([fields[0], field]), .legacy)
            }
        }
    }

    @Test func `wrong types, groups and field numbers are refused`() {
        let bad: [Bytes] = [
            Wire.field(1, 5), Wire.field(2, ciphertext), Wire.field(4, 5), [0x0b], [0x0c], [0x4b, 0x4c],
            [0x09] + Bytes(repeating: 0, count: 8), [0x4d, 0, 0, 0, 0], [0x00, 0], [0x07],
            Wire.field(1 << 28, 1),
        ]
        for field in bad {
            #expect(throws: DecryptionError.self) { try RatchetMessage(message(fields + [field]), .legacy) }
            #expect(throws: DecryptionError.self) { try RatchetMessage(message([field] + fields), .legacy) }
        }
    }

    @Test func `framing, sizes and keys are checked`() {
        var other = message(fields)
        other[0] = 0x23
        let bad: [Bytes] = [
            [], [0x33], [0x33] + mac, other,
            message([Wire.field(1, Bytes(key.dropFirst())), fields[1], fields[2], fields[3]]),
            message([Wire.field(1, [6] + key.dropFirst()), fields[1], fields[2], fields[3]]),
            message([fields[0], Wire.field(4, Bytes(repeating: 0, count: 47))]),
            message([fields[0], Wire.field(4, [])]),
            message([fields[0], Wire.field(4, Bytes(repeating: 0, count: 2048))]),
        ]
        for bytes in bad { #expect(throws: DecryptionError.self) { try RatchetMessage(bytes, .legacy) } }
    }

    @Test func `garbage is an error, never a crash`() throws {
        let (alice, bob) = try acquainted(110)
        let genuine = try alice.send("x", to: bob).keys[0].data
        let exchange = exchange(exchangeFields)
        let stored = bob.stored(alice)
        var random = Seeded(111)
        for round in 0..<20_000 {
            var data = round % 3 == 0 ? genuine : round % 3 == 1 ? exchange : []
            if data.isEmpty {
                data = (0..<Int.random(in: 0...200, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
                if !data.isEmpty { data[0] = 0x33 }
            } else {
                for _ in 0..<Int.random(in: 1...8, using: &random) {
                    let index = Int.random(in: 0..<data.count, using: &random)
                    data[index] = .random(in: 0...255, using: &random)
                }
                if data == genuine { continue }
            }
            #expect(throws: DecryptionError.self) {
                try bob.records[alice.address]?.decrypt(
                    data, isKeyExchange: round % 2 == 0, own: bob.own.identity, preKeys: bob)
            }
        }
        #expect(bob.stored(alice) == stored)
    }
}
