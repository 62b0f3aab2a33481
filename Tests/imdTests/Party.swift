// One account without a network: its store, and what it makes of stanzas. Tests carry them between parties.
import Foundation
import IMCrypto
import LocalAPI
import OMEMO
import Store

@testable import XMPP
@testable import imd

/// Deletes its folder when the test is over.
final class Party: Sendable {
    let jid: JID
    let folder: String
    let store: Store
    let own: OwnIdentity
    let policies = Policies(TrustSettings())

    init(_ name: String) async throws {
        jid = try JID(name)
        folder = FileManager.default.temporaryDirectory.path + "/imd-party-\(UUID().uuidString)"
        store = try Store.open(at: folder + "/imd.sqlite", unlock: Self.unlock)
        var random = SystemRandomNumberGenerator()
        let device = OwnDevice.generate(avoiding: [], at: 0, using: &random)
        let id = try await store.write { [jid] tx in
            let id = try tx.addAccount(
                NewAccount(
                    jid: jid, settings: AccountSettings(), device: device.id, identity: device.identity,
                    createdAt: 0))
            try tx.addPreKeys(device.preKeys, account: id)
            try tx.add(device.signedPreKey, account: id)
            return id
        }
        own = OwnIdentity(account: id, jid: jid, device: device.id, identity: device.identity)
    }

    /// A key that needs no file.
    private static func unlock(_: KeyWrapping?) -> (KeyWrapping, SecretBytes) {
        (KeyWrapping(origin: .file, parameters: nil), SecretBytes(Bytes(repeating: 7, count: 32)))
    }

    deinit {
        try? store.close()
        try? FileManager.default.removeItem(atPath: folder)
    }

    static let now: Int64 = 1_700_000_000_000

