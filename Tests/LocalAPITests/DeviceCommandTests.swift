// What imctl does about devices: files of decisions, links, QR codes, and messages that are held.

import Foundation
import LocalAPI
import Testing

private let key = String(repeating: "0123456789abcdef", count: 4)
private let other = String(repeating: "f", count: 64)

struct DeviceCommandTests {
    @Test func `decisions come from a file and go into one that is always the same`() throws {
        let daemon = try FakeDaemon()
        let file = daemon.folder + "/trust.imd"
        let grouped = stride(from: 0, to: 64, by: 8).map { key.dropFirst($0).prefix(8).uppercased() }
        let text = """
            # the people this bot writes to
            bob@example.org \(other) distrusted   # stolen

            policy * tofu
            bob@example.org \(grouped.joined(separator: ":")) verified
            policy bob@example.org verified-only
            """
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        let taking = try Imctl(["device", "trust", "--import", file], daemon)
        let params = try daemon.accept().answer(
            TrustImport.self, .init(changed: 3, released: 1, cancelled: 0))
        #expect(taking.status() == 0)
        #expect(taking.printed == "3 changed\n")
        #expect(taking.diagnosed.contains("1 held messages go out now"))
        let entries: [TrustEntry] = [
            .init(jid: "bob@example.org", fingerprint: other, trust: .distrusted),
            .init(jid: "bob@example.org", fingerprint: key, trust: .verified),
        ]
        let policies: [PolicyEntry] = [
            .init(policy: .tofu), .init(jid: "bob@example.org", policy: .verifiedOnly),
        ]
        #expect(params == .init(entries: entries, policies: policies))
        let giving = try Imctl(["device", "trust", "--export"], daemon)
        try daemon.accept().answer(
            TrustExport.self, .init(entries: entries, policies: policies.reversed()))
        #expect(giving.status() == 0)
        #expect(
            giving.printed == """
                # imd: JID FINGERPRINT LEVEL, and: policy JID|* POLICY
                policy * tofu
                policy bob@example.org verified-only
                bob@example.org \(key) verified
                bob@example.org \(other) distrusted

                """)
    }

    @Test func `a file with the line ends of Windows, and a JID with a number sign, are read`() throws {
        let daemon = try FakeDaemon()
        let file = daemon.folder + "/trust.imd"
        let text =
            "# from git\r\n#ops%irc@gw.example.org \(key) verified # ours\r\na#b@example.org \(other) blind\r\n"
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        let imctl = try Imctl(["device", "trust", "--import", file], daemon)
        let params = try daemon.accept().answer(
            TrustImport.self, .init(changed: 2, released: 0, cancelled: 0))
        #expect(imctl.status() == 0)
        #expect(
            params.entries == [
                .init(jid: "#ops%irc@gw.example.org", fingerprint: key, trust: .verified),
                .init(jid: "a#b@example.org", fingerprint: other, trust: .blind),
            ])
    }

    @Test(arguments: [
        "bob@example.org", "bob@example.org 00 verified", "bob@example.org KEY loudly", "policy * never",
        "bob@example.org KEY verified twice",
    ])
    func `a line that is no decision is named, and nothing is taken`(_ line: String) throws {
        let daemon = try FakeDaemon()
        let file = daemon.folder + "/trust.imd"
        try "# one\n\(line.replacing("KEY", with: key))\n".write(
            toFile: file, atomically: true, encoding: .utf8)
        let imctl = try Imctl(["device", "trust", "--import", file], daemon)
        #expect(imctl.status() == 65)
        #expect(imctl.diagnosed.contains("trust.imd:2: "))
        #expect(imctl.diagnosed.contains("hint: "))
    }

    @Test(arguments: ["", "\n\n", "# imd: JID FINGERPRINT LEVEL, and: policy JID|* POLICY\n", "# 1\r\n  # 2"])
    func `a file that pins nothing is refused`(_ text: String) throws {
        let daemon = try FakeDaemon()
        let file = daemon.folder + "/trust.imd"
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        let imctl = try Imctl(["device", "trust", "--import", file], daemon)
        #expect(imctl.status() == 65)
        #expect(imctl.diagnosed.hasPrefix("imctl: error: \(file) holds no decision"))
        #expect(imctl.diagnosed.contains("\nimctl: hint: "))
        let piped = try Imctl(["device", "trust", "--import", "-"], daemon, input: text)
        #expect(piped.status() == 65)
        #expect(piped.diagnosed.hasPrefix("imctl: error: standard input holds no decision"))
    }

    @Test func `a file may set policies alone`() throws {
        let daemon = try FakeDaemon()
        let imctl = try Imctl(
            ["device", "trust", "--import", "-"], daemon, input: "policy * verified-only\n")
        let params = try daemon.accept().answer(
            TrustImport.self, .init(changed: 1, released: 0, cancelled: 0))
        #expect(params == .init(entries: [], policies: [.init(policy: .verifiedOnly)]))
        #expect(imctl.status() == 0)
    }

    @Test func `all devices are those that were listed, and they are named by their keys`() throws {
        let daemon = try FakeDaemon()
        let imctl = try Imctl(["device", "trust", "b@c", "--all", "--level", "blind"], daemon)
        var gone = device(3, "c")
        gone.active = false
        let unknown = DeviceList.Device(
            device: 4, fingerprint: nil, trust: .undecided, active: true, own: false,
            firstSeenAt: Timestamp(milliseconds: 0), versions: [.legacy], receives: false)
        let devices = [device(1, "a"), device(2, "b"), gone, unknown]
        try daemon.accept().answer(DeviceList.self, .init(jid: "b@c", devices: devices, policy: .btbv))
        let params = try daemon.accept().answer(
            DeviceTrust.self, .init(jid: "b@c", devices: [], released: 0, cancelled: 0))
        #expect(
            params
                == .init(
                    jid: "b@c", trust: .blind,
                    fingerprints: ["a", "b"].map { String(repeating: $0, count: 64) }))
        #expect(imctl.status() == 0)
    }

    @Test func `without a terminal nobody is asked about all devices, and nothing is trusted`() throws {
        let daemon = try FakeDaemon()
        let imctl = try Imctl(["device", "trust", "b@c"], daemon, input: "y\n")
        try daemon.accept().answer(
            DeviceList.self, .init(jid: "b@c", devices: [device(1, "a")], policy: .btbv))
        #expect(imctl.status() == 64)
        #expect(imctl.diagnosed.contains("--all"))
        let both = try Imctl(["device", "trust", "b@c", "7", "--all"], daemon)
        #expect(both.status() == 64)
        let refusing = try Imctl(["device", "trust", "b@c", "--level", "distrusted"], daemon)
        let params = try daemon.accept().answer(
            DeviceTrust.self, .init(jid: "b@c", devices: [], released: 0, cancelled: 0))
        #expect(params == .init(jid: "b@c", trust: .distrusted), "a refusal asks nobody")
        #expect(refusing.status() == 0)
    }

    @Test func `a verification tells which devices read on unverified, and what to do`() throws {
        let daemon = try FakeDaemon()
        let result = TrustResult(
            jid: "b@c", devices: [device(1, "a", .verified)], unverified: [device(2, "b")], released: 0,
            cancelled: 0)
        for options in [[], ["--json"]] {
            let imctl = try Imctl(["device", "verify", "b@c", "--fingerprint", key] + options, daemon)
            try daemon.accept().answer(DeviceVerify.self, result)
            #expect(imctl.status() == 0)
            let groups = Array(repeating: "bbbbbbbb", count: 8).joined(separator: " ")
            #expect(
                imctl.diagnosed == """
                    imctl: warning: not verified, and messages to b@c go to it: 2 blind \(groups)
                    imctl: hint: imctl device verify b@c, or: imctl device distrust b@c 2

                    """)
            guard !options.isEmpty else { continue }
            let json = try JSONValue(strict: Array(imctl.printed.utf8.dropLast()))
            #expect(try TrustResult(json: json) == result)
        }
    }

    private func device(_ id: UInt32, _ digit: String, _ trust: Trust = .blind) -> DeviceList.Device {
        DeviceList.Device(
            device: id, fingerprint: String(repeating: digit, count: 64), trust: trust, active: true,
            own: false, firstSeenAt: Timestamp(milliseconds: 0), versions: [.legacy], receives: true)
    }

    @Test func `a link stands in the place of the contact`() throws {
        let daemon = try FakeDaemon()
        let link = "xmpp:bob@example.org?omemo-sid-7=\(key)"
        let imctl = try Imctl(["device", "verify", link], daemon)
        let params = try daemon.accept().answer(
            DeviceVerify.self, .init(jid: "bob@example.org", devices: [], released: 0, cancelled: 0))
        #expect(params == .init(uri: link))
        #expect(imctl.status() == 0)
    }

    @Test func `without a terminal nobody is asked to compare`() throws {
        let daemon = try FakeDaemon()
        let imctl = try Imctl(["device", "verify", "bob@example.org"], daemon)
        #expect(imctl.status() == 64)
        #expect(imctl.diagnosed.contains("--fingerprint"))
    }

    @Test func `what cannot be undone asks first`() throws {
        let daemon = try FakeDaemon()
        for arguments in [["device", "remove", "7"], ["device", "reset", "bob@example.org", "--forget"]] {
            let imctl = try Imctl(arguments, daemon)
            #expect(imctl.status() == 64)
            #expect(imctl.diagnosed.contains("--yes"))
        }
    }

    @Test func `a QR code is drawn dark on light with its quiet zone`() throws {
        let daemon = try FakeDaemon()
        let imctl = try Imctl(["device", "qr"], daemon)
        let params = try daemon.accept().answer(
            DeviceURI.self, .init(jid: "a@b", uri: "xmpp:a@b?omemo-sid-1=00", qr: ["10", "01"]))
        #expect(params.qr == true)
        #expect(imctl.status() == 0)
        let blank = "\u{1b}[30;107m" + String(repeating: " ", count: 10) + "\u{1b}[0m\n"
        let code = "\u{1b}[30;107m    ▀▄    \u{1b}[0m\n"
        #expect(imctl.printed == blank + blank + code + blank + blank + "xmpp:a@b?omemo-sid-1=00\n")
    }

    @Test func `a message that is held is told with every device and exits with 77`() throws {
        let daemon = try FakeDaemon()
        let imctl = try Imctl(["send", "b@c", "x", "--id", "k"], daemon)
        try daemon.accept().answer(
            MessageSend.self,
            .init(
                id: "k", account: "a@b", chat: "b@c", state: .held, devices: [],
                excluded: [.init(jid: "b@c", device: 7, reason: "untrusted")], duplicate: false,
                at: Timestamp(milliseconds: 0)))
        #expect(imctl.status() == 77)
        #expect(imctl.printed == "k\n")
        #expect(imctl.diagnosed.contains("device 7 of b@c"))
        #expect(imctl.diagnosed.contains("imctl device verify b@c"))
        #expect(imctl.diagnosed.contains("imctl outbox cancel k"))
    }

    @Test func `a label of somebody else's cannot write on the terminal's lines`() throws {
        let daemon = try FakeDaemon()
        let imctl = try Imctl(["device", "list", "b@c"], daemon)
        let device = DeviceList.Device(
            device: 7, fingerprint: key, trust: .undecided, active: true, own: false,
            firstSeenAt: Timestamp(milliseconds: 0), versions: [.omemo2], receives: false, label: "Phone")
        try daemon.accept().answer(DeviceList.self, .init(jid: "b@c", devices: [device], policy: .btbv))
        #expect(imctl.status() == 0)
        let groups = stride(from: 0, to: 64, by: 8).map { key.dropFirst($0).prefix(8) }
        #expect(
            imctl.printed
                == "7 undecided \(groups.joined(separator: " ")) [Phone] [omemo:2] [gets nothing]\n")
    }

    @Test func `encryption is shown and set`() throws {
        let daemon = try FakeDaemon()
        let shown = ChatEncryption(
            jid: "b@c", required: true, since: Timestamp(milliseconds: 0), policy: .btbv,
            policySource: .default, optedOut: .init(reason: "law", at: Timestamp(milliseconds: 0)))
        let asking = try Imctl(["encryption", "b@c"], daemon)
        try daemon.accept().answer(EncryptionGet.self, shown)
        #expect(asking.status() == 0)
        #expect(
            asking.printed.hasPrefix("encrypted since 1970-01-01T00:00:00Z\npolicy btbv (default)\nasked for")
        )
        let setting = try Imctl(["encryption", "b@c", "--optional", "--policy", "none"], daemon)
        let params = try daemon.accept().answer(EncryptionSet.self, shown)
        #expect(params == .init(jid: "b@c", required: false, clearPolicy: true))
        #expect(setting.status() == 0)
        let wrong = try Imctl(["encryption", "b@c", "--policy", "never"], daemon)
        #expect(wrong.status() == 64)
    }
}
