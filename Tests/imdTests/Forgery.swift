// Messages that no honest client sends, made of honest parts.
import IMCrypto
import Store
import XMPP

@testable import OMEMO
@testable import imd

/// Where in an encrypted message a bit can be flipped.
enum MessagePart: CaseIterable {
    case ratchetMAC, ratchetCiphertext, payload
    /// Of the payload; omemo:2 has none.
    case nonce
}

extension EncryptedMessage {
    /// The message many times, each time with one bit of that part flipped.
    func flipping(_ part: MessagePart) throws -> [EncryptedMessage] {
        switch part {
        case .ratchetMAC: try flippingInKey(ratchetMessage.mac)
        case .ratchetCiphertext: try flippingInKey(ratchetMessage.ciphertext)
        case .payload: flips(of: payload ?? []).map { with(\.payload, $0) }
        case .nonce: flips(of: iv).map { with(\.iv, $0) }
        }
    }

    /// The bytes of a ratchet message are random, so they stand nowhere else in what goes around them.
    private func flippingInKey(_ part: Bytes) throws -> [EncryptedMessage] {
        guard let range = keys[0].data.firstRange(of: part) else { throw CodecError.missing("part") }
        return flips(of: part).map { flipped in
            var data = keys[0].data
            data.replaceSubrange(range, with: flipped)
            return with(\.keys[0].data, data)
        }
    }

    private var ratchetMessage: RatchetMessage {
        get throws {
            let data = keys[0].data
            let inner = keys[0].isKeyExchange ? try KeyExchangeMessage(data, version).message : data
            return try RatchetMessage(inner, version)
        }
    }

    private func with<Value>(_ path: WritableKeyPath<Self, Value>, _ value: Value) -> EncryptedMessage {
        var message = self
        message[keyPath: path] = value
        return message
    }
}

/// One bit of every byte, of long ones in some 64 places.
private func flips(of bytes: Bytes) -> [Bytes] {
    stride(from: 0, to: bytes.count, by: max(1, bytes.count / 64)).map { place in
        var flipped = bytes
        flipped[place] ^= 1 << UInt8(place % 8)
        return flipped
    }
}

extension SecretBytes {
    /// With one bit of a byte flipped.
    func flipping(_ place: Int) -> SecretBytes {
        var flipped = bytes
        flipped[place] ^= 1 << UInt8(place % 8)
        return SecretBytes(flipped)
    }
}

extension Element {
    func encryptedMessage(_ version: ProtocolVersion) throws -> EncryptedMessage {
        try EncryptedMessage(onlyChild("encrypted", in: version.rawValue), version)
    }

    /// The stanza with another encrypted message in the place of its own.
    func carrying(_ message: EncryptedMessage) -> Element {
        var stanza = self
        stanza.nodes = nodes.map { node in
            guard case .element(let child) = node, child.is("encrypted", in: message.version.rawValue) else {
                return node
            }
            return .element(message.element)
        }
        return stanza
    }

    func named(_ id: String) -> Element {
        var stanza = self
        stanza["id"] = id
        return stanza
    }
}

extension Party {
    /// What is in a payload before it is sealed.
    func content(_ body: String, _ version: ProtocolVersion, to other: Party) -> Bytes {
        var random = SystemRandomNumberGenerator()
        return MessageStanza.payload(body, version, from: jid, to: other.jid, using: &random)
    }

    /// A message in a ratchet that verifies, whatever the secret and the payload are; the session moves on.
    func seal(
        _ secret: SecretBytes, iv: Bytes = [], _ payload: Bytes, _ version: ProtocolVersion, to other: Party
    ) async throws -> Element {
        let bundle = try await other.bundle(version)
        let address = other.address
        let message = try await write { [own] tx in
            var random = SystemRandomNumberGenerator()
            var record =
                try tx.session(account: own.account, address, version) ?? SessionRecord(version)
            if record.isEmpty {
                try record.initiate(with: bundle, own: own.identity, ownDevice: own.device, using: &random)
            }
            let (data, isKeyExchange) = try record.encrypt(secret, using: &random)
            try tx.save(record, account: own.account, address, version)
            let key = EncryptedMessage.Key(
                jid: version == .omemo2 ? address.jid : nil, rid: address.device,
                isKeyExchange: isKeyExchange, data: data)
            return EncryptedMessage(version, sid: own.device, keys: [key], iv: iv, payload: payload)
        }
        var random = SystemRandomNumberGenerator()
        return MessageStanza.encrypted(message, to: other.jid, id: StanzaID.random(using: &random))
    }

    /// A first message to this party in the name of a device, by whoever has that identity.
    func exchange(
        from address: DeviceAddress, by identity: IdentityKeyPair, with bundle: OMEMO.Bundle
    ) throws -> Element {
        var random = SystemRandomNumberGenerator()
        var record = SessionRecord(bundle.version)
        try record.initiate(with: bundle, own: identity, ownDevice: address.device, using: &random)
        var recipients = [Recipient(address: self.address, record: record)]
        let payload = MessageStanza.payload(
            "it is me", bundle.version, from: address.jid, to: jid, using: &random)
        let message = try Fanout.encrypt(
            payload, bundle.version, from: address.device, to: &recipients, using: &random)
        return MessageStanza.encrypted(message, to: jid, id: StanzaID.random(using: &random))
    }

    /// Two friends; the first knows the second's device.
    static func friends(_ version: ProtocolVersion) async throws -> (Party, Party) {
        let (alice, bob) = (try await Party("alice@example.org"), try await Party("bob@example.org"))
        try await alice.meet(bob, versions: [version])
        try await alice.befriend(bob.jid)
        try await bob.befriend(alice.jid)
        return (alice, bob)
    }

    /// Two who have a session and know it.
    static func talking(_ version: ProtocolVersion) async throws -> (Party, Party) {
        let (alice, bob) = try await friends(version)
        try await bob.receive(try await alice.encrypt("one", to: bob), from: alice.jid)
        guard let answer = try await bob.outbox().first else { throw Failure.notEncrypted }
        try await alice.receive(answer, from: bob.jid)
        return (alice, bob)
    }
}
