/// Who may receive: trust levels of devices, and the policies for those that nobody decided about.

/// What the user, or the policy for them, decided about the identity key of one device.
public enum TrustLevel: String, Codable, Sendable, CaseIterable {
    /// Nobody decided. Messages from it decrypt and are marked.
    case undecided
    /// Trusted without a look at the fingerprint.
    case blind
    /// The user compared the fingerprint.
    case verified
    /// The user refused it.
    case distrusted
}

/// What happens with devices that no person decided about.
public enum TrustPolicy: String, Codable, Sendable, CaseIterable {
    /// Blind trust before verification: believe new devices of a JID until one of its devices is verified.
    case btbv
    /// Trust on first use: believe the devices a JID has when it is first written to, and no later ones.
    case tofu
    /// Send to verified devices alone. For bots, which say what not everybody may read.
    case verifiedOnly = "verified-only"
    /// Believe every device that was not refused.
    case always

    /// The level of a device whose key is seen for the first time.
    ///
    /// - Parameters:
    ///   - others: the levels of all other devices of the same JID, listed or not.
    ///   - isFirstContact: whether no key of that JID was known before this device was.
    public func levelForNewDevice(among others: [TrustLevel], isFirstContact: Bool) -> TrustLevel {
        switch self {
        case .btbv: others.contains(.verified) ? .undecided : .blind
        case .tofu: isFirstContact ? .blind : .undecided
        case .verifiedOnly: .undecided
        case .always: .blind
        }
    }

    /// True if messages may be encrypted to a device of that level.
    public func receives(_ level: TrustLevel) -> Bool {
        switch level {
        case .verified: true
        case .distrusted: false
        case .blind: self != .verifiedOnly
        case .undecided: self == .always
        }
    }
}
