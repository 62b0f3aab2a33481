// One text to many devices: their sessions loaded, the text encrypted, the stanza written, the sessions stored.
import IMCrypto
import OMEMO
import XMPP

struct FanoutTime {
    let microseconds: Double
    /// Bytes of the `<encrypted/>` element.
    let stanzaSize: Int

    init(_ version: ProtocolVersion, devices: Int) throws {
        var random = SystemRandomNumberGenerator()
        var alice = Device(version, using: &random)
        var bob = Device(version, using: &random)
        let secret = SecretBytes.random(count: version == .legacy ? 32 : 48, using: &random)
        let jid = try JID("bob@example.org")
        var stored: [Bytes] = []
        // Sessions of one other device stand for as many devices; each has been answered.
        for _ in 0..<devices {
            (alice.session, bob.session) = (nil, nil)
            try alice.start(with: bob, using: &random)
            try bob.decrypt(alice.encrypt(secret, using: &random), expecting: secret)
            try alice.decrypt(bob.encrypt(secret, using: &random), expecting: secret)
            _ = try alice.encrypt(secret, using: &random)
            if let session = alice.session { stored.append(session) }
        }
        var size = 0
        let text = Bytes("a message of ordinary length, as people and cron jobs write them".utf8)
        microseconds = try Ratchet.microseconds(each: max(5, 2_000 / devices)) { _ in
            var recipients = try stored.enumerated().map { index, session in
                Recipient(
                    address: DeviceAddress(jid: jid, device: UInt32(index + 1)),
                    record: try SessionRecord(serialized: session))
            }
            let message = try Fanout.encrypt(
                text, version, from: alice.own.id, to: &recipients, using: &random)
            size = message.element.xml().count
            stored = recipients.map { $0.record.serialized().bytes }
        }
        stanzaSize = size
    }
}
