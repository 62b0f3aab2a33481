// Device lists, bundles and messages against XML written by hand.
import IMCrypto
import Testing
import XMPP

@testable import OMEMO

private let ns = "eu.siacs.conversations.axolotl"

@Suite struct DeviceListTests {
    @Test func `a device list decodes in the order published`() throws {
        let list = try DeviceList(
            parse("<list xmlns='\(ns)'><device id='12345'/><device id='2147483647'/><device id='1'/></list>"),
            .legacy)
        #expect(list.ids == [12345, 2_147_483_647, 1])
    }

    @Test func `a device list encodes to what the schema allows`() throws {
        #expect(
            try DeviceList(.legacy, [31415, 27183].map { DeviceList.Device(id: $0) }).element
                == parse("<list xmlns='\(ns)'><device id='31415'/><device id='27183'/></list>"))
    }

    @Test func `ids that no client could address are left out, repeated ones stand once`() throws {
        let ids = ["0", "7", "-1", "2147483648", "99999999999", "x", "", "7", "8"]
        let xml = ids.map { "<device id='\($0)'/>" }.joined()
        let list = try DeviceList(
            parse("<list xmlns='\(ns)'>\(xml)<device/><device xmlns='other' id='9'/></list>"), .legacy)
        #expect(list.ids == [7, 8])
    }

    @Test func `another element is no device list, rather than an empty one`() throws {
        let element = try parse("<devices xmlns='urn:xmpp:omemo:2'/>")
        #expect(throws: CodecError.unexpected("devices")) { try DeviceList(element, .legacy) }
    }

    @Test func `node names are those of the specification`() {
        #expect(DeviceList.node(.legacy) == "eu.siacs.conversations.axolotl.devicelist")
        #expect(Bundle.node(.legacy, device: 31415) == "eu.siacs.conversations.axolotl.bundles:31415")
    }
}

@Suite struct BundleTests {
    @Test(arguments: [false, true])
    func `a bundle survives the wire with either sign of the identity`(_ sign: Bool) throws {
        let device = try Device("a@example.org", seed: 1, sign: sign)
        let decoded = try Bundle(device.bundle.element, .legacy)
        #expect(decoded == device.bundle)
        #expect(decoded.preKeys.count == 100)
        #expect(decoded.signature[63] & 0x80 == (sign ? 0x80 : 0))
    }

    @Test func `keys stand on the wire as 05 and 32 bytes`() throws {
        let device = try Device("a@example.org", seed: 2)
        let element = device.bundle.element
        #expect(
            element.children.map(\.name) == [
                "signedPreKeyPublic", "signedPreKeySignature", "identityKey", "prekeys",
            ])
        for text in [
            element.child("identityKey", in: ns)?.text, element.child("signedPreKeyPublic", in: ns)?.text,
            element.child("prekeys", in: ns)?.child("preKeyPublic", in: ns)?.text,
        ] {
            let key = try #require(text.flatMap { Base64.decode($0) })
            #expect(key.count == 33)
            #expect(key.first == 5)
        }
        #expect(element.child("signedPreKeyPublic", in: ns)?["signedPreKeyId"] == "1")
    }

    @Test func `C22 no byte of the signature can be changed`() throws {
        let device = try Device("a@example.org", seed: 3)
        for index in 0..<64 {
            var signature = device.own.signedPreKey.signature
            signature[index] ^= 1
            #expect(throws: CodecError.invalid("signedPreKeySignature")) {
                try Bundle(altered(device, signature: signature), .legacy)
            }
        }
    }

    @Test func `C22 a signature with S above the group order is refused`() throws {
        let device = try Device("a@example.org", seed: 4, sign: false)
        let signature = try addingGroupOrder(device.own.signedPreKey.signature)
        #expect(throws: CodecError.invalid("signedPreKeySignature")) {
            try Bundle(altered(device, signature: signature), .legacy)
        }
    }

    @Test func `a signature by another identity is refused`() throws {
        let device = try Device("a@example.org", seed: 5)
        let other = try Device("a@example.org", seed: 6)
        let forged = Bundle(
            .legacy, identity: other.own.identity, signedPreKey: device.own.signedPreKey,
            preKeys: device.bundle.preKeys)
        #expect(throws: CodecError.invalid("signedPreKeySignature")) { try Bundle(forged.element, .legacy) }
    }

    @Test func `malformed pre-keys are left out, and a bundle without any is refused`() throws {
        let device = try Device("a@example.org", seed: 7)
        var element = device.bundle.element
        let good = try #require(device.bundle.element.child("prekeys", in: ns)?.children.first)
        var zero = good
        zero["preKeyId"] = "0"
        let short = Element("preKeyPublic", in: ns, ["preKeyId": "9"], text: "BQ==")
        element.nodes[3] = .element(Element("prekeys", in: ns, [:], [zero, short, good, good]))
        #expect(try Bundle(element, .legacy).preKeys == [device.bundle.preKeys[0]])
        element.nodes[3] = .element(Element("prekeys", in: ns, [:], [zero, short]))
        #expect(throws: CodecError.missing("preKeyPublic")) { try Bundle(element, .legacy) }
    }

    @Test func `a bundle with a missing or doubled part is refused`() throws {
        let device = try Device("a@example.org", seed: 8)
        for index in 0..<4 {
            var element = device.bundle.element
            element.nodes.append(element.nodes[index])
            #expect(throws: CodecError.self) { try Bundle(element, .legacy) }
            element.nodes.removeLast()
            element.nodes.remove(at: index)
            #expect(throws: CodecError.self) { try Bundle(element, .legacy) }
        }
    }

    private func altered(_ device: Device, signature: Bytes) -> Element {
        let signed = device.own.signedPreKey
        return Bundle(
            .legacy, identity: device.own.identity,
            signedPreKey: SignedPreKey(
                id: signed.id, keyPair: signed.keyPair, signature: signature, createdAt: 0),
            preKeys: device.bundle.preKeys
        ).element
    }
}

