/// What one ratchet sends to another, and what starts a session; each version frames it in its own way.
import IMCrypto

/// One message of a ratchet, not yet authenticated.
struct RatchetMessage {
    /// A message carries 48 bytes of secret at most and takes about 130; no honest one comes near this.
    static let maxCount = 1024

    let header: RatchetHeader
    let ciphertext: Bytes
    /// What the MAC covers, after the identity keys.
    let authenticated: Bytes
    let mac: Bytes

    init(_ data: Bytes, _ version: ProtocolVersion) throws(DecryptionError) {
        guard data.count <= Self.maxCount else { throw .invalidMessage("framing") }
        switch version {
        case .legacy: try self.init(signalMessage: data)
        case .omemo2: try self.init(authenticatedMessage: data)
        }
    }

    init(header: RatchetHeader, ciphertext: Bytes, authenticated: Bytes, mac: Bytes) {
        self.header = header
        self.ciphertext = ciphertext
        self.authenticated = authenticated
        self.mac = mac
    }

    /// What is to be authenticated: header and ciphertext.
    static func encode(_ header: RatchetHeader, _ ciphertext: Bytes, _ version: ProtocolVersion) -> Bytes {
        switch version {
        case .legacy: encodeSignalMessage(header, ciphertext)
        case .omemo2: encodeOMEMOMessage(header, ciphertext)
        }
    }

    /// The finished message.
    static func frame(_ authenticated: Bytes, mac: Bytes, _ version: ProtocolVersion) -> Bytes {
        switch version {
        case .legacy: authenticated + mac
        case .omemo2: encodeAuthenticatedMessage(authenticated, mac: mac)
        }
    }
}

extension ProtocolVersion {
    /// How much of HMAC-SHA-256 a ratchet message carries, in bytes.
    var macCount: Int { self == .legacy ? 8 : 16 }
}

/// A ratchet message with what the receiver needs to build the session; not authenticated itself.
struct KeyExchangeMessage {
    var preKeyID: UInt32
    var signedPreKeyID: UInt32
    /// The device id of the sender, legacy only. Some omit it; it is not authenticated and decides nothing.
    var registrationID: UInt32?
    /// The initiator's ephemeral key.
    var baseKey: PublicKey
    /// 32 bytes in the form of the version: Curve25519 in legacy, Ed25519 in omemo:2.
    var identityKey: Bytes
    /// The ratchet message, framed.
    var message: Bytes

    init(
        preKeyID: UInt32, signedPreKeyID: UInt32, registrationID: UInt32?, baseKey: PublicKey,
        identityKey: Bytes, message: Bytes
    ) {
        self.preKeyID = preKeyID
        self.signedPreKeyID = signedPreKeyID
        self.registrationID = registrationID
        self.baseKey = baseKey
        self.identityKey = identityKey
        self.message = message
    }

    init(_ data: Bytes, _ version: ProtocolVersion) throws(DecryptionError) {
        guard data.count <= 2 * RatchetMessage.maxCount else { throw .invalidMessage("framing") }
        switch version {
        case .legacy: try self.init(preKeySignalMessage: data)
        case .omemo2: try self.init(omemoKeyExchange: data)
        }
    }

    func encoded(_ version: ProtocolVersion) -> Bytes {
        switch version {
        case .legacy: preKeySignalMessage
        case .omemo2: omemoKeyExchange
        }
    }
}
