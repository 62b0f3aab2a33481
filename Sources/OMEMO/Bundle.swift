/// The public keys of one device, from which anyone can start a session (XEP-0384 0.3 §4.4).
public import IMCrypto
public import XMPP

/// A legacy bundle whose signature was verified, or which is our own.
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

    /// The identity key of the device, with the sign bit that its signature carries.
    public let identityKey: IdentityKey
    /// 1…2³¹−1.
    public let signedPreKeyID: UInt32
    /// The medium-term key that every key exchange uses.
    public let signedPreKey: PublicKey
    /// 64 bytes over the 33-byte form of the signed pre-key, in legacy form.
    public let signature: Bytes
    /// At least one in a decoded bundle; key exchanges without one are not made.
    public let preKeys: [PreKey]

    /// Our own bundle, to publish.
    public init(identityKey: IdentityKey, signedPreKey: SignedPreKey, preKeys: [PreKey]) {
        self.identityKey = identityKey
        self.signedPreKeyID = signedPreKey.id
        self.signedPreKey = signedPreKey.keyPair.publicKey
        self.signature = signedPreKey.signature
        self.preKeys = preKeys
    }

    /// The PEP node that holds the bundle of a device, as its only item.
    public static func node(device: UInt32) -> String {
        "eu.siacs.conversations.axolotl.bundles:\(device)"
    }

    private static let namespace = ProtocolVersion.legacy.rawValue

    /// Decodes `<bundle/>` and verifies its signature. A malformed pre-key is left out while others remain.
    ///
    /// - Throws: `.missing` or `.invalid`; `.invalid("signedPreKeySignature")` also for one that does not
    ///   verify. Nothing may be sent to the device then.
    public init(_ element: Element) throws(CodecError) {
        try element.expect("bundle", in: Self.namespace)
        let signed = try element.onlyChild("signedPreKeyPublic", in: Self.namespace)
        signedPreKeyID = try signed.required("signedPreKeyId")
        guard DeviceAddress.devices.contains(signedPreKeyID) else { throw .invalid("signedPreKeyId") }
        signedPreKey = try signed.publicKey()
        signature = try element.onlyChild("signedPreKeySignature", in: Self.namespace).base64()
        let identity = try element.onlyChild("identityKey", in: Self.namespace).publicKey()
        do {
            identityKey = try XEdDSA.verify(signature, of: signedPreKey.serialized, by: identity)
        } catch {
            throw .invalid("signedPreKeySignature")
        }
        var seen: Set<UInt32> = []
        preKeys = try element.onlyChild("prekeys", in: Self.namespace)
            .children("preKeyPublic", in: Self.namespace)
            .compactMap { child in
                guard let id = child["preKeyId"].flatMap({ UInt32($0) }),
                    DeviceAddress.devices.contains(id), let key = try? child.publicKey(),
                    seen.insert(id).inserted
                else { return nil }
                return PreKey(id: id, key: key)
            }
        guard !preKeys.isEmpty else { throw .missing("preKeyPublic") }
    }

    /// `<bundle/>`, with nothing in it but what the schema names: some clients validate.
    public var element: Element {
        Element(
            "bundle", in: Self.namespace, [:],
            [
                Element(
                    "signedPreKeyPublic", in: Self.namespace, ["signedPreKeyId": String(signedPreKeyID)],
                    text: Base64.encode(signedPreKey.serialized)),
                Element("signedPreKeySignature", in: Self.namespace, text: Base64.encode(signature)),
                Element(
                    "identityKey", in: Self.namespace,
                    text: Base64.encode(identityKey.curve25519.serialized)),
                Element(
                    "prekeys", in: Self.namespace, [:],
                    preKeys.map { preKey in
                        Element(
                            "preKeyPublic", in: Self.namespace, ["preKeyId": String(preKey.id)],
                            text: Base64.encode(preKey.key.serialized))
                    }),
            ])
    }
}

extension Element {
    fileprivate func publicKey() throws(CodecError) -> PublicKey {
        do {
            return try PublicKey(serialized: base64())
        } catch {
            throw .invalid(name)
        }
    }
}
