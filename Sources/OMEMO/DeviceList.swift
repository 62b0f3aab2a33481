/// The devices an account publishes for others to encrypt to (XEP-0384 0.3 §4.2).
public import XMPP

/// A legacy device list, the item `current` of its PEP node.
public struct DeviceList: Equatable, Sendable {
    /// The PEP node that holds the list.
    public static let node = "eu.siacs.conversations.axolotl.devicelist"

    /// 1…2³¹−1, each once, in the order published.
    public var ids: [UInt32]

    /// - Parameter ids: 1…2³¹−1, each once.
    public init(_ ids: [UInt32]) {
        self.ids = ids
    }

    /// Decodes `<list/>`. Foreign children, repeated ids, and ids that no client could address are left out.
    ///
    /// - Throws: `.unexpected` if this is not a device list: treat it as no answer, not as an empty list.
    public init(_ element: Element) throws(CodecError) {
        try element.expect("list", in: ProtocolVersion.legacy.rawValue)
        var seen: Set<UInt32> = []
        ids = []
        for device in element.children("device", in: ProtocolVersion.legacy.rawValue) {
            guard let id = device["id"].flatMap({ UInt32($0) }), DeviceAddress.devices.contains(id),
                seen.insert(id).inserted
            else { continue }
            ids.append(id)
        }
    }

    /// `<list/>`, with nothing in it but what the schema names: some clients validate.
    public var element: Element {
        Element(
            "list", in: ProtocolVersion.legacy.rawValue, [:],
            ids.map { Element("device", in: ProtocolVersion.legacy.rawValue, ["id": String($0)]) })
    }
}
