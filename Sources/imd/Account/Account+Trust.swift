// What a person decides about devices, and what follows: events, messages that were held for it, other devices told.
import Foundation
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

extension Account {
    // MARK: Decisions

    /// Decides about devices of somebody.
    func trust(_ params: DeviceTrust.Params) async throws -> TrustResult {
        try DeviceTrust.validate(params)
        var selection = params.device.map { KeyChoice.Selection.device($0) } ?? .all
        if let fingerprints = params.fingerprints ?? params.fingerprint.map({ [$0] }) {
            selection = .keys(try fingerprints.map { try PublicKey(parameter: $0) })
        }
        let choice = KeyChoice(own: own, jid: try JID(parameter: params.jid), selection: selection)
        return try await decide(TrustLevel(params.trust), choice)
    }

    /// Takes down what a person has compared.
    func verify(_ params: DeviceVerify.Params) async throws -> TrustResult {
        let named = try params.jid.map { try JID(parameter: $0) }
        if let uri = params.uri {
            let link = try Self.link(uri)
            guard named == nil || named == link.jid else {
                throw UserError(
                    .fingerprintMismatch, "the link is for devices of \(link.jid)",
                    hint: "leave out the JID, or ask for another link")
            }
            return try await decide(.verified, KeyChoice(own: own, jid: link.jid, selection: .link(link)))
        }
        guard let named, let fingerprint = params.fingerprint else {
            throw UserError(.invalidParams, "a JID and a fingerprint, or a link, is needed")
        }
        let key = try PublicKey(parameter: fingerprint)
        return try await decide(.verified, KeyChoice(own: own, jid: named, selection: .compared(key)))
    }

    private static func link(_ text: String) throws(UserError) -> VerificationURI {
        do {
            return try VerificationURI(text.trimmingCharacters(in: .whitespacesAndNewlines))
        } catch {
            throw UserError(
                .invalidParams, "that is no link to verify devices with",
                hint: "it looks like xmpp:user@host?omemo-sid-DEVICE=FINGERPRINT")
        }
    }

    /// Decision, events and trust messages are one transaction; then messages that waited for it are looked at again.
    private func decide(_ level: TrustLevel, _ choice: KeyChoice) async throws -> TrustResult {
        _ = try await devices(of: choice.jid)
        let decided = try await store.read { try choice.keys(for: level, $0).decisions }
        let bundles = try await bundlesForTrustMessages(about: decided)
        let (own, policies, now, isTold) = (own, policies, Clock.now(), mayEncrypt)
        let (changed, known, people, policy) = try await store.write { tx in
            let policy = try policies.policy(for: choice.jid, account: own, tx).policy
            let (keys, unknown) = try choice.keys(for: level, tx)
            let decisions = Decisions(own: own, now: now)
            var (changed, people) = try decisions.apply(keys, source: .person, tx)
            changed += try decisions.refuse(unknown, level, tx)
            if isTold {
                try TrustMessages(own: own, policies: policies, now: now).send(
                    about: keys, bundles: bundles, tx)
            } else {
                for key in keys { try tx.setUntold(true, account: own.account, jid: key.jid, key: key.key) }
            }
            people.insert(choice.jid)
            return (changed, try tx.devices(account: own.account, jid: choice.jid), people, policy)
        }
        flush()
        if !isTold { await tellDecisions() }
        let (released, cancelled) = await releaseHeld(in: Array(people))
        let shown = changed.filter { $0.address.jid == choice.jid }
        // What was trusted blindly before reads on: a person who has just verified may think otherwise.
        let others = known.map { ShownDevice($0, own: own, policy: policy) }
            .filter { $0.receives && $0.trust != .verified }
        return TrustResult(
            jid: choice.jid.description, devices: shown.map { ShownDevice($0, own: own, policy: policy) },
            unverified: level == .verified && !others.isEmpty ? others : nil, released: Int64(released),
            cancelled: Int64(cancelled))
    }

    // MARK: Sessions and lists

