// What is kept of a device, and what a list or a key changed about it.
public import IMCrypto
public import OMEMO

/// What is known of one device.
public struct DeviceRecord: Sendable {
    /// Whose it is.
    public let address: DeviceAddress
    /// Nil until a bundle or a message showed it.
    public let identityKey: IdentityKey?
    /// Whether it may receive, as far as it was decided.
    public let trust: TrustLevel
    /// The versions of the protocol whose device lists of the owner it is on.
    public let versions: Set<ProtocolVersion>
    /// Whether it has sent something in omemo:2 that could be read.
    public let sendsOmemo2: Bool
    /// Unix milliseconds, UTC.
    public let firstSeenAt: Int64
    /// When a message from it was decrypted last, Unix milliseconds.
    public let lastReceivedAt: Int64?
    /// When its session was last replaced because it did not work, Unix milliseconds.
    public let healedAt: Int64?
    /// As it stands in the device list.
    public let published: OMEMO.DeviceList.Device
    /// Whether key and trust are not what was stored: they count as unknown and undecided until the key is
    /// seen again and a person decides.
    public var isDamaged = false

    /// Whether it is on a device list of its owner.
    public var isActive: Bool { !versions.isEmpty }

    /// What its owner calls it, where its key signed that.
    public var label: String? { identityKey.flatMap { published.label(signedBy: $0) } }
}

extension DeviceRecord {
    /// Whether the trust is a person's word.
    var isDecided: Bool { trust == .verified || trust == .distrusted }
}

/// What a device list changed, both versions of the protocol taken together.
public struct DeviceListChange: Equatable, Sendable {
    /// Ids that are on a list now and were on none before.
    public let added: [UInt32]
    /// Ids that were on a list and are on none any more.
    public let removed: [UInt32]
    /// Whether devices were listed before, and none is now.
    public var emptied = false
    /// Ids of the list that were not taken: see `Transaction.maxDevices`.
    public var ignored: [UInt32] = []
    /// Whether some of those were not ignored before.
    public var ignoresMore = false
}

/// How an identity key compares with the one that is stored.
public enum IdentityChange: Sendable {
    /// There was none: it is stored now.
    case new
    /// It is the stored one.
    case same
    /// It is not the stored one. Nothing was changed: a device keeps its identity, only a person may accept
    /// another.
    case changed
    /// The key belongs to another device, of whoever, or is our own. Nothing was changed: who shows somebody
    /// else's key would have what is meant for that device taken for his.
    case taken
    /// The device is not known, and its owner has as many as are kept. Nothing was changed.
    case full
}