@Suite struct EncryptedMessageTests {
    private func own(_ device: UInt32) throws -> DeviceAddress {
        DeviceAddress(jid: try JID("a@example.org"), device: device)
    }

    @Test func `a message decodes from the XML of the specification`() throws {
        let message = try EncryptedMessage(
            parse(
                """
                <encrypted xmlns='\(ns)'>
                  <header sid='27183'>
                    <key rid='31415'>AAEC</key>
                    <key prekey='true' rid='12321'>Aw==</key>
                    <key prekey='1' rid='1'>BA==</key>
                    <key prekey='0' rid='2'>BQ==</key>
                    <key prekey='false' rid='3'>Bg==</key>
                    <iv>AAECAwQFBgcICQoL</iv>
                  </header>
                  <payload>
                    /+8=
                  </payload>
                </encrypted>
                """), .legacy)
        #expect(message.sid == 27183)
        #expect(message.keys.map(\.rid) == [31415, 12321, 1, 2, 3])
        #expect(message.keys.map(\.isKeyExchange) == [false, true, true, false, false])
        #expect(message.keys.map(\.data) == [[0, 1, 2], [3], [4], [5], [6]])
        #expect(message.iv == Bytes(0...11))
        #expect(message.payload == [0xff, 0xef])
    }

    @Test func `a message encodes to what the schema allows`() throws {
        let message = EncryptedMessage(
            .legacy, sid: 27183,
            keys: [
                .init(rid: 31415, isKeyExchange: false, data: [0, 1, 2]),
                .init(rid: 12321, isKeyExchange: true, data: [3]),
            ], iv: Bytes(0...11), payload: [0xff, 0xef])
        #expect(
            try message.element
                == parse(
                    "<encrypted xmlns='\(ns)'><header sid='27183'><key rid='31415'>AAEC</key>"
                        + "<key rid='12321' prekey='true'>Aw==</key><iv>AAECAwQFBgcICQoL</iv></header>"
                        + "<payload>/+8=</payload></encrypted>"))
        #expect(try EncryptedMessage(message.element, .legacy) == message)
    }

    @Test func `an empty message has an iv and no payload`() throws {
        let message = EncryptedMessage(
            .legacy, sid: 1, keys: [], iv: Bytes(repeating: 7, count: 12), payload: nil)
        #expect(message.element.child("payload", in: ns) == nil)
        #expect(message.element.child("header", in: ns)?.child("iv", in: ns)?.text == "BwcHBwcHBwcHBwcH")
        #expect(try EncryptedMessage(message.element, .legacy) == message)
    }

    @Test func `an iv of 16 bytes is read, and an empty message may lack one`() throws {
        let long = "<iv>AAECAwQFBgcICQoLDA0ODw==</iv>"
        #expect(try message("<header sid='1'>\(long)</header><payload/>").iv == Bytes(0...15))
        #expect(try message("<header sid='1'/>").iv.isEmpty)
    }

    @Test(arguments: [
        "", "<payload/>", "<header/>", "<header sid='0'/>", "<header sid='2147483648'/>",
        "<header sid='1'/><header sid='1'/>", "<header sid='1'/><payload/>",
        "<header sid='1'><key>AA==</key></header>", "<header sid='1'><key rid='x'>AA==</key></header>",
        "<header sid='1'><key rid='1' prekey='yes'>AA==</key></header>",
        "<header sid='1'><key rid='1'>A</key></header>", "<header sid='1'><iv>AAAA</iv></header>",
        "<header sid='1'><iv>*</iv></header>",
        "<header sid='1'><iv>AAECAwQFBgcICQoL</iv></header><payload>=</payload>",
    ])
    func `a malformed message is refused`(_ content: String) {
        #expect(throws: CodecError.self) { try message(content) }
    }

    @Test(arguments: [
        "<key>AA==</key>", "<key rid='x'>AA==</key>", "<key rid='2' prekey='yes'>AA==</key>",
        "<key rid='2'>*</key>",
    ])
    func `a malformed key for somebody else's device does not spoil the message`(_ key: String) throws {
        let element = try parse(
            "<encrypted xmlns='\(ns)'><header sid='1'>\(key)<key rid='7' prekey='1'>Aw==</key>"
                + "<key rid='70'>BA==</key><iv>AAECAwQFBgcICQoL</iv></header><payload>/+8=</payload></encrypted>"
        )
        #expect(throws: CodecError.self) { try EncryptedMessage(element, .legacy) }
        let message = try EncryptedMessage(element, .legacy, for: own(7))
        #expect(message.keys == [.init(rid: 7, isKeyExchange: true, data: [3])])
        #expect(message.payload == [0xff, 0xef])
        #expect(try EncryptedMessage(element, .legacy, for: own(8)).keys.isEmpty)
    }

    @Test func `a malformed key for our own device is refused`() throws {
        let element = try parse(
            "<encrypted xmlns='\(ns)'><header sid='1'><key rid='7'>*</key><key rid='8'>AA==</key></header></encrypted>"
        )
        #expect(throws: CodecError.invalid("key")) { try EncryptedMessage(element, .legacy, for: own(7)) }
    }

    private func message(_ content: String) throws -> EncryptedMessage {
        try EncryptedMessage(parse("<encrypted xmlns='\(ns)'>\(content)</encrypted>"), .legacy)
    }
}
