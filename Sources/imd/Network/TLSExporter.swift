// The tls-exporter channel binding (RFC 9266), from what NIOSSL's key log tells.
import Crypto
import NIOConcurrencyHelpers
import NIOCore

/// Keeps a connection's exporter secret between the key log and the end of the handshake.
///
/// The log also carries the traffic secrets; those are dropped at once.
final class TLSExporter: Sendable {
    private let secret = NIOLockedValueBox<SymmetricKey?>(nil)

    /// NIOSSL's `keyLogCallback`: one line of NSS key log format.
    func log(_ line: ByteBuffer) {
        let fields = line.readableBytesView.split(separator: UInt8(ascii: " "))
        guard fields.count == 3, fields[0].elementsEqual("EXPORTER_SECRET".utf8) else { return }
        guard let bytes = Self.hexadecimal(fields[2]) else { return }
        secret.withLockedValue { $0 = SymmetricKey(data: bytes) }
    }

    /// The 32 bytes to bind to, once; nil before TLS 1.3, which has no exporter secret to log.
    func takeBinding() -> [UInt8]? {
        let secret = secret.withLockedValue { secret in
            defer { secret = nil }
            return secret
        }
        guard let secret else { return nil }
        switch secret.bitCount {
        case 256: return Self.export(secret, SHA256.self)
        case 384: return Self.export(secret, SHA384.self)
        default: return nil
        }
    }

    /// TLS-Exporter (RFC 8446 §7.5) with label `EXPORTER-Channel-Binding` and an empty context.
    static func export<H: HashFunction>(_ secret: SymmetricKey, _: H.Type) -> [UInt8] {
        let empty = Array(H.hash(data: [UInt8]()))
        let derived = expandLabel(
            secret, "EXPORTER-Channel-Binding", context: empty, count: H.Digest.byteCount, H.self)
        return expandLabel(derived, "exporter", context: empty, count: 32, H.self)
            .withUnsafeBytes { Array($0) }
    }

    /// HKDF-Expand-Label (RFC 8446 §7.1).
    private static func expandLabel<H: HashFunction>(
        _ secret: SymmetricKey, _ label: String, context: [UInt8], count: Int, _: H.Type
    ) -> SymmetricKey {
        let full = Array("tls13 \(label)".utf8)
        let info =
            [UInt8(count >> 8), UInt8(count & 0xff), UInt8(full.count)] + full
            + [UInt8(context.count)] + context
        return HKDF<H>.expand(pseudoRandomKey: secret, info: info, outputByteCount: count)
    }

    private static func hexadecimal(_ text: some Collection<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in text where character != UInt8(ascii: "\n") {
            guard let digit = Character(UnicodeScalar(character)).hexDigitValue else { return nil }
            if let upper = high {
                bytes.append(upper << 4 | UInt8(digit))
                high = nil
            } else {
                high = UInt8(digit)
            }
        }
        return high == nil ? bytes : nil
    }
}
