// Device lists, bundles and messages of urn:xmpp:omemo:2 against the XML that XEP-0384 prints.
import IMCrypto
import Testing
import XMPP

@testable import OMEMO

private let ns = "urn:xmpp:omemo:2"

@Suite struct OMEMO2DeviceListTests {
    private let owner: IdentityKeyPair

    init() {
        var random = Seeded(720)
        owner = .generate(using: &random)
    }

    @Test func `a device list decodes with labels, and encodes to what the schema allows`() throws {
        let xml =
            "<devices xmlns='\(ns)'><device id='12345'/>"
            + "<device id='4223' label='Gajim on Ubuntu Linux' labelsig='AAEC'/></devices>"
        let list = try DeviceList(parse(xml), .omemo2)
        #expect(list.ids == [12345, 4223])
        #expect(list.devices[1].label == "Gajim on Ubuntu Linux")
        #expect(list.devices[1].labelSignature == [0, 1, 2])
        #expect(try list.element == parse(xml))
    }

    @Test func `node names and item ids are those of the specification`() {
        #expect(DeviceList.node(.omemo2) == "urn:xmpp:omemo:2:devices")
        #expect(Bundle.node(.omemo2, device: 31415) == "urn:xmpp:omemo:2:bundles")
        #expect(Bundle.itemID(.omemo2, device: 31415) == "31415")
        #expect(Bundle.itemID(.legacy, device: 31415) == "current")
    }

    @Test func `a list of the other version is no list, rather than an empty one`() throws {
        let legacy = try parse("<list xmlns='\(ProtocolVersion.legacy.rawValue)'/>")
        #expect(throws: CodecError.unexpected("list")) { try DeviceList(legacy, .omemo2) }
        #expect(throws: CodecError.unexpected("devices")) {
            try DeviceList(parse("<devices xmlns='\(ns)'/>"), .legacy)
        }
    }

    @Test func `a label counts only with a signature of the device's own key`() throws {
        var random = Seeded(721)
        let other = IdentityKeyPair.generate(using: &random)
        let device = DeviceList.device(7, label: "Büro", signedBy: owner)
        let read = try DeviceList(DeviceList(.omemo2, [device]).element, .omemo2).devices[0]
        #expect(read == device)
        #expect(read.label(signedBy: owner.publicKey) == "Büro")
        #expect(read.label(signedBy: other.publicKey) == nil)
        var altered = device
        altered.label = "Büro "
        #expect(altered.label(signedBy: owner.publicKey) == nil)
        altered = device
        altered.labelSignature = nil
        #expect(altered.label(signedBy: owner.publicKey) == nil)
        #expect(DeviceList(.omemo2, [altered]).element.children.first?["label"] == nil)
        let nameless = DeviceList.device(7, label: nil, signedBy: owner)
        #expect(nameless.label == nil && nameless.labelSignature == nil)
    }

    @Test func `a label has at most 53 code points, as published and as shown`() throws {
        let long = String(repeating: "ä", count: 60)
        let ours = DeviceList.device(7, label: long, signedBy: owner)
        #expect(ours.label?.unicodeScalars.count == 53)
        #expect(ours.label(signedBy: owner.publicKey) == String(repeating: "ä", count: 53))
        let theirs = DeviceList.Device(id: 7, label: long, labelSignature: owner.sign(Bytes(long.utf8)))
        #expect(theirs.label(signedBy: owner.publicKey)?.unicodeScalars.count == 53)
    }

    @Test func `labels have no place in a legacy list`() throws {
        let device = DeviceList.device(7, label: "x", signedBy: owner)
        let legacy = ProtocolVersion.legacy.rawValue
        #expect(
            try DeviceList(.legacy, [device]).element
                == parse("<list xmlns='\(legacy)'><device id='7'/></list>"))
    }
}

@Suite struct OMEMO2BundleTests {
    private func device(_ seed: UInt64, sign: Bool? = nil) throws -> Device {
        try Device("a@example.org", seed: seed, sign: sign, .omemo2)
    }

    @Test(arguments: [false, true])
    func `a bundle survives the wire with either sign of the identity`(_ sign: Bool) throws {
        let device = try device(730, sign: sign)
        let decoded = try Bundle(device.bundle.element, .omemo2)
        #expect(decoded == device.bundle)
        #expect(decoded.identityKey == device.own.identity.publicKey)
        #expect(decoded.preKeys.count == 100)
        // Nothing is hidden in the signature here.
        #expect(decoded.signature[63] & 0x80 == 0)
    }