    /// Starts new sessions at a person's command.
    ///
    /// - Returns: the devices that have one.
    func reset(_ params: DeviceReset.Params) async throws -> [UInt32] {
        let (person, own) = (try JID(parameter: params.jid), own)
        guard isOnline else {
            throw notConnected("a new session needs the keys that the other side publishes")
        }
        let known = try await devices(of: person)
        let chosen = known.filter { device in
            if device.address == own.address { return false }
            return params.device.map { $0 == device.address.device } ?? device.isActive
        }.map { $0.address }
        guard !chosen.isEmpty else { throw noSuchDevice(params.device, of: person) }
        if params.forget == true { try await forget(chosen, of: person) }
        let renewed = try await renewSessions(chosen)
        await releaseHeld(in: [person])
        return renewed.map(\.device).sorted()
    }

    /// Forgets keys and sessions, and learns anew what the lists say now.
    private func forget(_ addresses: [DeviceAddress], of person: JID) async throws {
        let account = own.account
        try await store.write { tx in
            for address in addresses { try tx.forgetDevice(account: account, address) }
        }
        forgetLists(of: person)
        try await refreshLists(of: [person])
    }

    /// Takes another device of ours off both lists, and its keys with it.
    func removeDevice(_ device: UInt32) async throws {
        guard device != own.device else {
            throw UserError(
                .noSuchDevice, "device \(device) is this imd",
                hint: "imctl account remove \(jid) takes it off the lists")
        }
        guard isOnline else { throw notConnected("the lists are with the server") }
        var isListed = false
        for version in ProtocolVersion.allCases {
            var found = false
            try await editOwnList(version) { list in
                found = list.ids.contains(device)
                list.devices.removeAll { $0.id == device }
            }
            isListed = isListed || found
        }
        guard isListed else { throw noSuchDevice(device, of: jid) }
        // Nobody asks for its keys any more; a server that keeps them does no harm.
        _ = try? await set(PubSub.delete(Bundle.node(.legacy, device: device)))
        _ = try? await set(
            PubSub.retract(
                Bundle.itemID(.omemo2, device: device), from: Bundle.node(.omemo2, device: device)))
    }

    private func notConnected(_ reason: String) -> UserError {
        UserError(.notConnected, "\(jid) is not online: \(reason)", hint: "see: imctl status")
    }

    private func noSuchDevice(_ device: UInt32?, of person: JID) -> UserError {
        UserError(
            .noSuchDevice,
            device.map { "\(person) has no device \($0)" } ?? "no device of \(person) is known",
            hint: "see: imctl device list \(person)")
    }

    // MARK: Links

    /// The link by which others verify our devices, or anybody those of a contact.
    func uri(_ params: DeviceURI.Params) async throws -> DeviceURI.Result {
        let person = try params.jid.map { try JID(parameter: $0) } ?? jid
        var keys: [UInt32: PublicKey] = [:]
        if person == jid { keys[own.device] = own.identity.publicKey.curve25519 }
        for device in try await devices(of: person) where device.isActive && device.address != own.address {
            // A link vouches for what it holds: who scans it takes all of it for verified.
            guard let key = device.identityKey, device.trust == .verified else { continue }
            keys[device.address.device] = key.curve25519
        }
        guard !keys.isEmpty else { throw noSuchDevice(nil, of: person) }
        let uri = VerificationURI(jid: person, keys: keys).text
        var result = DeviceURI.Result(jid: person.description, uri: uri)
        if params.qr == true {
            guard let code = QRCode(uri) else {
                throw UserError(
                    .tooLarge, "\(keys.count) keys are too many for one QR code",
                    hint: "use the link: imctl device qr \(person) --uri")
            }
            result.qr = code.rows
        }
        return result
    }
}

extension ShownDevice {
    /// - Parameter policy: what holds for its owner.
    init(_ device: DeviceRecord, own: OwnIdentity, policy: TrustPolicy) {
        let isOwn = device.address == own.address
        let reads = device.isActive && device.identityKey != nil && policy.receives(device.trust)
        self.init(
            device: device.address.device,
            fingerprint: isOwn ? own.identity.publicKey.fingerprint : device.identityKey?.fingerprint,
            trust: isOwn ? .verified : Trust(device.trust), active: device.isActive, own: isOwn,
            firstSeenAt: Timestamp(milliseconds: device.firstSeenAt),
            lastReceivedAt: device.lastReceivedAt.map { Timestamp(milliseconds: $0) },
            versions: ProtocolVersion.allCases.filter(device.versions.contains).map { DeviceVersion($0) },
            receives: reads && !isOwn, label: device.label)
    }
}

extension TrustLevel {
    init(_ trust: Trust) { self = TrustLevel(rawValue: trust.rawValue) ?? .undecided }
}
