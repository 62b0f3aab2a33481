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
    ///   - text: UTF-8; nil for an empty message, which answers a key exchange or a heartbeat.
    ///   - sid: our own device id.
    ///   - recipients: their records advance; each gets one key, in this order.
    /// - Throws: if it fails for any recipient; then no record has changed.
    public static func encrypt(
        _ text: Bytes?, from sid: UInt32, to recipients: inout [Recipient],
        using random: inout some RandomNumberGenerator
    ) throws(FanoutError) -> EncryptedMessage {
        guard !recipients.isEmpty else { throw .noRecipients }
        let sealed = try seal(text, using: &random)
        var advanced = recipients
        var keys: [EncryptedMessage.Key] = []
        keys.reserveCapacity(advanced.count)
        for index in advanced.indices {
            let address = advanced[index].address
            do {
                let key = try advanced[index].record.encrypt(sealed.secret, using: &random)
                keys.append(
                    EncryptedMessage.Key(
                        rid: address.device, isKeyExchange: key.isKeyExchange, data: key.data))
            } catch {
                throw .recipient(address, error)
            }
        }
        recipients = advanced
        return EncryptedMessage(sid: sid, keys: keys, iv: sealed.iv, payload: sealed.payload)
    }

    private static func seal(
        _ text: Bytes?, using random: inout some RandomNumberGenerator
    ) throws(FanoutError) -> (secret: SecretBytes, iv: Bytes, payload: Bytes?) {
        guard let text else {
            return (Payload.emptySecret(using: &random), Payload.makeIV(using: &random), nil)
        }
        do {
            let sealed = try Payload.seal(text, using: &random)
            return (sealed.secret, sealed.iv, sealed.ciphertext)
        } catch {
            throw .payload
        }
    }
}
