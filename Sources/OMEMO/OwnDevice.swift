/// Our own device: its keys when it is made, and the rules that keep its bundle fresh (XEP-0384 §5.3.2).
public import IMCrypto

/// A one-time pre-key of ours.
public struct PreKey: Sendable {
    /// 1…2³¹−1.
    public let id: UInt32
    /// Destroyed when a key exchange has used it.
    public let keyPair: KeyPair

    /// Restores a stored pre-key.
    public init(id: UInt32, keyPair: KeyPair) {
        self.id = id
        self.keyPair = keyPair
    }
}

/// The medium-term key of ours that every key exchange uses.
public struct SignedPreKey: Sendable {
    /// 1…2³¹−1.
    public let id: UInt32
    /// Destroyed one period after its successor was made.
    public let keyPair: KeyPair
    /// 64 bytes over the 33-byte form of the public key, in legacy form.
    public let signature: Bytes
    /// Unix milliseconds, UTC.
    public let createdAt: Int64

    /// Restores a stored signed pre-key.
    public init(id: UInt32, keyPair: KeyPair, signature: Bytes, createdAt: Int64) {
        self.id = id
        self.keyPair = keyPair
        self.signature = signature
        self.createdAt = createdAt
    }

    /// Makes the next one.
    ///
    /// - Parameter previousID: the id of the one it follows; nil for a new device.
    public static func generate(
        after previousID: UInt32?, identity: IdentityKeyPair, at now: Int64,
        using random: inout some RandomNumberGenerator
    ) -> SignedPreKey {
        let keyPair = KeyPair.generate(using: &random)
        return SignedPreKey(
            id: OwnDevice.id(after: previousID), keyPair: keyPair,
            signature: XEdDSA.sign(keyPair.publicKey.serialized, with: identity), createdAt: now)
    }
}

/// The private keys behind our bundle, as the store holds them.
public protocol PreKeyStore {
    /// The one-time pre-key of that id, also if it is no longer published; nil if it is spent.
    func preKey(_ id: UInt32) throws -> KeyPair?
    /// The signed pre-key of that id: the current or the previous one.
    func signedPreKey(_ id: UInt32) throws -> KeyPair?
}

/// A device as it is made. What is stored of it later are rows; the rules for them are the static functions.
public struct OwnDevice: Sendable {
    /// 1…2³¹−1.
    public let id: UInt32
    /// The identity, for both protocol versions.
    public let identity: IdentityKeyPair
    /// The first signed pre-key.
    public let signedPreKey: SignedPreKey
    /// As many as a bundle publishes.
    public let preKeys: [PreKey]

    /// Makes a device.
    ///
    /// - Parameters:
    ///   - ids: the device list of the account, all versions: the new id must not be in it.
    ///   - now: Unix milliseconds, UTC.
    public static func generate(
        avoiding ids: Set<UInt32>, at now: Int64, using random: inout some RandomNumberGenerator
    ) -> OwnDevice {
        var id = UInt32.random(in: DeviceAddress.devices, using: &random)
        while ids.contains(id) { id = UInt32.random(in: DeviceAddress.devices, using: &random) }
        let identity = IdentityKeyPair.generate(using: &random)
        return OwnDevice(
            id: id, identity: identity,
            signedPreKey: .generate(after: nil, identity: identity, at: now, using: &random),
            preKeys: makePreKeys(after: nil, published: 0, using: &random))
    }

    /// What to publish for it, in each version with the same keys.
    public func bundle(_ version: ProtocolVersion) -> Bundle {
        Bundle(
            version, identity: identity, signedPreKey: signedPreKey,
            preKeys: preKeys.map { Bundle.PreKey(id: $0.id, key: $0.keyPair.publicKey) })
    }
}

// MARK: Rules

extension OwnDevice {
    /// How many one-time pre-keys a bundle publishes; XEP-0384 asks for about 100, never below 25.
    public static let publishedPreKeys = 100

    /// How long a signed pre-key is published, in milliseconds: 7 days, of the week to month in §5.3.2.
    public static let signedPreKeyPeriod: Int64 = 7 * 24 * 60 * 60 * 1000

    /// How many signed pre-keys are kept: the published one and its predecessor, for messages under way.
    public static let keptSignedPreKeys = 2

    /// The pre-keys that fill the bundle up again after some were used.
    ///
    /// - Parameters:
    ///   - lastID: the id given out last, also if its key is spent; nil for a new device. Ids count up and
    ///     return to 1 after 2³¹−1.
    ///   - published: how many unspent ones remain.
    public static func makePreKeys(
        after lastID: UInt32?, published: Int, using random: inout some RandomNumberGenerator
    ) -> [PreKey] {
        var last = lastID
        return (0..<max(0, publishedPreKeys - published)).map { _ in
            let id = id(after: last)
            last = id
            return PreKey(id: id, keyPair: .generate(using: &random))
        }
    }

    /// Whether it is time for the next signed pre-key. A key from the future, left by a clock that was set
    /// back, counts as overdue after the same period.
    ///
    /// - Parameters:
    ///   - createdAt: when the published one was made, Unix milliseconds.
    ///   - now: Unix milliseconds.
    public static func signedPreKeyIsDue(createdAt: Int64, now: Int64) -> Bool {
        now.subtractingReportingOverflow(createdAt).overflow
            || (now - createdAt).magnitude >= signedPreKeyPeriod.magnitude
    }

    /// How long to wait before looking again whether it is time for the next signed pre-key, in milliseconds: at most
    /// a day, for clocks are set and machines sleep.
    ///
    /// - Parameters:
    ///   - createdAt: when the published one was made, Unix milliseconds.
    ///   - now: Unix milliseconds.
    public static func signedPreKeyDelay(createdAt: Int64, now: Int64) -> Int64 {
        let day: Int64 = 24 * 60 * 60 * 1000
        guard !signedPreKeyIsDue(createdAt: createdAt, now: now) else { return 0 }
        return min(day, createdAt + signedPreKeyPeriod - now)
    }

    static func id(after last: UInt32?) -> UInt32 {
        guard let last, last < DeviceAddress.devices.upperBound else { return 1 }
        return last + 1
    }
}
