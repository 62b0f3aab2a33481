/// Who may receive: trust levels of devices and the rule for new ones.

/// What the user, or the policy for them, decided about the identity key of one device.
public enum TrustLevel: String, Codable, Sendable, CaseIterable {
    /// Nobody decided. Messages from it decrypt and are marked; nothing is sent to it.
    case undecided
    /// Trusted without a look at the fingerprint (blind trust before verification).
    case blind
    /// The user compared the fingerprint.
    case verified
    /// The user refused it.
    case distrusted

    /// True if messages may be encrypted to the device.
    public var receives: Bool { self == .blind || self == .verified }
}

/// What happens when a device is seen for the first time.
public enum TrustPolicy: String, Codable, Sendable, CaseIterable {
    /// Blind trust before verification: believe new devices of a JID until one of its devices is verified.
    case btbv
    /// Believe no device that the user did not look at. For bots, which act on what they are told.
    case strict

    /// - Parameter others: the levels of all other devices of the same JID, listed or not.
    public func levelForNewDevice(among others: [TrustLevel]) -> TrustLevel {
        switch self {
        case .btbv: others.contains(.verified) ? .undecided : .blind
        case .strict: .undecided
        }
    }
}
