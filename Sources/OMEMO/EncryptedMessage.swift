/// `<encrypted/>`: one payload and its key for each device (XEP-0384 0.3 §4.5).
public import IMCrypto
public import XMPP

/// A legacy OMEMO message as it stands in a stanza.
public struct EncryptedMessage: Equatable, Sendable {
    /// The secret of the payload, encrypted to one device.
    public struct Key: Equatable, Sendable {
        /// The device that can read it. Not scoped by JID: in a room several keys may name our id.
        public var rid: UInt32
        /// True for a PreKeySignalMessage, false for a SignalMessage.
        public var isKeyExchange: Bool
        /// The ratchet message, not yet authenticated.
        public var data: Bytes

        /// - Parameter data: the ratchet message, as `SessionRecord.encrypt` returned it.
        public init(rid: UInt32, isKeyExchange: Bool, data: Bytes) {
            self.rid = rid
            self.isKeyExchange = isKeyExchange
            self.data = data
        }
    }

    /// The device of the sender, 1…2³¹−1.
    public var sid: UInt32
    /// In document order.
    public var keys: [Key]
    /// The nonce of the payload: 12 bytes in what we write, 12 or 16 in what we read; empty only without
    /// a payload.
    public var iv: Bytes
    /// The encrypted text; nil for an empty message, which only moves ratchets on.
    public var payload: Bytes?

    /// A message to send.
    public init(sid: UInt32, keys: [Key], iv: Bytes, payload: Bytes?) {
        self.sid = sid
        self.keys = keys
        self.iv = iv
        self.payload = payload
    }

    private static let namespace = ProtocolVersion.legacy.rawValue

    /// Decodes what concerns one device of `<encrypted/>`: of the keys only those that name it.
    ///
    /// - Throws: if any part is malformed; not for a key of another device, which is that one's concern.
    public init(_ element: Element, for device: UInt32) throws(CodecError) {
        try self.init(element, device)
    }

    /// Decodes all of `<encrypted/>`. Foreign attributes and children are ignored.
    ///
    /// - Throws: if any part is malformed, also a key for another device.
    public init(_ element: Element) throws(CodecError) {
        try self.init(element, nil)
    }

    private init(_ element: Element, _ device: UInt32?) throws(CodecError) {
        try element.expect("encrypted", in: Self.namespace)
        let header = try element.onlyChild("header", in: Self.namespace)
        sid = try header.required("sid")
        guard DeviceAddress.devices.contains(sid) else { throw .invalid("sid") }
        keys = []
        for key in header.children("key", in: Self.namespace) {
            if let device, key["rid"].flatMap({ UInt32($0) }) != device { continue }
            keys.append(
                Key(
                    rid: try key.required("rid"), isKeyExchange: try key.flag("prekey"),
                    data: try key.base64()))
        }
        let payload = element.child("payload", in: Self.namespace)
        if let iv = header.child("iv", in: Self.namespace) {
            self.iv = try iv.base64()
            guard self.iv.count == 12 || self.iv.count == 16 else { throw .invalid("iv") }
        } else if payload == nil {
            iv = []
        } else {
            throw .missing("iv")
        }
        self.payload = try payload?.base64()
    }

    /// `<encrypted/>`, with nothing in it but what the schema names: some clients validate.
    public var element: Element {
        var header = Element("header", in: Self.namespace, ["sid": String(sid)])
        for key in keys {
            header.append(
                Element(
                    "key", in: Self.namespace,
                    ["rid": String(key.rid), "prekey": key.isKeyExchange ? "true" : nil],
                    text: Base64.encode(key.data)))
        }
        header.append(Element("iv", in: Self.namespace, text: Base64.encode(iv)))
        var element = Element("encrypted", in: Self.namespace, [:], [header])
        if let payload {
            element.append(Element("payload", in: Self.namespace, text: Base64.encode(payload)))
        }
        return element
    }
}

extension Element {
    func base64() throws(CodecError) -> Bytes {
        guard let bytes = Base64.decode(text, ignoringWhiteSpace: true) else { throw .invalid(name) }
        return bytes
    }
}