    @Test func `keys stand on the wire as 32 bytes, the identity in its Ed25519 form`() throws {
        let device = try device(731)
        let element = device.bundle.element
        #expect(element.name == "bundle" && element.namespace == ns)
        #expect(element.children.map(\.name) == ["spk", "spks", "ik", "prekeys"])
        #expect(element.children.map { $0.attributes.count } == [1, 0, 0, 0])
        #expect(element.child("spk", in: ns)?["id"] == "1")
        let pk = element.child("prekeys", in: ns)?.child("pk", in: ns)
        #expect(pk?["id"] == "1")
        func bytes(_ text: String?) -> Bytes? { text.flatMap { Base64.decode($0) } }
        #expect(bytes(element.child("ik", in: ns)?.text) == device.own.identity.publicKey.ed25519)
        #expect(
            bytes(element.child("spk", in: ns)?.text) == device.own.signedPreKey.keyPair.publicKey.bytes)
        #expect(bytes(pk?.text) == device.own.preKeys[0].keyPair.publicKey.bytes)
    }

    @Test func `both versions publish the same keys`() throws {
        let own = try device(732).own
        let (legacy, omemo2) = (own.bundle(.legacy), own.bundle(.omemo2))
        #expect(legacy.signedPreKey == omemo2.signedPreKey)
        #expect(legacy.signedPreKeyID == omemo2.signedPreKeyID)
        #expect(legacy.preKeys == omemo2.preKeys)
        #expect(legacy.identityKey == omemo2.identityKey)
        #expect(throws: CodecError.self) { try Bundle(legacy.element, .omemo2) }
        #expect(throws: CodecError.self) { try Bundle(omemo2.element, .legacy) }
    }

    @Test func `C22 no byte of the signature can be changed, nor may it be the legacy one`() throws {
        let device = try device(733)
        let good = device.bundle.element
        let signature = device.bundle.signature
        func bundle(_ signature: Bytes) throws -> Bundle {
            var element = good
            element.nodes[1] = .element(Element("spks", in: ns, text: Base64.encode(signature)))
            return try Bundle(element, .omemo2)
        }
        #expect(try bundle(signature) == device.bundle)
        for index in 0..<64 {
            var altered = signature
            altered[index] ^= 1
            #expect(throws: CodecError.invalid("spks")) { try bundle(altered) }
        }
        for other in [
            device.own.signedPreKey.signature, Bytes(signature.dropLast()), signature + [0],
            signature.dropLast() + [signature[63] | 0x80],
        ] {
            #expect(throws: CodecError.invalid("spks")) { try bundle(other) }
        }
    }

    @Test func `C22 a signature with S above the group order is refused`() throws {
        let device = try device(741)
        var element = device.bundle.element
        let signature = try addingGroupOrder(device.bundle.signature)
        // It is the order that refuses it, not the three upper bits that every S leaves clear.
        #expect(signature[63] & 0xe0 == 0 && signature != device.bundle.signature)
        element.nodes[1] = .element(Element("spks", in: ns, text: Base64.encode(signature)))
        #expect(throws: CodecError.invalid("spks")) { try Bundle(element, .omemo2) }
    }

    @Test func `C22 a signature under the other Edwards form is refused`() throws {
        let device = try device(734)
        var identity = device.own.identity.publicKey.ed25519
        identity[31] ^= 0x80
        var element = device.bundle.element
        element.nodes[2] = .element(Element("ik", in: ns, text: Base64.encode(identity)))
        #expect(throws: CodecError.invalid("spks")) { try Bundle(element, .omemo2) }
    }

    /// Encodings of points of small order (RFC 8032 §5.1.2), and keys that are no canonical point.
    @Test(arguments: [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "0200000000000000000000000000000000000000000000000000000000000000",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "00", "",
    ])
    func `C23 an identity that is no key is refused`(_ hex: String) throws {
        let device = try device(735)
        let key = try bytes(hex: hex)
        var element = device.bundle.element
        element.nodes[2] = .element(Element("ik", in: ns, text: Base64.encode(key)))
        #expect(throws: CodecError.invalid("spks")) { try Bundle(element, .omemo2) }

        let bob = try Device("bob@example.org", seed: 736, .omemo2)
        var message = try device.send("x", to: bob)
        var exchange = try KeyExchangeMessage(message.keys[0].data, .omemo2)
        exchange.identityKey = key
        message.keys[0].data = exchange.encoded(.omemo2)
        #expect(throws: DecryptionError.self) { try bob.receive(message, from: device) }
        #expect(bob.records.isEmpty && bob.preKeys.count == 100)
    }

    @Test(arguments: lowOrderKeys)
    func `C23 a low-order key is refused in every slot`(_ hex: String) throws {
        let low = try PublicKey(bytes(hex: hex))
        let (alice, bob) = (try device(737), try Device("bob@example.org", seed: 738, .omemo2))
        var signed = bob.bundle.element
        signed.nodes[0] = .element(Element("spk", in: ns, ["id": "1"], text: Base64.encode(low.bytes)))
        signed.nodes[1] = .element(
            Element("spks", in: ns, text: Base64.encode(bob.own.identity.sign(low.bytes))))
        var oneTime = bob.bundle.element
        let pk = Element("pk", in: ns, ["id": "1"], text: Base64.encode(low.bytes))
        oneTime.nodes[3] = .element(Element("prekeys", in: ns, [:], [pk]))
        for element in [signed, oneTime] {
            var record = SessionRecord(.omemo2)
            let bundle = try Bundle(element, .omemo2)
            #expect(throws: EncryptionError.invalidKey) {
                try record.initiate(
                    with: bundle, own: alice.own.identity, ownDevice: 1, using: &alice.random)
            }
            #expect(record.isEmpty && record.remoteIdentity == nil)
        }
        var message = try alice.send("x", to: bob)
        var exchange = try KeyExchangeMessage(message.keys[0].data, .omemo2)
        exchange.baseKey = low
        message.keys[0].data = exchange.encoded(.omemo2)
        #expect(throws: DecryptionError.self) { try bob.receive(message, from: alice) }
        #expect(bob.records.isEmpty && bob.preKeys.count == 100)
    }

    @Test func `a bundle starts sessions of its own version only`() throws {
        let (alice, bob) = (try device(739), try device(740))
        var record = SessionRecord(.omemo2)
        #expect(throws: EncryptionError.invalidKey) {
            try record.initiate(
                with: bob.own.bundle(.legacy), own: alice.own.identity, ownDevice: 1, using: &alice.random)
        }
        #expect(record.isEmpty && record.remoteIdentity == nil)
        var recipients = [Recipient(address: bob.address, record: record)]
        try recipients[0].record.initiate(
            with: bob.bundle, own: alice.own.identity, ownDevice: 1, using: &alice.random)
        #expect(throws: FanoutError.recipient(bob.address, .noSession)) {
            try Fanout.encrypt([1], .legacy, from: 1, to: &recipients, using: &alice.random)
        }
    }
}

