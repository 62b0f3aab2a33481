/// The public keys of one device, from which anyone can start a session (XEP-0384 §5.3.2; 0.3 §4.4).
public import IMCrypto
public import XMPP

/// A bundle whose signature was verified, or which is our own.
public struct Bundle: Equatable, Sendable {
    /// The public half of a one-time pre-key.
    public struct PreKey: Equatable, Sendable {
        /// 1…2³¹−1, unique within the bundle.
        public let id: UInt32
        /// The X25519 key.
        public let key: PublicKey

        /// The published half of a pre-key.
        public init(id: UInt32, key: PublicKey) {
            self.id = id
            self.key = key
        }
    }

    /// Which version's sessions start from it.
    public let version: ProtocolVersion
    /// The identity key of the device; in legacy with the sign bit that its signature carries.
    public let identityKey: IdentityKey
    /// 1…2³¹−1.
    public let signedPreKeyID: UInt32
    /// The medium-term key that every key exchange uses.
    public let signedPreKey: PublicKey
    /// 64 bytes: in legacy form over the 33 bytes of the signed pre-key, in omemo:2 Ed25519 over its 32.
    public let signature: Bytes
    /// At least one in a decoded bundle; key exchanges without one are not made.
    public let preKeys: [PreKey]

    /// Our own bundle, to publish.
    public init(
        _ version: ProtocolVersion, identity: IdentityKeyPair, signedPreKey: SignedPreKey, preKeys: [PreKey]
    ) {
        self.version = version
        identityKey = identity.publicKey
        signedPreKeyID = signedPreKey.id
        self.signedPreKey = signedPreKey.keyPair.publicKey
        signature =
            switch version {
            case .legacy: signedPreKey.signature
            case .omemo2: identity.sign(signedPreKey.keyPair.publicKey.bytes)
            }
        self.preKeys = preKeys
    }

    /// The PEP node that holds the bundle of a device: in legacy one for each device, in omemo:2 one for all.
    public static func node(_ version: ProtocolVersion, device: UInt32) -> String {
        switch version {
        case .legacy: "eu.siacs.conversations.axolotl.bundles:\(device)"
        case .omemo2: "urn:xmpp:omemo:2:bundles"
        }
    }

    /// The name of its item there.
    public static func itemID(_ version: ProtocolVersion, device: UInt32) -> String {
        version == .legacy ? "current" : String(device)
    }

    /// Decodes `<bundle/>` and verifies its signature. A malformed pre-key is left out while others remain.
    ///
    /// - Throws: `.missing` or `.invalid`, also for a signature that does not verify. Nothing may be sent to the
    ///   device then.
    public init(_ element: Element, _ version: ProtocolVersion) throws(CodecError) {
        let names = Names(version)
        try element.expect("bundle", in: version.rawValue)
        self.version = version
        let signed = try element.onlyChild(names.signedPreKey, in: version.rawValue)
        signedPreKeyID = try signed.required(names.signedPreKeyID)
        guard DeviceAddress.devices.contains(signedPreKeyID) else { throw .invalid(names.signedPreKeyID) }
        signedPreKey = try signed.publicKey(version)
        signature = try element.onlyChild(names.signature, in: version.rawValue).base64()
        let identity = try element.onlyChild(names.identityKey, in: version.rawValue)
        identityKey = try Self.verify(signature, of: signedPreKey, by: identity, version)
        var seen: Set<UInt32> = []
        preKeys = try element.onlyChild("prekeys", in: version.rawValue)
            .children(names.preKey, in: version.rawValue)
            .compactMap { child in
                guard let id = child[names.preKeyID].flatMap({ UInt32($0) }),
                    DeviceAddress.devices.contains(id), let key = try? child.publicKey(version),
                    seen.insert(id).inserted
                else { return nil }
                return PreKey(id: id, key: key)
            }
        guard !preKeys.isEmpty else { throw .missing(names.preKey) }
    }

    private static func verify(
        _ signature: Bytes, of signedPreKey: PublicKey, by identity: Element, _ version: ProtocolVersion
    ) throws(CodecError) -> IdentityKey {
        do {
            switch version {
            case .legacy:
                return try XEdDSA.verify(
                    signature, of: signedPreKey.serialized, by: PublicKey(serialized: identity.base64()))
            case .omemo2:
                let key = try IdentityKey(ed25519: identity.base64())
                try key.verify(signature, of: signedPreKey.bytes)
                return key
            }
        } catch {
            throw .invalid(Names(version).signature)
        }
    }

    /// `<bundle/>`, with nothing in it but what the schema names: some clients validate.
    public var element: Element {
        let names = Names(version)
        func child(
            _ name: String, _ attributes: KeyValuePairs<String, String?>, _ bytes: Bytes
        ) -> Element {
            Element(name, in: version.rawValue, attributes, text: Base64.encode(bytes))
        }
        return Element(
            "bundle", in: version.rawValue, [:],
            [
                child(
                    names.signedPreKey, [names.signedPreKeyID: String(signedPreKeyID)],
                    signedPreKey.encoded(version)),
                child(names.signature, [:], signature),
                child(
                    names.identityKey, [:],
                    version == .legacy ? identityKey.curve25519.serialized : identityKey.ed25519),
                Element(
                    "prekeys", in: version.rawValue, [:],
                    preKeys.map {
                        child(names.preKey, [names.preKeyID: String($0.id)], $0.key.encoded(version))
                    }),
            ])
    }

    /// What the versions call the same things.
    private struct Names {
        let signedPreKey, signedPreKeyID, signature, identityKey, preKey, preKeyID: String

        init(_ version: ProtocolVersion) {
            switch version {
            case .legacy:
                signedPreKey = "signedPreKeyPublic"
                signedPreKeyID = "signedPreKeyId"
                signature = "signedPreKeySignature"
                identityKey = "identityKey"
                preKey = "preKeyPublic"
                preKeyID = "preKeyId"
            case .omemo2:
                signedPreKey = "spk"
                signedPreKeyID = "id"
                signature = "spks"
                identityKey = "ik"
                preKey = "pk"
                preKeyID = "id"
            }
        }
    }
}

extension PublicKey {
    fileprivate func encoded(_ version: ProtocolVersion) -> Bytes {
        version == .legacy ? serialized : bytes
    }
}

extension Element {
    fileprivate func publicKey(_ version: ProtocolVersion) throws(CodecError) -> PublicKey {
        do {
            let bytes = try base64()
            return version == .legacy ? try PublicKey(serialized: bytes) : try PublicKey(bytes)
        } catch {
            throw .invalid(name)
        }
    }
}
