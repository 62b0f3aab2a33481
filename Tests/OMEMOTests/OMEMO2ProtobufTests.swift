// OMEMOMessage, OMEMOAuthenticatedMessage and OMEMOKeyExchange byte by byte, and what must be refused in them.
import IMCrypto
import Testing

@testable import OMEMO

@Suite struct OMEMO2ProtobufTests {
    private let key = Bytes(repeating: 9, count: 32)
    private let mac = Bytes(1...16)
    private let ciphertext = Bytes(repeating: 7, count: 64)

    /// Of an OMEMOMessage: n 1, pn 2, dh_pub 3, ciphertext 4.
    private var fields: [Bytes] {
        [Wire.field(1, 300), Wire.field(2, 2), Wire.field(3, key), Wire.field(4, ciphertext)]
    }

    /// An OMEMOAuthenticatedMessage: mac 1, message 2.
    private func message(_ fields: [Bytes]) -> Bytes {
        Wire.field(1, mac) + Wire.field(2, fields.flatMap { $0 })
    }

    /// Of an OMEMOKeyExchange: pk_id 1, spk_id 2, ik 3, ek 4, message 5.
    private var exchangeFields: [Bytes] {
        [
            Wire.field(1, 77), Wire.field(2, 1), Wire.field(3, Bytes(repeating: 8, count: 32)),
            Wire.field(4, key), Wire.field(5, message(fields)),
        ]
    }

    private func read(_ data: Bytes) throws -> RatchetMessage { try RatchetMessage(data, .omemo2) }

    private func readExchange(_ fields: [Bytes]) throws -> KeyExchangeMessage {
        try KeyExchangeMessage(fields.flatMap { $0 }, .omemo2)
    }

    @Test func `an OMEMOAuthenticatedMessage has the fields of the schema`() throws {
        let decoded = try read(message(fields))
        #expect(decoded.header.dh.bytes == key)
        #expect(decoded.header.n == 300 && decoded.header.pn == 2)
        #expect(decoded.ciphertext == ciphertext)
        #expect(decoded.mac == mac)
        #expect(decoded.authenticated == fields.flatMap { $0 })
        let encoded = RatchetMessage.encode(decoded.header, ciphertext, .omemo2)
        #expect(encoded == decoded.authenticated)
        #expect(RatchetMessage.frame(encoded, mac: mac, .omemo2) == message(fields))
    }

