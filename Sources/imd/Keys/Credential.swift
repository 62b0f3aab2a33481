// A key that systemd hands to the service (systemd.exec(5), LoadCredential and SetCredentialEncrypted).
import Foundation
import IMCrypto
import LocalAPI
import XMPP

/// The credential `imd-key`: 32 bytes, or those in hexadecimal or base64.
struct Credential {
    /// The folder of the credentials; nil if the service got none.
    let folder: String?

    init(_ folder: String?) { self.folder = folder }

    func read() throws(UserError) -> SecretBytes {
        guard let folder else {
            throw UserError(
                .configuration, "the service has no credentials",
                hint: "add to its unit: LoadCredentialEncrypted=imd-key:FILE; see systemd-creds(1)")
        }
        guard let data = FileManager.default.contents(atPath: folder + "/imd-key") else {
            throw UserError(
                .configuration, "the service has no credential imd-key",
                hint: "add to its unit: LoadCredentialEncrypted=imd-key:FILE; see systemd-creds(1)")
        }
        guard let key = Self.key(Bytes(data)) else {
            throw UserError(
                .configuration, "the credential imd-key is no key",
                hint: "make one with: head -c 32 /dev/urandom | systemd-creds encrypt --name=imd-key - FILE")
        }
        return key
    }

    static func key(_ bytes: Bytes) -> SecretBytes? {
        if bytes.count == Seal.keyCount { return SecretBytes(bytes) }
        let text = String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        if text.utf8.count == 2 * Seal.keyCount, let key = Bytes(hex: text) { return SecretBytes(key) }
        guard let key = Base64.decode(text), key.count == Seal.keyCount else { return nil }
        return SecretBytes(key)
    }
}

extension Bytes {
    /// Nil for anything but pairs of hexadecimal digits.
    init?(hex text: String) {
        let digits = text.utf8.map { Character(UnicodeScalar($0)).hexDigitValue }
        guard digits.count % 2 == 0 else { return nil }
        var bytes = Bytes()
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = digits[index], let low = digits[index + 1] else { return nil }
            bytes.append(UInt8(high << 4 | low))
        }
        self = bytes
    }
}
