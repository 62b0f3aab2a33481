// A device's identity key, seen for the first time or again (XEP-0384 §7; threat rows 21 and 30).
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

struct Identification {
    let own: OwnIdentity
    let now: Int64

    /// Keeps the key with the trust that the policy, or an earlier decision about it, gives it. Where a person has to
    /// decide now, an event says so.
    func learn(
        _ key: IdentityKey, of address: DeviceAddress, _ policy: TrustPolicy, _ tx: Transaction
    ) throws -> IdentityChange {
        let change = try tx.setIdentity(account: own.account, address, key, policy: policy, now: now)
        guard case .new = change, let device = try tx.device(account: own.account, address),
            device.trust == .undecided, !policy.receives(.undecided)
        else { return change }
        try tx.append(
            .device(DeviceDetail(device, .trustNeeded)), account: own.account, chat: address.jid, now: now)
        return change
    }
}

extension DeviceDetail {
    /// The device as it is known now.
    init(_ device: DeviceRecord, _ change: Change) {
        self.init(
            jid: device.address.jid.description, device: device.address.device,
            fingerprint: device.identityKey?.fingerprint, trust: Trust(device.trust), change: change,
            label: device.label)
    }
}