    @Test func `counters of zero are written: the schema requires them`() throws {
        let header = RatchetHeader(dh: try PublicKey(key), n: 0, pn: 0)
        #expect(
            RatchetMessage.encode(header, ciphertext, .omemo2)
                == [0x08, 0, 0x10, 0] + Wire.field(3, key) + Wire.field(4, ciphertext))
    }

    @Test func `an OMEMOKeyExchange has the fields of the schema`() throws {
        let decoded = try readExchange(exchangeFields)
        #expect(decoded.preKeyID == 77 && decoded.signedPreKeyID == 1)
        #expect(decoded.identityKey == Bytes(repeating: 8, count: 32))
        #expect(decoded.baseKey.bytes == key)
        #expect(decoded.message == message(fields))
        #expect(decoded.registrationID == nil)
        #expect(decoded.encoded(.omemo2) == exchangeFields.flatMap { $0 })
    }

    @Test func `fields may come in any order, and later ones are skipped`() throws {
        let later = [Wire.field(9, 5), Wire.field(10, Bytes([1, 2, 3]))]
        #expect(try read(message(fields.reversed() + later) + later[0]).header.n == 300)
        #expect(try readExchange(later + exchangeFields.reversed()).preKeyID == 77)
    }

    @Test func `C33 no field may be repeated, and none may lack`() {
        for index in fields.indices {
            #expect(throws: DecryptionError.self) { try read(message(fields + [fields[index]])) }
            var fewer = fields
            fewer.remove(at: index)
            #expect(throws: DecryptionError.self) { try read(message(fewer)) }
        }
        for index in exchangeFields.indices {
            #expect(throws: DecryptionError.self) {
                try readExchange(exchangeFields + [exchangeFields[index]])
            }
            var fewer = exchangeFields
            fewer.remove(at: index)
            #expect(throws: DecryptionError.self) { try readExchange(fewer) }
        }
        let inner = Wire.field(2, fields.flatMap { $0 })
        for data in [
            inner, Wire.field(1, mac), message(fields) + inner, message(fields) + Wire.field(1, mac),
        ] {
            #expect(throws: DecryptionError.self) { try read(data) }
        }
    }

    @Test func `C33 numbers beyond 32 bits, long varints and huge lengths are refused`() {
        let bad: [Bytes] = [
            Wire.field(1, 1 << 32), Wire.field(1, .max), [0x08] + Bytes(repeating: 0x80, count: 9) + [0],
            [0x08, 0xff], [0x22] + Wire.varint(0xffff_ffff), [0x22] + Wire.varint(.max),
            [0x22, 65] + ciphertext,
        ]
        for field in bad {
            #expect(throws: DecryptionError.self) { try read(message([field, fields[1], fields[2]])) }
            #expect(throws: DecryptionError.self) { try readExchange([field] + exchangeFields.dropFirst()) }
        }
    }

    @Test func `wrong types, groups and sizes are refused`() {
        let bad: [[Bytes]] = [
            [Wire.field(1, key), fields[1], fields[2], fields[3]],
            [fields[0], fields[1], Wire.field(3, 5), fields[3]],
            [fields[0], fields[1], Wire.field(3, [5] + key), fields[3]],
            [fields[0], fields[1], Wire.field(3, Bytes(key.dropLast())), fields[3]],
            [fields[0], fields[1], fields[2], Wire.field(4, Bytes(repeating: 0, count: 63))],
            [fields[0], fields[1], fields[2], Wire.field(4, [])],
            [fields[0], fields[1], fields[2], Wire.field(4, Bytes(repeating: 0, count: 2048))],
            fields + [[0x4b, 0x4c]], fields + [[0x00, 0]], fields + [Wire.field(1 << 28, 1)],
        ]
        for fields in bad { #expect(throws: DecryptionError.self) { try read(message(fields)) } }
        for count in [0, 8, 15, 17, 32] {
            let data = Wire.field(1, Bytes(repeating: 0, count: count)) + Wire.field(2, fields.flatMap { $0 })
            #expect(throws: DecryptionError.self) { try read(data) }
        }
        for count in [0, 31, 33] {
            var fields = exchangeFields
            fields[2] = Wire.field(3, Bytes(repeating: 8, count: count))
            #expect(throws: DecryptionError.self) { try readExchange(fields) }
        }
        #expect(throws: DecryptionError.self) {
            try readExchange(exchangeFields + [Wire.field(9, Bytes(repeating: 0, count: 4096))])
        }
    }

    @Test func `neither message can be taken for the other, nor for a legacy one`() throws {
        #expect(throws: DecryptionError.self) { try read(exchangeFields.flatMap { $0 }) }
        #expect(throws: DecryptionError.self) { try readExchange([message(fields)]) }
        #expect(throws: DecryptionError.self) { try RatchetMessage(message(fields), .legacy) }
    }

    @Test func `garbage is an error, never a crash`() throws {
        let (alice, bob) = try acquainted(770, .omemo2)
        let genuine = try alice.send("x", to: bob).keys[0].data
        let exchange = exchangeFields.flatMap { $0 }
        let stored = bob.stored(alice)
        var random = Seeded(771)
        for round in 0..<20_000 {
            var data = [genuine, exchange, []][round % 3]
            if data.isEmpty {
                data = (0..<Int.random(in: 0...200, using: &random)).map { _ in
                    .random(in: 0...255, using: &random)
                }
            } else {
                for _ in 0..<Int.random(in: 1...8, using: &random) {
                    data[.random(in: 0..<data.count, using: &random)] = .random(in: 0...255, using: &random)
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