@Suite struct OMEMO2MessageTests {
    private let juliet: DeviceAddress
    private let xml = """
        <encrypted xmlns='\(ns)'>
          <header sid='27183'>
            <keys jid='juliet@capulet.lit'>
              <key rid='31415'>AAEC</key>
              <key rid='1' kex='0'>BQ==</key>
            </keys>
            <keys jid='romeo@montague.lit'>
              <key rid='1337' kex='1'>BA==</key>
              <key kex='true' rid='12321'>Aw==</key>
            </keys>
          </header>
          <payload>/+8=</payload>
        </encrypted>
        """

    init() throws { juliet = DeviceAddress(jid: try JID("juliet@capulet.lit"), device: 31415) }

    @Test func `a message decodes from the XML of the specification`() throws {
        let message = try EncryptedMessage(parse(xml), .omemo2)
        #expect(message.sid == 27183)
        #expect(
            message.keys.map { $0.jid?.description } == [
                "juliet@capulet.lit", "juliet@capulet.lit", "romeo@montague.lit", "romeo@montague.lit",
            ])
        #expect(message.keys.map(\.rid) == [31415, 1, 1337, 12321])
        #expect(message.keys.map(\.isKeyExchange) == [false, false, true, true])
        #expect(message.keys.map(\.data) == [[0, 1, 2], [5], [4], [3]])
        #expect(message.iv.isEmpty)
        #expect(message.payload == [0xff, 0xef])
    }

    @Test func `a message encodes to what the schema allows, keys grouped by account`() throws {
        let romeo = try JID("romeo@montague.lit")
        let message = EncryptedMessage(
            .omemo2, sid: 27183,
            keys: [
                .init(jid: juliet.jid, rid: 31415, isKeyExchange: false, data: [0, 1, 2]),
                .init(jid: romeo, rid: 1337, isKeyExchange: true, data: [4]),
                .init(jid: juliet.jid, rid: 1, isKeyExchange: false, data: [5]),
            ], payload: [0xff, 0xef])
        #expect(
            try message.element
                == parse(
                    "<encrypted xmlns='\(ns)'><header sid='27183'><keys jid='juliet@capulet.lit'>"
                        + "<key rid='31415'>AAEC</key><key rid='1'>BQ==</key></keys>"
                        + "<keys jid='romeo@montague.lit'><key rid='1337' kex='true'>BA==</key></keys>"
                        + "</header><payload>/+8=</payload></encrypted>"))
        #expect(try EncryptedMessage(message.element, .omemo2).keys.count == 3)
    }

    @Test func `C24 a key is ours only under our own JID`() throws {
        func keys(_ jid: String, _ device: UInt32) throws -> [Bytes] {
            let own = DeviceAddress(jid: try JID(jid), device: device)
            return try EncryptedMessage(parse(xml), .omemo2, for: own).keys.map(\.data)
        }
        #expect(try keys("juliet@capulet.lit/balcony", 31415) == [[0, 1, 2]])
        #expect(try keys("romeo@montague.lit", 31415).isEmpty)
        #expect(try keys("juliet@capulet.lit", 1337).isEmpty)
        #expect(try keys("nurse@capulet.lit", 1).isEmpty)
    }

    @Test(arguments: [
        "<keys><key rid='1'>AA==</key></keys>", "<keys jid='@'><key rid='1'>AA==</key></keys>",
        "<keys jid='romeo@montague.lit'><key>AA==</key></keys>",
        "<keys jid='romeo@montague.lit'><key rid='31415' kex='yes'>AA==</key></keys>",
        "<keys jid='juliet@capulet.lit'><key rid='2'>*</key></keys>",
    ])
    func `what is malformed for somebody else does not spoil the message`(_ other: String) throws {
        let element = try parse(
            "<encrypted xmlns='\(ns)'><header sid='1'>\(other)<keys jid='juliet@capulet.lit'>"
                + "<key rid='31415'>Aw==</key></keys></header><payload>/+8=</payload></encrypted>")
        #expect(throws: CodecError.self) { try EncryptedMessage(element, .omemo2) }
        #expect(try EncryptedMessage(element, .omemo2, for: juliet).keys.map(\.data) == [[3]])
    }

    @Test(arguments: [
        "", "<payload/>", "<header/>", "<header sid='0'/>", "<header sid='2147483648'/>",
        "<header sid='1'/><header sid='1'/>", "<header sid='1'/><payload>=</payload>",
        "<header sid='1'><keys jid='juliet@capulet.lit'><key rid='31415'>A</key></keys></header>",
        "<header sid='1'><keys jid='juliet@capulet.lit'><key rid='31415' kex='yes'>AA==</key></keys></header>",
    ])
    func `a malformed message is refused`(_ content: String) throws {
        let element = try parse("<encrypted xmlns='\(ns)'>\(content)</encrypted>")
        #expect(throws: CodecError.self) { try EncryptedMessage(element, .omemo2, for: juliet) }
    }

    @Test func `an empty message has neither payload nor nonce, and carries 32 zero bytes`() throws {
        let (alice, bob) = try acquainted(750, .omemo2)
        let message = try alice.send(nil, to: bob)
        #expect(message.payload == nil && message.iv.isEmpty)
        #expect(message.element.children.map(\.name) == ["header"])
        let received = try bob.receive(message, from: alice)
        #expect(received.decrypted.plaintext.bytes == Bytes(repeating: 0, count: 32))
    }

    @Test func `an unmarked key exchange is read as one, also without a session, and in omemo:2 alone`()
        throws
    {
        for version in ProtocolVersion.allCases {
            let alice = try Device("alice@example.org", seed: 752, version)
            let bob = try Device("bob@example.org", seed: 753, version)
            var messages = try (0..<3).map { try alice.send("\($0)", to: bob) }
            for index in messages.indices { messages[index].keys[0].isKeyExchange = false }
            guard version == .omemo2 else {
                #expect(throws: DecryptionError.self) { try bob.receive(messages[0], from: alice) }
                #expect(bob.records.isEmpty && bob.preKeys.count == 100)
                continue
            }
            #expect(try bob.receive(messages[1], from: alice).decrypted.isNewSession)
            #expect(try !bob.receive(messages[0], from: alice).decrypted.isNewSession)
            #expect(try bob.receive(messages[2], from: alice).text == "2")
            #expect(bob.preKeys.count == 99)
            #expect(throws: DecryptionError.alreadyDecrypted) { try bob.receive(messages[1], from: alice) }
        }
    }
}
