// Examples: devices, decisions about their keys, and encryption.

extension DeviceList {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(
            Params(jid: Scene.bob), Result(jid: Scene.bob, devices: [Scene.device(.blind)], policy: .btbv))
    }
}

extension DeviceTrust {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(
            Params(jid: Scene.bob, trust: .distrusted, device: Scene.bobDevice),
            TrustResult(jid: Scene.bob, devices: [Scene.device(.distrusted)], released: 0, cancelled: 0))
    }
}

extension DeviceVerify {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(
            Params(jid: Scene.bob, fingerprint: Scene.bobKey),
            TrustResult(jid: Scene.bob, devices: [Scene.device(.verified)], released: 0, cancelled: 0))
    }
}

extension DeviceURI {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(
            Params(),
            Result(
                jid: Scene.alice,
                uri: "xmpp:\(Scene.alice)?omemo-sid-\(Scene.aliceDevice)=\(Scene.aliceKey)"))
    }
}

extension DeviceReset {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(Params(jid: Scene.bob), Result(devices: [Scene.bobDevice]))
    }
}

extension DeviceRemove {
    /// As the manual shows it.
    public static var example: Example<Self>? { Example(Params(device: 290_117_385), Empty()) }
}

extension TrustExport {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(
            Params(),
            Result(
                entries: [TrustEntry(jid: Scene.bob, fingerprint: Scene.bobKey, trust: .verified)],
                policies: [PolicyEntry(jid: Scene.bob, policy: .verifiedOnly)]))
    }
}

extension TrustImport {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(
            Params(entries: [TrustEntry(jid: Scene.bob, fingerprint: Scene.bobKey, trust: .verified)]),
            Result(changed: 1, released: 0, cancelled: 0))
    }
}

extension EncryptionGet {
    /// As the manual shows it.
    public static var example: Example<Self>? { Example(Params(jid: Scene.bob), Scene.chat) }
}

extension EncryptionSet {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        var chat = Scene.chat
        (chat.policy, chat.policySource) = (.verifiedOnly, .contact)
        return Example(Params(jid: Scene.bob, policy: .verifiedOnly), chat)
    }
}
