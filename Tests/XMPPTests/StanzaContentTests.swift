// Envelopes (XEP-0420) and trust messages (XEP-0434), honest and not.
import Testing

@testable import XMPP

struct StanzaContentTests {
    private let romeo: JID
    private let juliet: JID

    init() throws {
        romeo = try JID("romeo@example.net")
        juliet = try JID("juliet@example.com")
    }

    private func body(_ text: String) -> Element { Element("body", in: Namespace.client, text: text) }

    @Test func `an envelope comes back as it was made`() throws {
        var random = SystemRandomNumberGenerator()
        let content = StanzaContent(
            content: [body("<&> hello ä"), DeliveryReceipts.request], from: romeo, to: juliet, sentAt: 1_000)
        let read = try StanzaContent(content.serialized(using: &random))
        #expect(read == content)
        try read.verify(sender: JID("romeo@example.net/orchard"), recipient: juliet)
    }

    @Test func `the length of a text does not show in that of its envelope`() {
        var random = SystemRandomNumberGenerator()
        let content = StanzaContent(content: [body("x")], from: romeo)
        let sizes = (0..<200).map { _ in content.serialized(using: &random).count }
        #expect(Set(sizes).count > 50)
        #expect((sizes.max() ?? 0) - (sizes.min() ?? 0) <= StanzaContent.maxPadding + 8)
    }

    @Test func `C32 sender and recipient must be those of the stanza`() throws {
        let content = StanzaContent(content: [], from: romeo, to: juliet)
        #expect(throws: CodecError.self) { try content.verify(sender: juliet, recipient: juliet) }
        #expect(throws: CodecError.self) { try content.verify(sender: romeo, recipient: romeo) }
        let unsigned = StanzaContent(content: [], from: nil)
        #expect(throws: CodecError.missing("from")) { try unsigned.verify(sender: romeo, recipient: juliet) }
        try StanzaContent(content: [], from: romeo).verify(sender: romeo, recipient: juliet)
    }

    @Test func `what only servers may say is not taken from inside`() throws {
        let content = StanzaContent(
            content: [
                body("hello"), ProcessingHint.store.element, StanzaIDs.originID("x"),
                Element("stanza-id", in: Namespace.stanzaIDs), Element("delay", in: Namespace.delay),
                Element("encryption", in: Namespace.messageEncryption),
                Element("encrypted", in: "urn:xmpp:omemo:2"),
                Element("addresses", in: "http://jabber.org/protocol/address"),
                Element("envelope", in: Namespace.stanzaContent),
            ], from: romeo)
        #expect(content.accepted.map(\.name) == ["body"])
    }

    @Test(arguments: [
        "", "hello", "<envelope xmlns='urn:xmpp:sce:1'/>", "<content xmlns='urn:xmpp:sce:1'/>",
        "<envelope xmlns='urn:xmpp:sce:1'><content/></envelope>",
        "<envelope xmlns='urn:xmpp:sce:1'><content/><content/><rpad/></envelope>",
        "<envelope xmlns='urn:xmpp:sce:1'><content/><rpad/><rpad/></envelope>",
        "<envelope xmlns='urn:xmpp:sce:1'><content/><rpad/><from jid='@'/></envelope>",
        "<envelope xmlns='urn:xmpp:sce:1'><content/><rpad/><from jid='a@b'/><from jid='a@b'/></envelope>",
        "<envelope xmlns='urn:xmpp:sce:1'><content/><rpad/><time stamp='yesterday'/></envelope>",
        "<envelope xmlns='urn:xmpp:sce:1'><content/><rpad/></envelope></stream:stream>",
        "<envelope xmlns='urn:xmpp:sce:1'><content/><rpad/></envelope><more/>",
        "<!DOCTYPE x><envelope xmlns='urn:xmpp:sce:1'><content/><rpad/></envelope>",
        "<?pi?><envelope xmlns='urn:xmpp:sce:1'><content/><rpad/></envelope>",
    ])
    func `C32 anything but one whole envelope is refused`(_ text: String) {
        #expect(throws: CodecError.self) { try StanzaContent(Array(text.utf8)) }
    }

    @Test func `no part of an envelope is one`() {
        var random = SystemRandomNumberGenerator()
        let whole = StanzaContent(content: [body("hello")], from: romeo).serialized(using: &random)
        for count in 0..<whole.count {
            #expect(throws: CodecError.self) { try StanzaContent(Array(whole.prefix(count))) }
        }
        for _ in 0..<2000 {
            let bytes = (0..<Int.random(in: 0...64)).map { _ in UInt8.random(in: 0...255) }
            #expect(throws: CodecError.self) { try StanzaContent(bytes) }
        }
    }

    @Test func `a trust message comes back as it was made`() throws {
        let message = TrustMessage(
            encryption: "urn:xmpp:omemo:2",
            owners: [
                .init(jid: romeo, trusted: [[1, 2], [3]], distrusted: [[4]]),
                .init(jid: juliet, trusted: [[5]]),
            ])
        #expect(try TrustMessage(message.element) == message)
        #expect(message.element["usage"] == "urn:xmpp:atm:1")
    }

    @Test(arguments: [
        "<trust-message xmlns='urn:xmpp:tm:1'/>",
        "<trust-message xmlns='urn:xmpp:tm:1' usage='u' encryption='e'/>",
        "<trust-message xmlns='urn:xmpp:tm:1' usage='u' encryption='e'><key-owner jid='@'/></trust-message>",
        "<trust-message xmlns='urn:xmpp:tm:1' usage='u' encryption='e'><key-owner jid='a@b'><trust>*</trust></key-owner></trust-message>",
        "<trust-message xmlns='urn:xmpp:tm:1' usage='u' encryption='e'><key-owner jid='a@b'><trust/></key-owner></trust-message>",
    ])
    func `a malformed trust message is refused`(_ text: String) throws {
        let element = try Element(document: Array(text.utf8))
        #expect(throws: CodecError.self) { try TrustMessage(element) }
    }

    @Test func `a trust message about more keys than anybody has is refused`() {
        let owner = TrustMessage.KeyOwner(jid: romeo, trusted: Array(repeating: [1], count: 1001))
        let message = TrustMessage(encryption: "e", owners: [owner])
        #expect(throws: CodecError.self) { try TrustMessage(message.element) }
    }
}
