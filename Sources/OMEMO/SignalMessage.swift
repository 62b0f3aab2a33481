/// The ratchet messages of legacy OMEMO: SignalMessage and PreKeySignalMessage (XEP-0384 0.3 §4.5).
import IMCrypto

/// Version 3 of the format, in both halves of the byte that stands first.
private let framing: UInt8 = 0x33

extension RatchetMessage {
    /// `33` ‖ protobuf ‖ MAC of 8 bytes.
    init(signalMessage data: Bytes) throws(DecryptionError) {
        let macCount = ProtocolVersion.legacy.macCount
        guard data.count > 1 + macCount, data[0] == framing else { throw .invalidMessage("framing") }
        authenticated = Bytes(data.dropLast(macCount))
        mac = Bytes(data.suffix(macCount))
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
    static func encodeSignalMessage(_ header: RatchetHeader, _ ciphertext: Bytes) -> Bytes {
        var writer = ProtobufWriter(framing: framing, capacity: 64 + ciphertext.count)
        writer.append(1, header.dh.serialized)
        writer.append(2, header.n)
        writer.append(3, header.pn)
        writer.append(4, ciphertext)
        return writer.bytes
    }
}

extension KeyExchangeMessage {
    /// `33` ‖ protobuf.
    init(preKeySignalMessage data: Bytes) throws(DecryptionError) {
        guard data.first == framing else { throw .invalidMessage("framing") }
        var preKeyID: UInt32?
        var signedPreKeyID: UInt32?
        var registrationID: UInt32?
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
        self.init(
            preKeyID: preKeyID, signedPreKeyID: signedPreKeyID, registrationID: registrationID,
            baseKey: baseKey, identityKey: identityKey.bytes, message: message)
    }

    var preKeySignalMessage: Bytes {
        var writer = ProtobufWriter(framing: framing, capacity: 112 + message.count)
        writer.append(1, preKeyID)
        writer.append(2, baseKey.serialized)
        writer.append(3, [5] + identityKey)
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
