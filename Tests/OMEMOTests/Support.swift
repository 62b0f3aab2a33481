// Devices, a reproducible random source and XML for the tests of this target.
import Foundation
import IMCrypto
import Testing
import XMPP

@testable import OMEMO

/// SplitMix64: the same seed gives the same test.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// One device and what its store would hold.
final class Device: PreKeyStore {
    let version: ProtocolVersion
    let address: DeviceAddress
    let own: OwnDevice
    var preKeys: [UInt32: KeyPair]
    var signedPreKeys: [UInt32: KeyPair]
    var records: [DeviceAddress: SessionRecord] = [:]
    var random: Seeded
    /// As during a catch-up: used pre-keys stay usable.
    var keepsPreKeys = false
    private(set) var lookups = 0

    init(_ jid: String, seed: UInt64, sign: Bool? = nil, _ version: ProtocolVersion = .legacy) throws {
        self.version = version
        random = Seeded(seed)
        var made = OwnDevice.generate(avoiding: [], at: 0, using: &random)
        while let sign, (made.identity.publicKey.ed25519[31] & 0x80 != 0) != sign {
            made = OwnDevice.generate(avoiding: [], at: 0, using: &random)
        }
        own = made
        address = DeviceAddress(jid: try JID(jid), device: own.id)
        preKeys = Dictionary(uniqueKeysWithValues: own.preKeys.map { ($0.id, $0.keyPair) })
        signedPreKeys = [own.signedPreKey.id: own.signedPreKey.keyPair]
    }

    func preKey(_ id: UInt32) -> KeyPair? {
        lookups += 1
        return preKeys[id]
    }

    func signedPreKey(_ id: UInt32) -> KeyPair? { signedPreKeys[id] }

    /// Only the pre-keys that are not spent.
    var bundle: OMEMO.Bundle {
        OMEMO.Bundle(
            version, identity: own.identity, signedPreKey: own.signedPreKey,
            preKeys: preKeys.keys.sorted().compactMap { id in
                preKeys[id].map { OMEMO.Bundle.PreKey(id: id, key: $0.publicKey) }
            })
    }

    func send(_ text: String?, to other: Device) throws -> EncryptedMessage {
        try send(text, to: other.address, with: OMEMO.Bundle(other.bundle.element, version))
    }

    /// Encrypts as the daemon does: from a bundle if there is no session, through the element codec.
    func send(
        _ text: String?, to address: DeviceAddress, with bundle: @autoclosure () throws -> OMEMO.Bundle
    ) throws -> EncryptedMessage {
        var recipient = Recipient(address: address, record: records[address] ?? SessionRecord(version))
        if recipient.record.isEmpty {
            try recipient.record.initiate(
                with: bundle(), own: own.identity, ownDevice: own.id, using: &random)
        }
        var recipients = [recipient]
        let message = try Fanout.encrypt(
            text.map { Bytes($0.utf8) }, version, from: own.id, to: &recipients, using: &random)
        records[address] = recipients[0].record
        return try EncryptedMessage(message.element, version)
    }

    /// What came out, and what the record asks for.
    struct Received {
        var text: String?
        var decrypted: Decrypted
    }

    @discardableResult
    func receive(_ message: EncryptedMessage, from sender: DeviceAddress) throws -> Received {
        let key = try #require(message.keys.first { $0.rid == own.id })
        var record = records[sender] ?? SessionRecord(version)
        let decrypted = try record.decrypt(
            key.data, isKeyExchange: key.isKeyExchange, own: own.identity, preKeys: self)
        let text = try message.payload.map { _ in
            try Payload.open(message, secret: decrypted.plaintext)
        }
        records[sender] = record
        if let used = decrypted.usedPreKey, !keepsPreKeys { preKeys[used] = nil }
        return Received(text: text.map { String(decoding: $0, as: UTF8.self) }, decrypted: decrypted)
    }

    @discardableResult
    func receive(_ message: EncryptedMessage, from sender: Device) throws -> Received {
        try receive(message, from: sender.address)
    }

    /// Everything through storage and back.
    func restart() throws {
        records = try records.mapValues { try SessionRecord(serialized: $0.serialized().bytes) }
    }

    func stored(_ other: Device) -> Bytes? { records[other.address]?.serialized().bytes }
}

extension SessionRecord {
    /// Which session the next message goes out on: what stands after the header and both forms of the identity.
    func currentBaseKey() throws -> Bytes {
        var reader = RecordReader(serialized().bytes)
        _ = try reader.bytes(3 + 32 + 32)
        return try Session.baseKey(inSerialized: reader.counted()).bytes
    }
}

/// Two devices that have talked: each has one confirmed session.
func acquainted(_ seed: UInt64, _ version: ProtocolVersion = .legacy) throws -> (Device, Device) {
    let alice = try Device("alice@example.org", seed: seed, version)
    let bob = try Device("bob@example.org", seed: seed &+ 1, version)
    try bob.receive(alice.send("hello", to: bob), from: alice)
    try alice.receive(bob.send(nil, to: alice), from: bob)
    return (alice, bob)
}

/// Parses one element as the stream does.
func parse(_ xml: String) throws -> Element {
    let header = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
    let events = try XMLParser().feed(Bytes((header + xml).utf8))
    return try #require(
        events.compactMap { if case .element(let element) = $0 { element } else { nil } }.first)
}

func hex(_ bytes: Bytes) -> String { bytes.map { String(format: "%02x", $0) }.joined() }

func bytes(hex: String) throws -> Bytes {
    try #require(hex.count % 2 == 0)
    return try stride(from: 0, to: hex.count, by: 2).map { offset in
        let start = hex.index(hex.startIndex, offsetBy: offset)
        return try #require(UInt8(hex[start..<hex.index(start, offsetBy: 2)], radix: 16))
    }
}

/// Field by field, independent of the codec under test.
enum Wire {
    static func varint(_ number: UInt64) -> Bytes {
        number < 0x80
            ? [UInt8(number)] : [UInt8(truncatingIfNeeded: number) | 0x80] + varint(number >> 7)
    }

    static func field(_ number: UInt64, _ value: UInt64) -> Bytes { varint(number << 3) + varint(value) }

    static func field(_ number: UInt64, _ value: Bytes) -> Bytes {
        varint(number << 3 | 2) + varint(UInt64(value.count)) + value
    }
}

/// The same signature with S + L, L being the order of the group (RFC 8032 §5.1): it verifies where S is not
/// required to be canonical.
func addingGroupOrder(_ signature: Bytes) throws -> Bytes {
    let order = try bytes(hex: "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
    var sum = signature
    var carry = 0
    for index in 0..<32 {
        carry += Int(signature[32 + index]) + Int(order[index])
        sum[32 + index] = UInt8(carry & 0xff)
        carry >>= 8
    }
    return sum
}

/// Every u-coordinate below 2²⁵⁵−19 whose multiples by a clamped scalar are zero (RFC 7748 §6.1).
let lowOrderKeys: [String] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]
