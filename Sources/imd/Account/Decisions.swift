// What was decided about keys, written down with everything that follows from it.
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

/// One decision about one key of somebody.
struct KeyDecision: Equatable, Sendable {
    var jid: JID
    var key: PublicKey
    var level: TrustLevel
}

/// Keeps decisions, tells of every device that they change, and lets those count that waited for the key of their
/// sender to be authenticated (XEP-0450 §5.1).
struct Decisions {
    let own: OwnIdentity
    let now: Int64

    /// - Parameter at: when it was decided, Unix milliseconds; nil for now.
    /// - Returns: the devices whose trust changed, and everybody whose keys were decided about.
    @discardableResult
    func apply(
        _ decisions: [KeyDecision], source: DecisionSource, at: Int64? = nil, _ tx: Transaction
    ) throws -> (changed: [DeviceRecord], people: Set<JID>) {
        var changed: [DeviceRecord] = []
        var people: Set<JID> = []
        var waiting = decisions.map { (decision: $0, source: source, at: at ?? now) }
        while !waiting.isEmpty {
            let (decision, source, at) = waiting.removeFirst()
            // We are who we are, whatever anybody says.
            if isOurs(decision) { continue }
            people.insert(decision.jid.bare)
            changed += try keep(decision, source, at: at, tx)
            waiting += try released(by: decision, tx).map { ($0, .trustMessage, now) }
        }
        return (changed, people)
    }

    /// Refuses devices whose keys are not known, or takes that back. Another decision is about a key.
    ///
    /// - Returns: those whose trust changed.
    func refuse(
        _ addresses: [DeviceAddress], _ level: TrustLevel, _ tx: Transaction
    ) throws -> [DeviceRecord] {
        guard level == .distrusted || level == .undecided else { return [] }
        var changed: [DeviceRecord] = []
        for address in addresses {
            guard let device = try tx.device(account: own.account, address), device.trust != level,
                try tx.setTrust(level, account: own.account, address, source: .person, now: now),
                let now = try tx.device(account: own.account, address)
            else { continue }
            changed.append(now)
            try tell(now, .person, tx)
        }
        return changed
    }

    private func isOurs(_ decision: KeyDecision) -> Bool {
        decision.jid.bare == own.jid && decision.key == own.identity.publicKey.curve25519
    }

    private func keep(
        _ decision: KeyDecision, _ source: DecisionSource, at: Int64, _ tx: Transaction
    ) throws -> [DeviceRecord] {
        let changed = try tx.decide(
            decision.level, account: own.account, jid: decision.jid, key: decision.key, source: source,
            now: at)
        for device in changed { try tell(device, source, tx) }
        return changed
    }

    private func tell(_ device: DeviceRecord, _ source: DecisionSource, _ tx: Transaction) throws {
        var detail = DeviceDetail(device, .trustChanged)
        detail.source = .init(rawValue: source.rawValue)
        try tx.append(.device(detail), account: own.account, chat: device.address.jid, now: now)
    }

    /// What was said with the key that is decided about now, and waited for that. It ends with the first decision:
    /// nobody listens to a device that was refused.
    private func released(by decision: KeyDecision, _ tx: Transaction) throws -> [KeyDecision] {
        guard decision.level == .verified || decision.level == .distrusted else { return [] }
        let senders = try tx.devices(account: own.account, jid: decision.jid)
            .compactMap(\.identityKey).filter { $0.curve25519 == decision.key }
        var released: [KeyDecision] = []
        for sender in Set(senders) {
            let pending = try tx.takePendingTrust(account: own.account, senderKey: sender.ed25519)
            guard decision.level == .verified else { continue }
            for word in pending {
                guard let key = try? IdentityKey(ed25519: word.key) else { continue }
                let said = KeyDecision(jid: word.owner, key: key.curve25519, level: word.level)
                if try counts(said, saidAt: nil, tx) { released.append(said) }
            }
        }
        return released
    }

    /// Whether a trust message may change what was decided before. Servers can hold messages back and deliver them in
    /// another order, so an older word does not undo a newer one, and what a person refused here, or in a file, only a
    /// person accepts.
    ///
    /// - Parameter saidAt: what the message says of its time; nil if that is not known.
    func counts(_ said: KeyDecision, saidAt: Int64?, _ tx: Transaction) throws -> Bool {
        guard let known = try tx.decision(account: own.account, jid: said.jid, said.key) else {
            // A device may have been refused before its key was known.
            return try !tx.devices(account: own.account, jid: said.jid).contains {
                $0.identityKey?.curve25519 == said.key && $0.trust == .distrusted
            }
        }
        if known.level == said.level { return false }
        if known.level == .distrusted, known.source != .trustMessage { return false }
        if known.level == .distrusted { return saidAt.map { $0 > known.decidedAt } ?? false }
        guard let saidAt else { return true }
        return saidAt >= known.decidedAt
    }
}
