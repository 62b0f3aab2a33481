// Random events between imd and python-omemo: whatever happens to the messages, imd reads what can be read, and a
// failure leaves no trace (threat rows 25 to 28, fault row F10). The long form is `make torture`'s.
import Foundation
import IMCrypto
import Testing

@testable import OMEMO

/// Seconds for each version and seed.
private let duration: Duration = .seconds(
    ProcessInfo.processInfo.environment["IMD_TORTURE"] == nil
        ? 3 : Int(ProcessInfo.processInfo.environment["IMD_TORTURE_SECONDS"] ?? "") ?? 300)

/// `IMD_SEED` repeats our choices; what python draws is new each time.
private let seeds: [UInt64] =
    ProcessInfo.processInfo.environment["IMD_SEED"].flatMap { UInt64($0) }.map { [$0] } ?? [1, 2]

/// Everything that a failure must leave as it was.
private struct Stores: Equatable {
    let records: [DeviceAddress: Bytes]
    let preKeys: Set<UInt32>
    let signedPreKeys: Set<UInt32>

    init(_ device: Device) {
        records = device.records.mapValues { $0.serialized().bytes }
        preKeys = Set(device.preKeys.keys)
        signedPreKeys = Set(device.signedPreKeys.keys)
    }
}

extension SessionRecord {
    /// Which session the next message goes out on: what stands after the header and both forms of the identity.
    fileprivate func currentBaseKey() throws -> Bytes {
        var reader = RecordReader(serialized().bytes)
        _ = try reader.bytes(3 + 32 + 32)
        return try Session.baseKey(inSerialized: reader.counted()).bytes
    }
}

/// What python-omemo can read: it keeps one session with a device, the one begun last, and spends a pre-key at once.
private struct PeerModel {
    private var session: Bytes?
    private var spent: Set<UInt32> = []
    private var kept: (session: Bytes?, spent: Set<UInt32>) = (nil, [])
    /// The base keys of all sessions so far.
    var known: Set<Bytes> = []
    /// Sessions that one side continues from an older state.
    private(set) var unpredictable: Set<Bytes> = []
    /// Sessions whose pre-key the peer may have lost, until it has read one of their messages.
    var doubtful: Set<Bytes> = []
    /// Whether the bundle may offer pre-keys that the peer has lost.
    private(set) var isBundleStale = false

    /// Whether a message that was not read yet must be read; nil if that is open.
    func reads(_ other: Bytes, _ preKey: UInt32?) -> Bool? {
        if unpredictable.contains(other) || doubtful.contains(other) { return nil }
        return other == session || preKey.map { !spent.contains($0) } ?? false
    }

    /// The peer has sent a key exchange.
    mutating func begin(_ base: Bytes) {
        known.insert(base)
        session = base
    }

    /// The peer has read a key exchange; a spent pre-key makes it publish its bundle anew.
    mutating func accept(_ base: Bytes, _ preKey: UInt32) {
        if base != session { isBundleStale = false }
        session = base
        spent.insert(preKey)
        doubtful.remove(base)
    }

    mutating func snapshot() { kept = (session, spent) }

    mutating func restore() {
        (session, spent) = kept
        isBundleStale = true
        forget()
    }

    mutating func forget() { unpredictable.formUnion(known) }
}

private struct EventMachine {
    struct Flying {
        let message: EncryptedMessage
        let text: String
        /// The base key of its session; only ours have one.
        var session: Bytes = []
        /// Whether it belongs to a session that one side has lost.
        var isTainted: Bool
    }

    let seed: UInt64
    var random: Seeded
    let device: Device
    let peer: OraclePeer
    var ours: [Flying] = []
    var theirs: [Flying] = []
    var read: [Flying] = []
    /// Whether the peer sends in a session that we have lost, or from a state that it had used before.
    var isPeerTainted = false
    var model = PeerModel()
    var readByPeer: [Flying] = []
    var counts = (sent: 0, read: 0, readByPeer: 0, repeated: 0)

