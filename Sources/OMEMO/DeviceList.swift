/// The devices an account publishes for others to encrypt to (XEP-0384 §5.3.1; 0.3 §4.2).
public import IMCrypto
public import XMPP

/// A device list of either version, the item `current` of its PEP node.
public struct DeviceList: Equatable, Sendable {
    /// One device.
    public struct Device: Equatable, Sendable {
        /// 1…2³¹−1.
        public var id: UInt32
        /// What its owner calls it, as it was published; omemo:2 only. Not to be shown before `label(signedBy:)`.
        public var label: String?
        /// 64 bytes over the label.
        public var labelSignature: Bytes?

        /// A device, by default without label.
        public init(id: UInt32, label: String? = nil, labelSignature: Bytes? = nil) {
            self.id = id
            self.label = label
            self.labelSignature = labelSignature
        }

        /// The label where the device's own key signed it; nil otherwise. At most 53 characters of it, as §5.3.1
        /// recommends.
        public func label(signedBy identity: IdentityKey) -> String? {
            guard let label, let labelSignature, !label.isEmpty,
                (try? identity.verify(labelSignature, of: Bytes(label.utf8))) != nil
            else { return nil }
            return Self.shown(label)
        }

        fileprivate static func shown(_ label: String) -> String {
            String(String.UnicodeScalarView(label.unicodeScalars.prefix(DeviceList.maxLabelCount)))
        }
    }

    /// How long a label may be, in Unicode code points.
    public static let maxLabelCount = 53

    /// Whose namespace and node the list is of.
    public let version: ProtocolVersion
    /// Each id once, in the order published.
    public var devices: [Device]
    /// The ids of the devices.
    public var ids: [UInt32] { devices.map(\.id) }

    /// - Parameter devices: ids 1…2³¹−1, each once.
    public init(_ version: ProtocolVersion, _ devices: [Device] = []) {
        self.version = version
        self.devices = devices
    }

    /// The PEP node that holds the list.
    public static func node(_ version: ProtocolVersion) -> String {
        switch version {
        case .legacy: "eu.siacs.conversations.axolotl.devicelist"
        case .omemo2: "urn:xmpp:omemo:2:devices"
        }
    }

    /// A device of ours, its label cut to what others show, and signed.
    public static func device(_ id: UInt32, label: String?, signedBy own: IdentityKeyPair) -> Device {
        let label = label.map(Device.shown)
        return Device(id: id, label: label, labelSignature: label.map { own.sign(Bytes($0.utf8)) })
    }

    /// Decodes `<devices/>`, in legacy `<list/>`. Foreign children, repeated ids, and ids that no client could
    /// address are left out.
    ///
    /// - Throws: `.unexpected` if this is not a device list: treat it as no answer, not as an empty list.
    public init(_ element: Element, _ version: ProtocolVersion) throws(CodecError) {
        try element.expect(Self.name(version), in: version.rawValue)
        self.version = version
        var seen: Set<UInt32> = []
        devices = []
        for child in element.children("device", in: version.rawValue) {
            guard let id = child["id"].flatMap({ UInt32($0) }), DeviceAddress.devices.contains(id),
                seen.insert(id).inserted
            else { continue }
            var device = Device(id: id)
            if version == .omemo2 {
                device.label = child["label"]
                device.labelSignature = child["labelsig"].flatMap { Base64.decode($0) }
            }
            devices.append(device)
        }
    }

    /// The element, with nothing in it but what the schema names: some clients validate.
    public var element: Element {
        Element(Self.name(version), in: version.rawValue, [:], devices.map(element))
    }

    private func element(_ device: Device) -> Element {
        var element = Element("device", in: version.rawValue, ["id": String(device.id)])
        if version == .omemo2, let label = device.label, let signature = device.labelSignature {
            element["label"] = label
            element["labelsig"] = Base64.encode(signature)
        }
        return element
    }

    private static func name(_ version: ProtocolVersion) -> String {
        version == .legacy ? "list" : "devices"
    }
}
