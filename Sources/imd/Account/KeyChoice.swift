// Which keys of somebody a user means: all of them, one device's, one by its fingerprint, or those of a link.
import Foundation
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

/// Turns a user's words into keys, by what is known of the devices.
struct KeyChoice: Sendable {
    enum Selection: Sendable {
        case all
        case device(UInt32)
        /// Of devices that are known.
        case keys([PublicKey])
        /// The same, as another device showed it and a person compared it.
        case compared(PublicKey)
        /// As a link has them; they need not be known yet.
        case link(VerificationURI)
    }

    let own: OwnIdentity
    let jid: JID
    let selection: Selection

    /// - Returns: the keys, and devices that are meant although no key of theirs is known: only to be refused.
    /// - Throws: `.noSuchDevice`, `.fingerprintMismatch`.
    func keys(for level: TrustLevel, _ tx: Transaction) throws -> (
        decisions: [KeyDecision], unknown: [DeviceAddress]
    ) {
        let devices = try tx.devices(account: own.account, jid: jid).filter { $0.address != own.address }
        let keys: [PublicKey]
        var unknown: [DeviceAddress] = []
        switch selection {
        case .all:
            keys = devices.compactMap { $0.identityKey?.curve25519 }
            unknown = devices.filter { $0.identityKey == nil }.map(\.address)
            if devices.isEmpty { throw none("no device of \(jid) is known") }
        case .device(let id):
            guard let device = devices.first(where: { $0.address.device == id }) else {
                throw none("\(jid) has no device \(id)")
            }
            keys = [device.identityKey?.curve25519].compactMap(\.self)
            if keys.isEmpty { unknown = [device.address] }
        case .keys(let wanted):
            keys = try known(wanted, devices)
        case .compared(let key):
            keys = try known([key], devices)
        case .link(let link):
            keys = try self.keys(of: link, devices)
        }
        guard !keys.isEmpty || level == .distrusted || level == .undecided else {
            throw none("no key of \(unknown.count == 1 ? "that device" : "\(jid)") is known yet")
        }
        return (Set(keys).map { KeyDecision(jid: jid, key: $0, level: level) }, unknown)
    }

    private func known(_ keys: [PublicKey], _ devices: [DeviceRecord]) throws(UserError) -> [PublicKey] {
        for key in keys where !devices.contains(where: { $0.identityKey?.curve25519 == key }) {
            throw noDevice(with: key)
        }
        return keys
    }

    /// One key that is not what the link says, and nothing in it counts: somebody is in between.
    private func keys(of link: VerificationURI, _ devices: [DeviceRecord]) throws(UserError) -> [PublicKey] {
        var keys: [PublicKey] = []
        for (id, key) in link.keys {
            if jid == own.jid, id == own.device {
                guard key == own.identity.publicKey.curve25519 else { throw otherKey(id) }
                continue
            }
            if let known = devices.first(where: { $0.address.device == id })?.identityKey {
                guard known.curve25519 == key else { throw otherKey(id) }
            }
            keys.append(key)
        }
        guard !keys.isEmpty else {
            throw UserError(
                .fingerprintMismatch, "the link holds no key but this device's own",
                hint: "on the other device: imctl device qr --uri")
        }
        return keys
    }

    private func none(_ message: String) -> UserError {
        UserError(.noSuchDevice, message, hint: "while the account is online: imctl device list \(jid)")
    }

    private func noDevice(with key: PublicKey) -> UserError {
        guard case .compared = selection else { return none("no device of \(jid) has that fingerprint") }
        if jid == own.jid, key == own.identity.publicKey.curve25519 {
            return UserError(
                .fingerprintMismatch, "that is the fingerprint of this device itself",
                hint: "compare with what the other device shows")
        }
        return UserError(
            .fingerprintMismatch, "no device of \(jid) has that fingerprint",
            hint: "if it was read and typed right, somebody may be in between; see: imctl device list \(jid)")
    }

    private func otherKey(_ id: UInt32) -> UserError {
        UserError(
            .fingerprintMismatch, "device \(id) of \(jid) has another key than the link says",
            hint: "somebody may be in between; see: imctl device list \(jid)")
    }
}

extension PublicKey {
    /// A key as people type it: 64 hexadecimal digits, in groups or not.
    ///
    /// - Throws: `.invalidParams` for other text, `.fingerprintMismatch` for digits that no key has.
    init(parameter text: String) throws(UserError) {
        let text = text.trimmingCharacters(in: .whitespacesAndNewlines)
        if let key = PublicKey(fingerprint: text) {
            self = key
            return
        }
        let digits = text.filter { $0 != " " && $0 != ":" }
        guard digits.utf8.count == 64, digits.allSatisfy(\.isHexDigit) else {
            throw UserError(
                .invalidParams, "that is no fingerprint", hint: "a fingerprint has 64 hexadecimal digits")
        }
        throw UserError(
            .fingerprintMismatch, "no device can have that fingerprint", hint: "was it read and typed right?")
    }
}
