/// The two legacy ratchet messages, SignalMessage and PreKeySignalMessage; nothing general.
import IMCrypto

/// One message of a ratchet: `33` ‖ protobuf ‖ MAC of 8 bytes.
struct SignalMessage {
    /// Version 3 of the format, in both halves of the byte.
    static let framing: UInt8 = 0x33
    static let macCount = 8
    /// A message carries 32 bytes of secret and takes about 110; no honest one comes near this.
    static let maxCount = 1024

    let header: RatchetHeader
    let ciphertext: Bytes
    /// `33` ‖ protobuf: what the MAC covers, after the identity keys.
    let authenticated: Bytes
    let mac: Bytes

    init(_ data: Bytes) throws(DecryptionError) {
        guard data.count <= Self.maxCount, data.count > 1 + Self.macCount, data[0] == Self.framing else {
            throw .invalidMessage("framing")
        }
        authenticated = Bytes(data.dropLast(Self.macCount))
        mac = Bytes(data.suffix(Self.macCount))
        var ratchetKey: PublicKey?
        var counter: UInt32 = 0
        var previousCounter: UInt32 = 0
        var ciphertext: Bytes?
        var reader = ProtobufReader(authenticated, from: 1)
        while let field = try reader.next() {
            switch field {
            case (1, .bytes(let bytes)): ratchetKey = try publicKey(bytes)
            case (2, .number(let number)): counter = number
            case (3, .number(let number)): previousCounter = number
            case (4, .bytes(let bytes)): ciphertext = bytes
            case (1...4, _): throw .invalidMessage("field type")
            default: break
            }
        }
        guard let ratchetKey, let ciphertext, !ciphertext.isEmpty, ciphertext.count % 16 == 0 else {
            throw .invalidMessage("fields")
        }
        header = RatchetHeader(dh: ratchetKey, n: counter, pn: previousCounter)
        self.ciphertext = ciphertext
    }

    /// `33` ‖ protobuf, to be followed by the MAC.
    static func encode(_ header: RatchetHeader, _ ciphertext: Bytes) -> Bytes {
        var writer = ProtobufWriter(framing: framing, capacity: 64 + ciphertext.count)
        writer.append(1, header.dh.serialized)
        writer.append(2, header.n)
        writer.append(3, header.pn)
        writer.append(4, ciphertext)
        return writer.bytes
    }
}

/// A ratchet message with what the receiver needs to build the session: `33` ‖ protobuf, not
/// authenticated itself.
struct PreKeySignalMessage {
    var preKeyID: UInt32
    var signedPreKeyID: UInt32
    /// The device id of the sender. Some omit it; it is not authenticated and decides nothing.
    var registrationID: UInt32?
    var baseKey: PublicKey
    var identityKey: PublicKey
    /// A SignalMessage with its framing.
    var message: Bytes

    init(
        preKeyID: UInt32, signedPreKeyID: UInt32, registrationID: UInt32, baseKey: PublicKey,
        identityKey: PublicKey, message: Bytes
    ) {
        self.preKeyID = preKeyID
        self.signedPreKeyID = signedPreKeyID
        self.registrationID = registrationID
        self.baseKey = baseKey
        self.identityKey = identityKey
        self.message = message
    }

    init(_ data: Bytes) throws(DecryptionError) {
        guard data.count <= 2 * SignalMessage.maxCount, data.first == SignalMessage.framing else {
            throw .invalidMessage("framing")
        }
        var preKeyID: UInt32?
        var signedPreKeyID: UInt32?
        var baseKey: PublicKey?
        var identityKey: PublicKey?
        var message: Bytes?
        var reader = ProtobufReader(data, from: 1)
        while let field = try reader.next() {
            switch field {
            case (1, .number(let number)): preKeyID = number
            case (2, .bytes(let bytes)): baseKey = try publicKey(bytes)
            case (3, .bytes(let bytes)): identityKey = try publicKey(bytes)
            case (4, .bytes(let bytes)): message = bytes
            case (5, .number(let number)): registrationID = number
            case (6, .number(let number)): signedPreKeyID = number
            case (1...6, _): throw .invalidMessage("field type")
            default: break
            }
        }
        guard let preKeyID, let signedPreKeyID, let baseKey, let identityKey, let message else {
            throw .invalidMessage("fields")
        }
        self.preKeyID = preKeyID
        self.signedPreKeyID = signedPreKeyID
        self.baseKey = baseKey
        self.identityKey = identityKey
        self.message = message
    }

    var encoded: Bytes {
        var writer = ProtobufWriter(framing: SignalMessage.framing, capacity: 112 + message.count)
        writer.append(1, preKeyID)
        writer.append(2, baseKey.serialized)
        writer.append(3, identityKey.serialized)
        writer.append(4, message)
        if let registrationID { writer.append(5, registrationID) }
        writer.append(6, signedPreKeyID)
        return writer.bytes
    }
}

private func publicKey(_ serialized: Bytes) throws(DecryptionError) -> PublicKey {
    do {
        return try PublicKey(serialized: serialized)
    } catch {
        throw .invalidMessage("public key")
    }
}

/// Reads fields once each. Refuses what no encoder of these messages writes: repeated fields, groups,
/// numbers beyond 32 bits.
private struct ProtobufReader {
    enum Value {
        case number(UInt32)
        case bytes(Bytes)
    }

    private let bytes: Bytes
    private var position: Int
    private var seen: UInt32 = 0

    init(_ bytes: Bytes, from position: Int) {
        self.bytes = bytes
        self.position = position
    }

    mutating func next() throws(DecryptionError) -> (field: UInt32, value: Value)? {
        guard position < bytes.count else { return nil }
        let tag = try number()
        let field = tag >> 3
        // Fields that later versions may add are skipped, but 31 of them are enough.
        guard (1...31).contains(field), seen & (1 << field) == 0 else { throw .invalidMessage("field") }
        seen |= 1 << field
        switch tag & 7 {
        case 0: return (field, .number(try number()))
        case 2:
            let count = Int(try number())
            guard count <= bytes.count - position else { throw .invalidMessage("length") }
            defer { position += count }
            return (field, .bytes(Bytes(bytes[position..<position + count])))
        default: throw .invalidMessage("wire type")
        }
    }

    private mutating func number() throws(DecryptionError) -> UInt32 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 28, by: 7) {
            guard position < bytes.count else { throw .invalidMessage("number") }
            let byte = bytes[position]
            position += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 {
                guard let number = UInt32(exactly: value) else { break }
                return number
            }
        }
        throw .invalidMessage("number")
    }
}

private struct ProtobufWriter {
    private(set) var bytes: Bytes

    init(framing: UInt8, capacity: Int) {
        bytes = []
        bytes.reserveCapacity(capacity)
        bytes.append(framing)
    }

    mutating func append(_ field: UInt32, _ value: UInt32) {
        append(field << 3)
        append(value)
    }

    mutating func append(_ field: UInt32, _ value: Bytes) {
        append(field << 3 | 2)
        append(UInt32(value.count))
        bytes += value
    }

    private mutating func append(_ number: UInt32) {
        var rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}
