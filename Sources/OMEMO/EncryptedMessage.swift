/// `<encrypted/>`: one payload and its key for each device (XEP-0384 §5.4; 0.3 §4.5).
public import IMCrypto
public import XMPP

/// An OMEMO message as it stands in a stanza.
public struct EncryptedMessage: Equatable, Sendable {
    /// The secret of the payload, encrypted to one device.
    public struct Key: Equatable, Sendable {
        /// Whose device it is; nil in legacy, where in a room several keys may name our id.
        public var jid: JID?
        /// The device that can read it.
        public var rid: UInt32
        /// Whether it starts a session: what it should be decrypted as.
        public var isKeyExchange: Bool
        /// The ratchet message, not yet authenticated.
        public var data: Bytes

        /// - Parameter data: the ratchet message, as `SessionRecord.encrypt` returned it.
        public init(jid: JID? = nil, rid: UInt32, isKeyExchange: Bool, data: Bytes) {
            self.jid = jid
            self.rid = rid
            self.isKeyExchange = isKeyExchange
            self.data = data
        }
    }

    /// Which protocol it is written in.
    public let version: ProtocolVersion
    /// The device of the sender, 1…2³¹−1.
    public var sid: UInt32
    /// In document order.
    public var keys: [Key]
    /// The nonce of the payload in legacy: 12 bytes in what we write, 12 or 16 in what we read; empty only without a
    /// payload. Always empty in omemo:2.
    public var iv: Bytes
    /// The encrypted content; nil for an empty message, which only moves ratchets on.
    public var payload: Bytes?

    /// A message to send.
    public init(_ version: ProtocolVersion, sid: UInt32, keys: [Key], iv: Bytes = [], payload: Bytes?) {
        self.version = version
        self.sid = sid
        self.keys = keys
        self.iv = iv
        self.payload = payload
    }

    /// Decodes what concerns one device of `<encrypted/>`: of the keys only those that name it.
    ///
    /// - Throws: if any part is malformed; not for a key of another device, which is that one's concern.
    public init(
        _ element: Element, _ version: ProtocolVersion, for own: DeviceAddress
    ) throws(CodecError) {
        try self.init(element, version, own)
    }

    /// Decodes all of `<encrypted/>`. Foreign attributes and children are ignored.
    ///
    /// - Throws: if any part is malformed, also a key for another device.
    public init(_ element: Element, _ version: ProtocolVersion) throws(CodecError) {
        try self.init(element, version, nil)
    }

    private init(
        _ element: Element, _ version: ProtocolVersion, _ own: DeviceAddress?
    ) throws(CodecError) {
        try element.expect("encrypted", in: version.rawValue)
        let header = try element.onlyChild("header", in: version.rawValue)
        self.version = version
        sid = try header.required("sid")
        guard DeviceAddress.devices.contains(sid) else { throw .invalid("sid") }
        let payload = element.child("payload", in: version.rawValue)
        switch version {
        case .legacy:
            keys = try Self.keys(of: header, version, nil, own)
            iv = try Self.iv(of: header, hasPayload: payload != nil)
        case .omemo2:
            keys = []
            iv = []
            for group in header.children("keys", in: version.rawValue) {
                let jid = try? JID(group.required("jid"))
                if let own, jid?.bare != own.jid { continue }
                guard let jid else { throw .invalid("jid") }
                keys += try Self.keys(of: group, version, jid.bare, own)
            }
        }
        self.payload = try payload?.base64()
    }

    private static func keys(
        of parent: Element, _ version: ProtocolVersion, _ jid: JID?, _ own: DeviceAddress?
    ) throws(CodecError) -> [Key] {
        var keys: [Key] = []
        for key in parent.children("key", in: version.rawValue) {
            if let own, key["rid"].flatMap({ UInt32($0) }) != own.device { continue }
            keys.append(
                Key(
                    jid: jid, rid: try key.required("rid"), isKeyExchange: try key.flag(keyExchange(version)),
                    data: try key.base64()))
        }
        return keys
    }

    private static func iv(of header: Element, hasPayload: Bool) throws(CodecError) -> Bytes {
        guard let element = header.child("iv", in: ProtocolVersion.legacy.rawValue) else {
            if hasPayload { throw .missing("iv") }
            return []
        }
        let iv = try element.base64()
        guard iv.count == 12 || iv.count == 16 else { throw .invalid("iv") }
        return iv
    }

    /// The attribute that marks a key exchange.
    private static func keyExchange(_ version: ProtocolVersion) -> String {
        version == .legacy ? "prekey" : "kex"
    }

    /// `<encrypted/>`, with nothing in it but what the schema names: some clients validate.
    public var element: Element {
        var header = Element("header", in: version.rawValue, ["sid": String(sid)])
        switch version {
        case .legacy:
            for key in keys { header.append(element(key)) }
            header.append(Element("iv", in: version.rawValue, text: Base64.encode(iv)))
        case .omemo2:
            for group in groups { header.append(group) }
        }
        var element = Element("encrypted", in: version.rawValue, [:], [header])
        if let payload {
            element.append(Element("payload", in: version.rawValue, text: Base64.encode(payload)))
        }
        return element
    }

    /// One `<keys/>` for each JID, in the order of their first keys.
    private var groups: [Element] {
        var order: [JID] = []
        var groups: [JID: Element] = [:]
        for key in keys {
            guard let jid = key.jid else { continue }
            if groups[jid] == nil {
                order.append(jid)
                groups[jid] = Element("keys", in: version.rawValue, ["jid": jid.description])
            }
            groups[jid]?.append(element(key))
        }
        return order.compactMap { groups[$0] }
    }

    private func element(_ key: Key) -> Element {
        Element(
            "key", in: version.rawValue,
            ["rid": String(key.rid), Self.keyExchange(version): key.isKeyExchange ? "true" : nil],
            text: Base64.encode(key.data))
    }
}

extension Element {
    func base64() throws(CodecError) -> Bytes {
        guard let bytes = Base64.decode(text, ignoringWhiteSpace: true) else { throw .invalid(name) }
        return bytes
    }
}
