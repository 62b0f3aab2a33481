// Times the OMEMO ratchet exactly as bench/omemo_c.c does, in the version that the argument names (legacy or omemo2),
// the primitives in it, and the fan-out to many devices; prints one JSON object.
import IMCrypto
import OMEMO

/// One device and its session with the other one, kept serialized between messages as in the database.
struct Device: PreKeyStore {
    let own: OwnDevice
    let version: ProtocolVersion
    var session: Bytes?

    init(_ version: ProtocolVersion, using random: inout some RandomNumberGenerator) {
        self.version = version
        own = OwnDevice.generate(avoiding: [], at: 0, using: &random)
    }

    func preKey(_ id: UInt32) -> KeyPair? { own.preKeys.first { $0.id == id }?.keyPair }
    func signedPreKey(_ id: UInt32) -> KeyPair? { id == own.signedPreKey.id ? own.signedPreKey.keyPair : nil }

    func record() throws -> SessionRecord {
        guard let session else { return SessionRecord(version) }
        return try SessionRecord(serialized: session)
    }

    mutating func start(with other: Device, using random: inout some RandomNumberGenerator) throws {
        var record = SessionRecord(version)
        let bundle = try Bundle(other.own.bundle(version).element, version)
        try record.initiate(with: bundle, own: own.identity, ownDevice: own.id, using: &random)
        session = record.serialized().bytes
    }

    mutating func encrypt(
        _ secret: SecretBytes, using random: inout some RandomNumberGenerator
    ) throws -> (data: Bytes, isKeyExchange: Bool) {
        var record = try record()
        let message = try record.encrypt(secret, using: &random)
        session = record.serialized().bytes
        return message
    }

    mutating func decrypt(_ message: (data: Bytes, isKeyExchange: Bool), expecting secret: SecretBytes) throws
    {
        var record = try record()
        let opened = try record.decrypt(
            message.data, isKeyExchange: message.isKeyExchange, own: own.identity, preKeys: self)
        precondition(opened.plaintext == secret, "the ratchet does not give back what went in")
        session = record.serialized().bytes
    }
}

@main
enum Ratchet {
    static let oneWay = 20_000
    static let turns = 2_000
    static let setUps = 500

    static func main() throws {
        var random = SystemRandomNumberGenerator()
        let version: ProtocolVersion = CommandLine.arguments.last == "omemo2" ? .omemo2 : .legacy
        let secret = SecretBytes.random(count: version == .legacy ? 32 : 48, using: &random)
        var alice = Device(version, using: &random)
        var bob = Device(version, using: &random)

        // Both sides: session from the bundle, first message, its decryption.
        let setUp = try microseconds(each: setUps) { _ in
            bob.session = nil
            try alice.start(with: bob, using: &random)
            try bob.decrypt(alice.encrypt(secret, using: &random), expecting: secret)
        }
        // Every message starts a new chain, so it is one Diffie-Hellman step on each side.
        let turn = try microseconds(each: turns) { index in
            if index.isMultiple(of: 2) {
                try alice.decrypt(bob.encrypt(secret, using: &random), expecting: secret)
            } else {
                try bob.decrypt(alice.encrypt(secret, using: &random), expecting: secret)
            }
        }
        var sent: [(data: Bytes, isKeyExchange: Bool)] = []
        sent.reserveCapacity(oneWay)
        let encrypting = try microseconds(each: oneWay) { _ in
            sent.append(try alice.encrypt(secret, using: &random))
        }
        let decrypting = try microseconds(each: oneWay) { index in
            try bob.decrypt(sent[index], expecting: secret)
        }
        let primitives = try Primitives(version)
        let (few, many) = (try FanoutTime(version, devices: 100), try FanoutTime(version, devices: 1_500))
        print(
            """
            {"encrypt_us": \(encrypting), "decrypt_us": \(decrypting), "ping_pong_us": \(turn), "set_up_us": \(setUp), \
            "symmetric_us": \(primitives.symmetric), "agreement_us": \(primitives.agreement), \
            "fanout_100_us": \(few.microseconds), "fanout_1500_us": \(many.microseconds), \
            "fanout_1500_bytes": \(many.stanzaSize)}
            """)
    }

    static func microseconds(each count: Int, _ body: (Int) throws -> Void) rethrows -> Double {
        let clock = ContinuousClock()
        let elapsed = try clock.measure { for index in 0..<count { try body(index) } }
        return Double(elapsed.components.seconds) * 1e6 / Double(count)
            + Double(elapsed.components.attoseconds) / 1e12 / Double(count)
    }
}
