/// The ratchet messages of omemo:2: OMEMOMessage, OMEMOAuthenticatedMessage, OMEMOKeyExchange (XEP-0384 §4.4, §9).
import IMCrypto

extension RatchetMessage {
    /// An OMEMOAuthenticatedMessage, which holds MAC and OMEMOMessage.
    init(authenticatedMessage data: Bytes) throws(DecryptionError) {
        var mac: Bytes?
        var message: Bytes?
        var reader = ProtobufReader(data)
        while let field = try reader.next() {
            switch field {
            case (1, .bytes(let bytes)): mac = bytes
            case (2, .bytes(let bytes)): message = bytes
            case (1...2, _): throw .invalidMessage("field type")
            default: break
            }
        }
        guard let mac, mac.count == ProtocolVersion.omemo2.macCount, let message else {
            throw .invalidMessage("fields")
        }
        try self.init(omemoMessage: message, mac: mac)
    }

    private init(omemoMessage data: Bytes, mac: Bytes) throws(DecryptionError) {
        var n: UInt32?
        var pn: UInt32?
        var ratchetKey: PublicKey?
        var ciphertext: Bytes?
        var reader = ProtobufReader(data)
        while let field = try reader.next() {
            switch field {
            case (1, .number(let number)): n = number
            case (2, .number(let number)): pn = number
            case (3, .bytes(let bytes)): ratchetKey = try publicKey(bytes)
            case (4, .bytes(let bytes)): ciphertext = bytes
            case (1...4, _): throw .invalidMessage("field type")
            default: break
            }
        }
        guard let n, let pn, let ratchetKey, let ciphertext, !ciphertext.isEmpty, ciphertext.count % 16 == 0
        else { throw .invalidMessage("fields") }
        self.init(
            header: RatchetHeader(dh: ratchetKey, n: n, pn: pn), ciphertext: ciphertext,
            authenticated: data, mac: mac)
    }

    /// An OMEMOMessage, which the MAC covers.
    static func encodeOMEMOMessage(_ header: RatchetHeader, _ ciphertext: Bytes) -> Bytes {
        var writer = ProtobufWriter(capacity: 64 + ciphertext.count)
        writer.append(1, header.n)
        writer.append(2, header.pn)
        writer.append(3, header.dh.bytes)
        writer.append(4, ciphertext)
        return writer.bytes
    }

    static func encodeAuthenticatedMessage(_ message: Bytes, mac: Bytes) -> Bytes {
        var writer = ProtobufWriter(capacity: 8 + mac.count + message.count)
        writer.append(1, mac)
        writer.append(2, message)
        return writer.bytes
    }
}

extension KeyExchangeMessage {
    init(omemoKeyExchange data: Bytes) throws(DecryptionError) {
        var preKeyID: UInt32?
        var signedPreKeyID: UInt32?
        var identityKey: Bytes?
        var ephemeralKey: PublicKey?
        var message: Bytes?
        var reader = ProtobufReader(data)
        while let field = try reader.next() {
            switch field {
            case (1, .number(let number)): preKeyID = number
            case (2, .number(let number)): signedPreKeyID = number
            case (3, .bytes(let bytes)): identityKey = bytes
            case (4, .bytes(let bytes)): ephemeralKey = try publicKey(bytes)
            case (5, .bytes(let bytes)): message = bytes
            case (1...5, _): throw .invalidMessage("field type")
            default: break
            }
        }
        guard let preKeyID, let signedPreKeyID, let identityKey, identityKey.count == 32, let ephemeralKey,
            let message
        else { throw .invalidMessage("fields") }
        self.init(
            preKeyID: preKeyID, signedPreKeyID: signedPreKeyID, registrationID: nil,
            baseKey: ephemeralKey, identityKey: identityKey, message: message)
    }

    var omemoKeyExchange: Bytes {
        var writer = ProtobufWriter(capacity: 96 + message.count)
        writer.append(1, preKeyID)
        writer.append(2, signedPreKeyID)
        writer.append(3, identityKey)
        writer.append(4, baseKey.bytes)
        writer.append(5, message)
        return writer.bytes
    }
}

private func publicKey(_ bytes: Bytes) throws(DecryptionError) -> PublicKey {
    do {
        return try PublicKey(bytes)
    } catch {
        throw .invalidMessage("public key")
    }
}