    func write<T: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> T) async throws -> T {
        try await store.write(body)
    }

    /// What arrives from `sender`, as one read.
    @discardableResult
    func receive(
        _ stanzas: Element..., from sender: JID, at now: Int64 = now
    ) async throws -> Inbound.Effects {
        let work = stanzas.map { stanza in
            var stanza = stanza
            stanza["from"] = sender.description
            return Work.stanza(stanza)
        }
        return try await take(work, at: now)
    }

    /// What one read amounts to.
    @discardableResult
    func take(
        _ work: [Work], archive: Inbound.Archive = Inbound.Archive(announcesStanzaIDs: true),
        aroundDamage: Bool = false, at now: Int64 = now
    ) async throws -> Inbound.Effects {
        let inbound = Inbound(own: own, policies: policies, archive: archive, now: now)
        return try await store.write { tx in
            var inbound = inbound
            return aroundDamage
                ? try inbound.receiveAround(damage: work, tx) : try inbound.receive(work, tx)
        }
    }

    /// What the archive gives, in its order, while it is being read.
    @discardableResult
    func read(
        _ messages: (id: String, stanza: Element, from: JID)..., isHistory: Bool = false
    ) async throws -> Inbound.Effects {
        let work = messages.map { message in
            var stanza = message.stanza
            stanza["from"] = message.from.description
            return Work.archived(ArchivedMessage(id: message.id, message: stanza, sentAt: Self.now - 60_000))
        }
        return try await take(
            work,
            archive: Inbound.Archive(announcesStanzaIDs: true, isCaughtUp: false, isHistory: isHistory))
    }

    var position: String? {
        get async throws { try await write { [own] in try $0.account(id: own.account)?.archivePosition } }
    }

    func bundle(_ version: ProtocolVersion = .legacy) async throws -> OMEMO.Bundle {
        let bundles = try await store.write { [own] in try $0.currentBundles(of: own, now: Self.now) }
        return try bundles.first { $0.version == version } ?? { throw Failure.notEncrypted }()
    }

    var address: DeviceAddress { own.address }

    /// What it takes to send something now.
    func outbound(
        _ bundles: [BundleKey: OMEMO.Bundle] = [:], failures: [BundleKey: ExclusionReason] = [:]
    ) -> Outbound {
        Outbound(own: own, policies: policies, now: Self.now, bundles: bundles, failures: failures)
    }

    /// Learns the devices of other parties, all of one person, as from its published lists.
    func meet(_ others: Party..., versions: [ProtocolVersion] = [.legacy]) async throws {
        for version in versions { try await learn(version, others.map(\.own.device), of: others[0].jid) }
    }

    /// Hears of a device list.
    func learn(_ version: ProtocolVersion, _ devices: [UInt32], of owner: JID) async throws {
        let list = OMEMO.DeviceList(version, devices.map { OMEMO.DeviceList.Device(id: $0) })
        try await store.write { [own] tx in
            try DeviceLists(own: own, now: Self.now).update(owner, list, tx)
        }
    }

    /// Puts somebody on the roster.
    func befriend(_ contact: JID, _ subscription: RosterItem.Subscription = .both) async throws {
        try await store.write { [own] tx in
            try tx.applyRosterItem(
                RosterItem(contact, subscription: subscription), version: nil, account: own.account)
        }
    }

    /// Encrypts a text for another party and takes the finished stanza out of the outbox.
    ///
    /// - Parameters:
    ///   - other: a second party that shall be able to read it.
    ///   - bundle: what `bob` publishes; nil for what he does publish.
    func encrypt(
        _ body: String, to bob: Party, id: String? = nil, alsoTo other: Party? = nil,
        with bundle: OMEMO.Bundle? = nil
    ) async throws -> Element {
        var bundles: [BundleKey: OMEMO.Bundle] = [:]
        for party in [bob, other].compactMap(\.self) {
            for version in ProtocolVersion.allCases {
                bundles[BundleKey(party.address, version)] = try await party.bundle(version)
            }
        }
        if let bundle { bundles[BundleKey(bob.address, bundle.version)] = bundle }
        let request = SendRequest(chat: bob.jid, body: body, clientID: id, plaintext: false)
        let outbound = outbound(bundles)
        let outcome = try await store.write { try outbound.accept(request, mayEncrypt: true, $0).outcome }
        guard case .enqueued? = outcome else { throw Failure.notEncrypted }
        return try await outbox().last ?? { throw Failure.notEncrypted }()
    }

    enum Failure: Error { case notEncrypted }

    /// The stanzas that wait to be sent.
    func outbox() async throws -> [Element] {
        let entries = try await store.read { [own] in try $0.outbox(account: own.account, limit: 100) }
        return try entries.map { try Element(stanza: $0.stanza) }
    }

    /// Flips a bit in every session row, as a bad disk would.
    func damageSessions() throws {
        try python(
            """
            for row, record in db.execute("SELECT rowid, record FROM session").fetchall():
                damaged = record[:-1] + bytes([record[-1] ^ 1])
                db.execute("UPDATE session SET record = ? WHERE rowid = ?", (damaged, row))
            """)
    }

    /// Changes all rows of a table behind imd's back.
    func damage(_ table: String, _ change: String) throws {
        try python("db.execute(\"UPDATE \(table) SET \(change)\")")
    }

    private func python(_ code: String) throws {
        let shell = Process()
        shell.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        shell.arguments = [
            "-c", "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\n\(code)\ndb.commit()",
            folder + "/imd.sqlite",
        ]
        try shell.run()
        shell.waitUntilExit()
    }

    func events(_ type: EventType) async throws -> [EventRecord] {
        try await store.read { try $0.events(after: 0, types: [type.rawValue], limit: 10_000) }
    }

    func bodies() async throws -> [String] {
        try await events(.message).compactMap { $0.message?.body }
    }
}

extension Element {
    /// A stanza from its bytes.
    init(stanza: [UInt8]) throws {
        let parser = XMLParser()
        let header = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
        _ = try parser.feed(Array(header.utf8))
        guard case .element(let element)? = try parser.feed(stanza).first else {
            throw CodecError.missing("stanza")
        }
        self = element
    }
}

/// A stanza written down as text.
func stanza(_ text: String) throws -> Element { try Element(stanza: Array(text.utf8)) }