    init(_ version: ProtocolVersion, seed: UInt64) throws {
        self.seed = seed
        random = Seeded(seed)
        device = try Device("imd@example.org", seed: seed &+ 1, version)
        device.keepsPreKeys = true
        peer = try OraclePeer(Oracle(version), "peer", sign: seed % 2 == 0)
        try peer.learn(device)
        try peer.snapshot()
    }

    mutating func step() throws {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<18: try send()
        case 18..<37: try sendFromPeer()
        case 37..<49: try deliverToPeer(at: 0)
        case 49..<59: try deliverToPeer(at: Int.random(in: 0..<max(1, ours.count), using: &random))
        case 59..<69: try deliver(at: 0)
        case 69..<81: try deliver(at: Int.random(in: 0..<max(1, theirs.count), using: &random))
        case 81..<83: if let place = theirs.indices.randomElement(using: &random) { theirs.remove(at: place) }
        case 83..<85: if let place = ours.indices.randomElement(using: &random) { ours.remove(at: place) }
        case 85..<87: try repeatOne()
        case 87..<89: try repeatOneToPeer()
        case 89..<93: try corruptOne()
        case 93..<95: try device.restart()
        case 95: try peer.restart()
        case 96:
            try peer.snapshot()
            model.snapshot()
        case 97: try restorePeer()
        case 98: try restore()
        default: try renew()
        }
    }

    mutating func send() throws {
        counts.sent += 1
        let text = "ours \(counts.sent)"
        let message = try device.send(text, to: peer)
        let session = try #require(device.records[peer.address]).currentBaseKey()
        model.known.insert(session)
        let isTainted = model.unpredictable.contains(session)
        ours.append(Flying(message: message, text: text, session: session, isTainted: isTainted))
    }

    mutating func sendFromPeer() throws {
        counts.sent += 1
        let text = "theirs \(counts.sent)"
        try take(peer.send(text, to: device), text)
    }

    private mutating func take(_ message: EncryptedMessage, _ text: String) throws {
        if message.keys[0].isKeyExchange {
            model.begin(try KeyExchangeMessage(message.keys[0].data, device.version).baseKey.bytes)
        }
        theirs.append(Flying(message: message, text: text, isTainted: isPeerTainted))
    }

    /// The peer reads exactly what the model says.
    mutating func deliverToPeer(at index: Int) throws {
        guard index < ours.count else { return }
        let next = ours.remove(at: index)
        let key = next.message.keys[0]
        let exchange = key.isKeyExchange ? try KeyExchangeMessage(key.data, device.version) : nil
        let prediction = model.reads(next.session, exchange?.preKeyID)
        do {
            let received = try peer.receive(next.message, from: device)
            #expect(prediction != false, "\(next.text) was read, seed \(seed)")
            #expect(received.text == next.text, "seed \(seed)")
            counts.readByPeer += 1
            readByPeer.append(next)
            if let exchange {
                isPeerTainted = next.isTainted
                model.accept(next.session, exchange.preKeyID)
            }
            for answer in received.sent { try take(answer, "") }
        } catch let failure as Oracle.Failure {
            #expect(
                prediction != true,
                "\(failure.name) for \(next.text), key exchange \(key.isKeyExchange), seed \(seed)")
        }
    }

    mutating func repeatOneToPeer() throws {
        guard let old = readByPeer.suffix(20).randomElement(using: &random) else { return }
        counts.repeated += 1
        #expect(throws: Oracle.Failure.self, "\(old.text) again, seed \(seed)") {
            try peer.receive(old.message, from: device)
        }
    }

    mutating func deliver(at index: Int) throws {
        guard index < theirs.count else { return }
        let next = theirs.remove(at: index)
        let before = Stores(device)
        do {
            let received = try device.receive(next.message, from: peer)
            #expect(received.text ?? "" == next.text, "seed \(seed)")
            counts.read += 1
            read.append(next)
            if received.decrypted.isNewSession || received.decrypted.heartbeatIsDue { try send() }
        } catch let error as DecryptionError {
            #expect(
                next.isTainted,
                "\(error) for \(next.text), key exchange \(next.message.keys[0].isKeyExchange), seed \(seed)")
            #expect(Stores(device) == before, "seed \(seed)")
        }
        #expect(before.records.values.allSatisfy { $0.count < 200 * 1024 }, "seed \(seed)")
    }

    mutating func repeatOne() throws {
        guard let old = read.suffix(20).randomElement(using: &random) else { return }
        try expectRefused(old.message)
    }

    mutating func corruptOne() throws {
        guard var next = theirs.randomElement(using: &random) else { return }
        var message = next.message
        let place = message.keys[0].data.indices.randomElement(using: &random) ?? 0
        message.keys[0].data[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        next = Flying(message: message, text: next.text, isTainted: next.isTainted)
        let before = Stores(device)
        // A bit that nothing depends on, such as the sender's registration id, may change.
        if let received = try? device.receive(message, from: peer) {
            #expect(received.text ?? "" == next.text, "seed \(seed)")
            theirs.removeAll { $0.text == next.text }
        } else {
            #expect(Stores(device) == before, "seed \(seed)")
        }
    }

    private func expectRefused(_ message: EncryptedMessage) throws {
        let before = Stores(device)
        #expect(throws: DecryptionError.self, "seed \(seed)") { try device.receive(message, from: peer) }
        #expect(Stores(device) == before, "seed \(seed)")
    }

    /// The peer goes back, and we begin anew with it, as after its owner's reset.
    mutating func restorePeer() throws {
        try peer.restore()
        model.restore()
        readByPeer = []
        isPeerTainted = true
        // It numbers its messages anew: of two with one key only the first is read.
        for index in theirs.indices { theirs[index].isTainted = true }
        for index in ours.indices { ours[index].isTainted = true }
        try renew()
    }

    /// An imd that finds itself restored never uses its old sessions again.
    mutating func restore() throws {
        model.forget()
        device.records[peer.address] = nil
        read = []
        for index in theirs.indices { theirs[index].isTainted = true }
        for index in ours.indices { ours[index].isTainted = true }
        isPeerTainted = true
        try renew()
    }

    /// A new session beside the old one, which is archived.
    mutating func renew() throws {
        var record = device.records[peer.address] ?? SessionRecord(device.version)
        try record.initiate(
            with: OMEMO.Bundle(peer.bundleElement(), device.version), own: device.own.identity,
            ownDevice: device.own.id, using: &device.random)
        device.records[peer.address] = record
        if model.isBundleStale { model.doubtful.insert(try record.currentBaseKey()) }
        try send()
        try deliverToPeer(at: ours.count - 1)
    }

    /// After all of it both sides read each other.
    mutating func settle() throws {
        (ours, theirs) = ([], [])
        try restore()
        for _ in 0..<3 {
            while !theirs.isEmpty { try deliver(at: 0) }
            try sendFromPeer()
            try deliver(at: theirs.count - 1)
            let text = "settled \(counts.sent)"
            #expect(try peer.receive(device.send(text, to: peer), from: device).text == text, "seed \(seed)")
            let answer = try peer.send("answer", to: device)
            #expect(try device.receive(answer, from: peer).text == "answer", "seed \(seed)")
        }
    }
}

@Suite(
    .enabled(
        if: Oracle.python != nil, "IMD_ORACLE_PYTHON does not name a python with oldmemo, so no oracle speaks"
    ))
struct EventMachineTests {
    @Test(arguments: ProtocolVersion.allCases, seeds)
    func `C27 random events lose nothing that could be read, and failures leave no trace`(
        _ version: ProtocolVersion, _ seed: UInt64
    ) throws {
        var machine = try EventMachine(version, seed: seed)
        let end = ContinuousClock.now + duration
        while ContinuousClock.now < end { try machine.step() }
        try machine.settle()
        #expect(machine.counts.read > 10 && machine.counts.readByPeer > 10, "seed \(seed)")
        #expect(machine.counts.repeated > 0, "seed \(seed)")
    }
}
