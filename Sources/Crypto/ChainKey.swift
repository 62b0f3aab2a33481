// The symmetric half of the Double Ratchet: a chain key and the message keys it yields.
import CSodium

/// A sending or receiving chain.
struct ChainKey: Sendable {
    /// 32 bytes.
    var key: SecretBytes
    /// The number of the next message.
    var count: UInt32 = 0

    /// The next message's keys. The caller makes sure that `count` is below 2^32-1.
    mutating func next(_ parameters: DoubleRatchet.Parameters) -> MessageKeys {
        withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { messageKey in
            defer { sodium_memzero(messageKey.start, 32) }
            key = SecretBytes(count: 32) { out in
                key.withUnsafeBytes { Self.step($0, messageKey: messageKey.start, next: out.start) }
            }
            count &+= 1
            return MessageKeys(UnsafeRawBufferPointer(messageKey), parameters)
        }
    }

    /// Steps over `distance` messages.
    ///
    /// - Returns: their numbers and message keys, as `SkippedKeys` keeps them.
    mutating func skip(_ distance: Int) -> SecretBytes {
        withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { current in
            defer { sodium_memzero(current.start, 32) }
            key.withUnsafeBytes { current.copyMemory(from: $0) }
            let entries = SecretBytes(count: distance * SkippedKeys.entrySize) { out in
                for start in stride(from: 0, to: out.count, by: SkippedKeys.entrySize) {
                    out.storeBytes(of: count.bigEndian, toByteOffset: start, as: UInt32.self)
                    let messageKey = UnsafeMutableRawBufferPointer(rebasing: out[(start + 4)...])
                    Self.step(
                        UnsafeRawBufferPointer(current), messageKey: messageKey.start,
                        next: current.start)
                    count &+= 1
                }
            }
            key = SecretBytes(current)
            return entries
        }
    }

    /// HMAC(chain key, 01) is the message key, HMAC(chain key, 02) the next chain key, 32 bytes each.
    ///
    /// - Parameter next: may be the chain key's own memory.
    @inline(__always)
    private static func step(
        _ chainKey: UnsafeRawBufferPointer, messageKey: UnsafeMutableRawPointer,
        next: UnsafeMutableRawPointer
    ) {
        var forNext = HMACSHA256(key: chainKey)
        var forMessage = forNext
        forMessage.update(1)
        forMessage.finish(into: messageKey)
        forNext.update(2)
        forNext.finish(into: next)
    }
}

extension MessageKeys {
    /// HKDF(salt 32 zero bytes, input message key, 80 bytes), cut in three.
    init(_ messageKey: UnsafeRawBufferPointer, _ parameters: DoubleRatchet.Parameters) {
        self = withUnsafeTemporaryAllocation(byteCount: 80, alignment: 8) { out in
            defer { sodium_memzero(out.start, 80) }
            HKDF.derive(HKDF.zeroSalt, ikm: messageKey, info: parameters.messageInfo.buffer, into: out)
            return MessageKeys(
                cipherKey: SecretBytes(UnsafeMutableRawBufferPointer(rebasing: out[0..<32])),
                macKey: SecretBytes(UnsafeMutableRawBufferPointer(rebasing: out[32..<64])),
                iv: Bytes(UnsafeMutableRawBufferPointer(rebasing: out[64..<80])))
        }
    }
}
