/// One text to many devices.
public import IMCrypto

/// One device to encrypt to, with the session that does it.
public struct Recipient: Sendable {
    /// The device; the caller has checked that its trust level receives.
    public let address: DeviceAddress
    /// Must hold a session. Save it in the same transaction as the message.
    public var record: SessionRecord

    /// A device and its session.
    public init(address: DeviceAddress, record: SessionRecord) {
        self.address = address
        self.record = record
    }
}

/// Encrypts the payload once and its secret once per device.
public enum Fanout {
    /// Builds the message for all recipients.
    ///
    /// - Parameters:
    ///   - content: see `Payload.seal`; nil for an empty message, which answers a key exchange or a heartbeat.
    ///   - version: of the message and of every recipient's record.
    ///   - sid: our own device id.
    ///   - recipients: their records advance; each gets one key, in this order.
    /// - Throws: if it fails for any recipient; then no record has changed.
    public static func encrypt(
        _ content: Bytes?, _ version: ProtocolVersion, from sid: UInt32, to recipients: inout [Recipient],
        using random: inout some RandomNumberGenerator
    ) throws(FanoutError) -> EncryptedMessage {
        guard !recipients.isEmpty else { throw .noRecipients }
        let sealed = try seal(content, version, using: &random)
        var advanced = recipients
        var keys: [EncryptedMessage.Key] = []
        keys.reserveCapacity(advanced.count)
        for index in advanced.indices {
            let address = advanced[index].address
            guard advanced[index].record.version == version else { throw .recipient(address, .noSession) }
            do {
                let key = try advanced[index].record.encrypt(sealed.secret, using: &random)
                keys.append(
                    EncryptedMessage.Key(
                        jid: version == .omemo2 ? address.jid : nil, rid: address.device,
                        isKeyExchange: key.isKeyExchange, data: key.data))
            } catch {
                throw .recipient(address, error)
            }
        }
        recipients = advanced
        return EncryptedMessage(version, sid: sid, keys: keys, iv: sealed.iv, payload: sealed.payload)
    }

    private static func seal(
        _ content: Bytes?, _ version: ProtocolVersion, using random: inout some RandomNumberGenerator
    ) throws(FanoutError) -> (secret: SecretBytes, iv: Bytes, payload: Bytes?) {
        guard let content else {
            return (
                Payload.emptySecret(version, using: &random), Payload.makeIV(version, using: &random), nil
            )
        }
        do {
            let sealed = try Payload.seal(content, version, using: &random)
            return (sealed.secret, sealed.iv, sealed.ciphertext)
        } catch {
            throw .payload
        }
    }
}
