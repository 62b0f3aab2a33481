// What a network, a server or a contact may send: forged, altered, repeated, malformed.
import IMCrypto
import Testing
import XMPP

@testable import OMEMO

@Suite struct TamperingTests {
    /// Flips each bit in turn and expects an error and an unchanged record each time.
    private func sweep(
        _ receiver: Device, _ message: EncryptedMessage, from sender: Device, allowed: Set<Int> = [],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let stored = receiver.stored(sender)
        let preKeys = receiver.preKeys.count
        for bit in 0..<(message.keys[0].data.count * 8) where !allowed.contains(bit / 8) {
            var altered = message
            altered.keys[0].data[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: DecryptionError.self, "bit \(bit)", sourceLocation: sourceLocation) {
                try receiver.receive(altered, from: sender)
            }
            #expect(receiver.stored(sender) == stored, sourceLocation: sourceLocation)
        }
        #expect(receiver.preKeys.count == preKeys, sourceLocation: sourceLocation)
        try receiver.receive(message, from: sender)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `C27 no bit of an ordinary message can be changed`(_ version: ProtocolVersion) throws {
        let (alice, bob) = try acquainted(60, version)
        try sweep(bob, alice.send("text", to: bob), from: alice)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `no bit of a message on a new ratchet key can be changed`(_ version: ProtocolVersion) throws {
        let (alice, bob) = try acquainted(62, version)
        try bob.receive(alice.send("text", to: bob), from: alice)
        try sweep(alice, bob.send("text", to: alice), from: bob)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `no bit of a key exchange can be changed, but those that decide nothing`(_ version: ProtocolVersion)
        throws
    {
        let alice = try Device("alice@example.org", seed: 64, version)
        let bob = try Device("bob@example.org", seed: 65, version)
        let message = try alice.send("text", to: bob)
        // In legacy the field after the framed message: registrationId, unauthenticated and unused.
        guard version == .legacy else { return try sweep(bob, message, from: alice) }
        let exchange = try KeyExchangeMessage(message.keys[0].data, version)
        let registration = Wire.field(5, UInt64(try #require(exchange.registrationID)))
        let start = message.keys[0].data.count - registration.count - Wire.field(6, 1).count
        #expect(Array(message.keys[0].data[start..<start + registration.count]) == registration)
        try sweep(
            bob, message, from: alice, allowed: Set(start..<start + registration.count))
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `no truncation or extension decrypts`(_ version: ProtocolVersion) throws {
        let (alice, bob) = try acquainted(66, version)
        let message = try alice.send("text", to: bob)
        let stored = bob.stored(alice)
        let data = message.keys[0].data
        for altered in (0..<data.count).map({ Bytes(data.prefix($0)) }) + [data + [0], [0x33] + data] {
            var message = message
            message.keys[0].data = altered
            #expect(throws: DecryptionError.self) { try bob.receive(message, from: alice) }
        }
        #expect(bob.stored(alice) == stored)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `a payload of another message does not open and spends nothing`(_ version: ProtocolVersion) throws {
        let (alice, bob) = try acquainted(68, version)
        var message = try alice.send("one", to: bob)
        let other = try alice.send("two", to: bob)
        let stored = bob.stored(alice)
        let genuine = message.payload
        message.payload = other.payload
        #expect(throws: DecryptionError.invalidMessage("payload")) { try bob.receive(message, from: alice) }
        #expect(bob.stored(alice) == stored)
        message.payload = genuine
        #expect(try bob.receive(message, from: alice).text == "one")
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `a message reflected to its sender is refused`(_ version: ProtocolVersion) throws {
        let (alice, bob) = try acquainted(70, version)
        var message = try alice.send("x", to: bob)
        message.keys[0].rid = alice.own.id
        let stored = alice.stored(bob)
        #expect(throws: DecryptionError.self) { try alice.receive(message, from: bob) }
        #expect(alice.stored(bob) == stored)
    }
}

@Suite struct MisattributionTests {
    @Test(arguments: ProtocolVersion.allCases)
    func `C24 Bob's message from Carol's address is refused and spends nothing`(_ version: ProtocolVersion)
        throws
    {
        let (bob, alice) = try acquainted(80, version)
        let carol = try Device("carol@example.org", seed: 82, version)
        try alice.receive(carol.send("I am Carol", to: alice), from: carol)
        let message = try bob.send("for Alice", to: alice)
        let stored = alice.records.mapValues { $0.serialized().bytes }
        #expect(throws: DecryptionError.self) { try alice.receive(message, from: carol) }
        let unknown = DeviceAddress(jid: carol.address.jid, device: 4711)
        #expect(throws: DecryptionError.noSession) { try alice.receive(message, from: unknown) }
        #expect(alice.records.mapValues { $0.serialized().bytes } == stored)
        #expect(try alice.receive(message, from: bob).text == "for Alice")
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `Bob's key exchange from Carol's device is a changed identity`(_ version: ProtocolVersion) throws {
        let alice = try Device("alice@example.org", seed: 83, version)
        let bob = try Device("bob@example.org", seed: 84, version)
        let carol = try Device("carol@example.org", seed: 85, version)
        try alice.receive(carol.send("I am Carol", to: alice), from: carol)
        let message = try bob.send("for Alice", to: alice)
        #expect(throws: DecryptionError.identityKeyChanged) { try alice.receive(message, from: carol) }
        #expect(try alice.receive(message, from: bob).text == "for Alice")
        #expect(throws: DecryptionError.identityKeyChanged) { try alice.receive(message, from: carol) }
    }

    /// In omemo:2 an unmarked one is read: QXmpp writes them.
    @Test(arguments: [ProtocolVersion.legacy])
    func `a key exchange is never read as an ordinary message, nor the other way round`(
        _ version: ProtocolVersion
    ) throws {
        let alice = try Device("alice@example.org", seed: 86, version)
        let bob = try Device("bob@example.org", seed: 87, version)
        var exchange = try alice.send("x", to: bob)
        try bob.receive(alice.send("y", to: bob), from: alice)
        let stored = bob.stored(alice)
        exchange.keys[0].isKeyExchange = false
        #expect(throws: DecryptionError.self) { try bob.receive(exchange, from: alice) }
        let answer = try bob.send("z", to: alice)
        var claimed = answer
        claimed.keys[0].isKeyExchange = true
        #expect(throws: DecryptionError.self) { try alice.receive(claimed, from: bob) }
        #expect(bob.stored(alice) != nil && stored != nil)
        #expect(try alice.receive(answer, from: bob).text == "z")
    }
}

@Suite struct LowOrderKeyTests {
    @Test(arguments: lowOrderKeys)
    func `C23 a low-order key is refused in every slot`(_ hex: String) throws {
        let low = try PublicKey(bytes(hex: hex))
        let alice = try Device("alice@example.org", seed: 90)
        let bob = try Device("bob@example.org", seed: 91)
        try expectRefusedInBundle(low, alice, bob)
        try expectRefusedInKeyExchange(low, alice, bob)
        try expectRefusedAsRatchetKey(low)
    }

    private func expectRefusedInBundle(_ low: PublicKey, _ alice: Device, _ bob: Device) throws {
        let signature = XEdDSA.sign(low.serialized, with: bob.own.identity)
        let ns = ProtocolVersion.legacy.rawValue
        func part(_ name: String, _ id: String?, _ key: Bytes) -> Element {
            Element(name, in: ns, [id ?? "": id == nil ? nil : "1"], text: Base64.encode(key))
        }
        let good = bob.bundle.element
        var weakSigned = good
        weakSigned.nodes[0] = .element(part("signedPreKeyPublic", "signedPreKeyId", low.serialized))
        weakSigned.nodes[1] = .element(part("signedPreKeySignature", nil, signature))
        var weakPreKey = good
        let only = part("preKeyPublic", "preKeyId", low.serialized)
        weakPreKey.nodes[3] = .element(Element("prekeys", in: ns, [:], [only]))
        for element in [weakSigned, weakPreKey] {
            let bundle = try Bundle(element, .legacy)
            var record = SessionRecord(.legacy)
            #expect(throws: EncryptionError.invalidKey) {
                try record.initiate(
                    with: bundle, own: alice.own.identity, ownDevice: 1, using: &alice.random)
            }
            #expect(record.isEmpty && record.remoteIdentity == nil)
        }
        var weakIdentity = good
        weakIdentity.nodes[2] = .element(part("identityKey", nil, low.serialized))
        #expect(throws: CodecError.invalid("signedPreKeySignature")) { try Bundle(weakIdentity, .legacy) }
    }

    private func expectRefusedInKeyExchange(_ low: PublicKey, _ alice: Device, _ bob: Device) throws {
        let genuine = try KeyExchangeMessage(alice.send("x", to: bob).keys[0].data, .legacy)
        var weakBase = genuine
        weakBase.baseKey = low
        var weakIdentity = genuine
        weakIdentity.identityKey = low.bytes
        for exchange in [weakBase, weakIdentity] {
            var record = SessionRecord(.legacy)
            #expect(throws: DecryptionError.self) {
                try record.decrypt(
                    exchange.encoded(.legacy), isKeyExchange: true, own: bob.own.identity, preKeys: bob)
            }
            #expect(record.isEmpty && record.remoteIdentity == nil)
        }
    }

    private func expectRefusedAsRatchetKey(_ low: PublicKey) throws {
        let (alice, bob) = try acquainted(92)
        try bob.receive(alice.send("x", to: bob), from: alice)
        let genuine = try RatchetMessage(bob.send("y", to: alice).keys[0].data, .legacy)
        let header = RatchetHeader(dh: low, n: 0, pn: 0)
        let stored = alice.stored(bob)
        #expect(throws: DecryptionError.invalidMessage("ratchet key")) {
            try alice.records[bob.address]?.decrypt(
                RatchetMessage.encodeSignalMessage(header, genuine.ciphertext) + genuine.mac,
                isKeyExchange: false,
                own: alice.own.identity, preKeys: alice)
        }
        #expect(alice.stored(bob) == stored)
    }
}

@Suite struct FloodTests {
    @Test func `C31 1,000 undecryptable messages leave no new session`() throws {
        let (alice, bob) = try acquainted(100)
        let stored = bob.stored(alice)
        let stranger = try Device("alice@example.org", seed: 102)
        let genuine = try RatchetMessage(alice.send("x", to: bob).keys[0].data, .legacy)
        var random = Seeded(103)
        var record = SessionRecord(.legacy)
        for _ in 0..<1000 {
            let header = RatchetHeader(
                dh: KeyPair.generate(using: &random).publicKey, n: .random(in: 0...2000, using: &random),
                pn: .random(in: 0...2000, using: &random))
            let data = RatchetMessage.encodeSignalMessage(header, genuine.ciphertext) + genuine.mac
            #expect(throws: DecryptionError.self) {
                try bob.records[alice.address]?.decrypt(
                    data, isKeyExchange: false, own: bob.own.identity, preKeys: bob)
            }
            #expect(throws: DecryptionError.noSession) {
                try record.decrypt(data, isKeyExchange: false, own: bob.own.identity, preKeys: bob)
            }
        }
        #expect(bob.stored(alice) == stored)
        #expect(record.isEmpty)
        #expect(stranger.records.isEmpty)
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `forged key exchanges spend no pre-key`(_ version: ProtocolVersion) throws {
        let alice = try Device("alice@example.org", seed: 104, version)
        let bob = try Device("bob@example.org", seed: 105, version)
        var exchange = try KeyExchangeMessage(alice.send("x", to: bob).keys[0].data, version)
        var random = Seeded(106)
        for _ in 0..<100 {
            exchange.baseKey = KeyPair.generate(using: &random).publicKey
            var record = SessionRecord(version)
            #expect(throws: DecryptionError.invalidMessage("MAC")) {
                try record.decrypt(
                    exchange.encoded(version), isKeyExchange: true, own: bob.own.identity, preKeys: bob)
            }
            #expect(record.isEmpty && record.remoteIdentity == nil)
        }
    }
}
