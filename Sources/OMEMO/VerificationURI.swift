/// Keys as a link that people compare by scanning or pasting: `xmpp:JID?omemo-sid-ID=KEY` (XEP-0147; Conversations).
public import IMCrypto
public import XMPP

/// Somebody's devices and their identity keys.
public struct VerificationURI: Equatable, Sendable {
    /// Bare JID.
    public let jid: JID
    /// The Curve25519 key of each device, by its id.
    public let keys: [UInt32: PublicKey]

    /// A link to show.
    public init(jid: JID, keys: [UInt32: PublicKey]) {
        self.jid = jid.bare
        self.keys = keys
    }

    /// Reads a link. Parts that are not about keys are passed over.
    ///
    /// - Throws: `.invalid` or `.missing` for a link that is none, names no key, or one device twice.
    public init(_ text: String) throws(CodecError) {
        let scheme = "xmpp:"
        guard text.utf8.count <= 16_384, text.prefix(scheme.count).lowercased() == scheme else {
            throw .invalid("xmpp")
        }
        let rest = text.dropFirst(scheme.count).drop { $0 == "/" }
        guard let question = rest.firstIndex(of: "?"), let address = Self.decode(rest[..<question]),
            let jid = try? JID(address)
        else { throw .invalid("jid") }
        var keys: [UInt32: PublicKey] = [:]
        for part in rest[rest.index(after: question)...].split(whereSeparator: { $0 == ";" || $0 == "&" }) {
            let pair = part.split(separator: "=", maxSplits: 1)
            guard pair.count == 2, pair[0].lowercased().hasPrefix(Self.prefix) else { continue }
            guard let id = UInt32(pair[0].dropFirst(Self.prefix.count)), DeviceAddress.devices.contains(id),
                let key = PublicKey(fingerprint: String(pair[1])), keys.updateValue(key, forKey: id) == nil
            else { throw .invalid("omemo-sid") }
        }
        guard !keys.isEmpty else { throw .missing("omemo-sid") }
        (self.jid, self.keys) = (jid.bare, keys)
    }

    /// The link, devices in the order of their ids.
    public var text: String {
        let parts = keys.sorted { $0.key < $1.key }.map { "\(Self.prefix)\($0.key)=\($0.value.fingerprint)" }
        return "xmpp:\(Self.encode(jid.description))?\(parts.joined(separator: ";"))"
    }

    private static let prefix = "omemo-sid-"

    /// RFC 5122 §2.2: what may stand in the path as it is.
    private static func encode(_ text: String) -> String {
        var encoded = ""
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a:
                encoded.unicodeScalars.append(UnicodeScalar(byte))
            case _ where "-._~!$&'()*+,@:".utf8.contains(byte):
                encoded.unicodeScalars.append(UnicodeScalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                encoded += "%" + (digits.count == 1 ? "0" : "") + digits
            }
        }
        return encoded
    }

    private static func decode(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

extension PublicKey {
    /// Reads what people compare: 64 hexadecimal digits; spaces and colons between them do not count.
    public init?(fingerprint text: String) {
        var digits: [UInt8] = []
        for character in text where character != " " && character != ":" {
            guard character.isASCII, let digit = character.hexDigitValue else { return nil }
            digits.append(UInt8(digit))
        }
        guard digits.count == 64 else { return nil }
        let bytes = stride(from: 0, to: 64, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
        guard let key = try? PublicKey(bytes) else { return nil }
        self = key
    }

    /// 64 lower-case hexadecimal digits.
    public var fingerprint: String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
