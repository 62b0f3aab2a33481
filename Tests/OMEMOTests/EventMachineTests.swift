// Random events between imd and python-omemo or libomemo-c: whatever happens to the messages, imd reads what can be read, and a
// failure leaves no trace (threat rows 25 to 28, fault row F10). The long form is `make torture`'s.
import Foundation
import IMCrypto
import Testing

@testable import OMEMO

/// Seconds for each version and seed.
private let duration: Duration = .seconds(
    ProcessInfo.processInfo.environment["IMD_TORTURE"] == nil
        ? 3 : Int(ProcessInfo.processInfo.environment["IMD_TORTURE_SECONDS"] ?? "") ?? 300)

/// `IMD_SEED` repeats our choices and libomemo-c's; what python draws is new each time.
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

private struct EventMachine {
    struct Flying {
        let message: EncryptedMessage
        let text: String
        let place: Place
        /// Whether it belongs to a session that one side has lost.
        var isTainted: Bool
    }

    let seed: UInt64
    var random: Seeded
    let device: Device
    let peer: any OraclePeer
    var ours: [Flying] = []
    var theirs: [Flying] = []
    var read: [Flying] = []
    var model: PeerModel
    var ownModel = OwnModel()
    var readByPeer: [Flying] = []
    var counts = (sent: 0, read: 0, readByPeer: 0, repeated: 0)

    init(_ peer: any OraclePeer, seed: UInt64) throws {
        self.seed = seed
        self.peer = peer
        random = Seeded(seed)
        model = PeerModel(peer.habits)
        device = try Device("imd@example.org", seed: seed &+ 1, peer.version)
        device.keepsPreKeys = true
        try peer.learn(device)
        try peer.snapshot()
    }

    mutating func step() throws {
        switch Int.random(in: 0..<101, using: &random) {
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
        case 99: try dropAtPeer()
        default: try renew()
        }
    }

    mutating func send() throws {
        counts.sent += 1
        let text = "ours \(counts.sent)"
        let message = try device.send(text, to: peer)
        let session = try #require(device.records[peer.address]).currentBaseKey()
        model.known.insert(session)
        ours.append(
            Flying(
                message: message, text: text, place: try place(of: message, in: session),
                isTainted: model.isUnpredictable(session)))
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
        let session = try #require(model.current)
        theirs.append(
            Flying(
                message: message, text: text, place: try place(of: message, in: session),
                isTainted: model.isUnpredictable(session)))
    }

    private func place(of message: EncryptedMessage, in session: Bytes) throws -> Place {
        var data = message.keys[0].data
        if message.keys[0].isKeyExchange { data = try KeyExchangeMessage(data, device.version).message }
        let header = try RatchetMessage(data, device.version).header
        return Place(session: session, chain: header.dh.bytes, n: header.n, pn: header.pn)
    }

    /// The peer reads exactly what the model says.
    mutating func deliverToPeer(at index: Int) throws {
        guard index < ours.count else { return }
        let next = ours.remove(at: index)
        let key = next.message.keys[0]
        let preKey = key.isKeyExchange ? try KeyExchangeMessage(key.data, device.version).preKeyID : nil
        let prediction = model.reads(next.place, preKey)
        do {
            let received = try peer.receive(next.message, from: device)
            #expect(prediction != false, "\(next.text) was read, seed \(seed)")
            #expect(received.text == next.text, "seed \(seed)")
            counts.readByPeer += 1
            readByPeer.append(next)
            model.accept(next.place, preKey)
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
            #expect(next.isTainted || ownModel.reads(next.place), "\(next.text) was read, seed \(seed)")
            counts.read += 1
            read.append(next)
            ownModel.accept(next.place)
            if received.decrypted.isNewSession || received.decrypted.heartbeatIsDue { try send() }
        } catch let error as DecryptionError {
            #expect(
                next.isTainted || !ownModel.reads(next.place),
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
        guard let next = theirs.randomElement(using: &random) else { return }
        var message = next.message
        let place = message.keys[0].data.indices.randomElement(using: &random) ?? 0
        message.keys[0].data[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        let before = Stores(device)
        // A bit that nothing depends on, such as the sender's registration id, may change.
        if let received = try? device.receive(message, from: peer) {
            #expect(received.text ?? "" == next.text, "seed \(seed)")
            ownModel.accept(next.place)
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
        // It numbers its messages anew: of two with one key only the first is read.
        for index in theirs.indices { theirs[index].isTainted = true }
        for index in ours.indices { ours[index].isTainted = true }
        try renew()
    }

    /// An imd that finds itself restored never uses its old sessions again.
    mutating func restore() throws {
        model.forget()
        ownModel.forget()
        device.records[peer.address] = nil
        read = []
        for index in theirs.indices { theirs[index].isTainted = true }
        for index in ours.indices { ours[index].isTainted = true }
        try renew()
    }

    /// The peer loses its sessions, as after its owner's reset; python-omemo offers no such thing.
    private mutating func dropAtPeer() throws {
        guard let peer = peer as? LibomemoPeer else { return try renew() }
        try peer.dropSessions()
        model.drop()
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

extension EventMachine {
    /// Steps until the time is over, then makes peace.
    fileprivate static func run(_ peer: any OraclePeer, seed: UInt64) throws {
        var machine = try EventMachine(peer, seed: seed)
        let end = ContinuousClock.now + duration
        while ContinuousClock.now < end { try machine.step() }
        try machine.settle()
        #expect(machine.counts.read > 10 && machine.counts.readByPeer > 10, "seed \(seed)")
        #expect(machine.counts.repeated > 0, "seed \(seed)")
    }
}

@Suite struct EventMachineTests {
    @Test(
        .enabled(
            if: Oracle.python != nil,
            "IMD_ORACLE_PYTHON does not name a python with oldmemo, so no oracle speaks"),
        arguments: ProtocolVersion.allCases, seeds)
    func `C27 random events lose nothing that could be read, and failures leave no trace`(
        _ version: ProtocolVersion, _ seed: UInt64
    ) throws {
        try EventMachine.run(PythonPeer(Oracle(version), "peer", sign: seed % 2 == 0), seed: seed)
    }

    @Test(
        .enabled(if: Libomemo.isInstalled, "there is no libomemo-c"), arguments: ProtocolVersion.allCases,
        seeds)
    func `C27 random events against libomemo-c lose nothing that could be read, and failures leave no trace`(
        _ version: ProtocolVersion, _ seed: UInt64
    ) throws {
        try EventMachine.run(LibomemoPeer(version, seed: seed &+ 2), seed: seed)
    }
}
