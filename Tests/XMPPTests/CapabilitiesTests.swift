// What others can do, by question and by hash (XEP-0004, XEP-0030, XEP-0115).

import Testing

@testable import XMPP

@Suite struct CapabilitiesTests {
    /// XEP-0115 §5.2.
    static let exodus = DiscoInfo(
        identities: [.init("client", "pc", name: "Exodus 0.9.1")],
        features: [
            "http://jabber.org/protocol/muc", "http://jabber.org/protocol/disco#items",
            "http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/caps",
        ])

    /// XEP-0115 §5.3, with what is sorted out of order.
    static let psi = """
        <query xmlns='http://jabber.org/protocol/disco#info' node='http://psi-im.org#q07IKJEyjvHSyhy//CH0CxmKi8w='>\
        <identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>\
        <identity xml:lang='el' category='client' name='&#936; 0.11' type='pc'/>\
        <feature var='http://jabber.org/protocol/muc'/><feature var='http://jabber.org/protocol/disco#info'/>\
        <feature var='http://jabber.org/protocol/caps'/><feature var='http://jabber.org/protocol/disco#items'/>\
        <x xmlns='jabber:x:data' type='result'><field var='software_version'><value>0.11</value></field>\
        <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>\
        <field var='ip_version' type='text-multi' ><value>ipv6</value><value>ipv4</value></field>\
        <field var='os'><value>Mac</value></field><field var='os_version'><value>10.5.1</value></field>\
        <field var='software'><value>Psi</value></field></x></query>
        """

    @Test func `the simple example has its hash`() throws {
        #expect(try EntityCapabilities.version(of: Self.exodus) == "QgayPKawpkPSDYmwT/WM94uAlu0=")
        #expect(
            String(decoding: try EntityCapabilities.verificationBytes(of: Self.exodus), as: UTF8.self)
                == "client/pc//Exodus 0.9.1<http://jabber.org/protocol/caps<http://jabber.org/protocol/disco#info<"
                + "http://jabber.org/protocol/disco#items<http://jabber.org/protocol/muc<")
    }

    @Test func `the complex example has its hash`() throws {
        let info = try DiscoInfo(try parsed(Self.psi))
        #expect(try EntityCapabilities.version(of: info) == "q07IKJEyjvHSyhy//CH0CxmKi8w=")
        let again = try DiscoInfo(try parsed(info.element.xml()))
        #expect(again == info)
    }

    @Test func `an ill-formed answer has no hash`() throws {
        let identity = DiscoInfo.Identity("client", "pc", name: "x")
        let form = DataForm(.result, fields: [.init("FORM_TYPE", type: "hidden", ["urn:x"])])
        let double = DataForm(.result, fields: [.init("FORM_TYPE", type: "hidden", ["urn:x", "urn:y"])])
        for info in [
            DiscoInfo(identities: [identity, identity], features: []),
            DiscoInfo(identities: [identity], features: ["a", "a"]),
            DiscoInfo(identities: [identity], features: [], forms: [form, form]),
            DiscoInfo(identities: [identity], features: [], forms: [double]),
            DiscoInfo(
                identities: [.init("client", "pc", name: "x<http://jabber.org/protocol/muc")], features: []),
        ] {
            #expect(throws: CodecError.self) { try EntityCapabilities.version(of: info) }
            #expect(!EntityCapabilities(hash: "sha-1", node: "n", version: "x").describes(info))
        }
        let untyped = DataForm(
            .result, fields: [.init("FORM_TYPE", type: "text-single", ["urn:x"]), .init("a", ["b"])])
        let plain = DiscoInfo(identities: [identity], features: [])
        let ignored = DiscoInfo(identities: [identity], features: [], forms: [untyped])
        #expect(try EntityCapabilities.version(of: ignored) == EntityCapabilities.version(of: plain))
    }

    @Test func `only a matching answer may be cached`() throws {
        let presence = try Presence(
            try parsed(
                """
                <presence from='romeo@montague.lit/orchard'><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' \
                node='http://code.google.com/p/exodus' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/></presence>
                """))
        let caps = try #require(EntityCapabilities(presence))
        #expect(caps.queryNode == "http://code.google.com/p/exodus#QgayPKawpkPSDYmwT/WM94uAlu0=")
        #expect(caps.describes(Self.exodus))
        var poisoned = Self.exodus
        poisoned.features.append("urn:xmpp:receipts")
        #expect(!caps.describes(poisoned))
        for hash in ["md5", nil] {
            #expect(!EntityCapabilities(hash: hash, node: "n", version: caps.version).describes(Self.exodus))
        }
        #expect(try EntityCapabilities(node: caps.node, Self.exodus) == caps)
        #expect(caps.element == presence.payloads[0])
    }

    @Test func `disco items skip malformed addresses`() throws {
        let items = try DiscoItems(
            try parsed(
                """
                <query xmlns='http://jabber.org/protocol/disco#items'><item jid='people.shakespeare.lit' \
                name='Directory'/><item jid='@'/><item/><item jid='mim.shakespeare.lit' node='n'/></query>
                """))
        #expect(
            items.items == [
                .init(try JID("people.shakespeare.lit"), name: "Directory"),
                .init(try JID("mim.shakespeare.lit"), node: "n"),
            ])
        #expect(try DiscoItems(items.element) == items)
    }

    @Test func `a form's values are found by name`() throws {
        let form = try DataForm(
            try parsed(
                """
                <x xmlns='jabber:x:data' type='form'><title>Bot</title><field type='fixed'><value>Section</value></field>\
                <field type='hidden' var='FORM_TYPE'><value>jabber:bot</value></field>\
                <field type='text-single' var='botname'/><field var='features' type='list-multi'>\
                <option><value>news</value></option><value>search</value><value>news</value></field></x>
                """))
        #expect(form.kind == .form && form.formType == "jabber:bot")
        #expect(form["botname"] == nil && form["features"] == "search" && form["none"] == nil)
        #expect(form.fields.last?.values == ["search", "news"])
        #expect(throws: CodecError.invalid("type")) {
            try DataForm(parsed("<x xmlns='jabber:x:data' type='?'/>"))
        }
        #expect(throws: CodecError.missing("type")) { try DataForm(parsed("<x xmlns='jabber:x:data'/>")) }
    }
}
