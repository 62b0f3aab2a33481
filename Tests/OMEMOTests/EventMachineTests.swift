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

private struct EventMachine {
    struct Flying {
        let message: EncryptedMessage
        let text: String
        /// Whether it belongs to a session that one side has lost.
        var isTainted: Bool
    }

    var random: Seeded
    let device: Device
    let peer: OraclePeer
    var ours: [Flying] = []
    var theirs: [Flying] = []
    var read: [Flying] = []
    /// Whether the peer sends in a session that we have lost, or from a state that it had used before.
    var isPeerTainted = false
    var counts = (sent: 0, read: 0, readByPeer: 0, refused: 0, restored: 0)

    init(_ version: ProtocolVersion, seed: UInt64) throws {
        random = Seeded(seed)
        device = try Device("imd@example.org", seed: seed &+ 1, version)
        device.keepsPreKeys = true
        peer = try OraclePeer(Oracle(version), "peer", sign: seed % 2 == 0)
        try peer.learn(device)
        try peer.snapshot()
    }

    mutating func step() throws {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<24: try send()
        case 24..<48: try sendFromPeer()
        case 48..<60: try deliverToPeer(at: 0)
        case 60..<72: try deliver(at: 0)
        case 72..<82: try deliver(at: Int.random(in: 0..<max(1, theirs.count), using: &random))
        case 82..<85: if let place = theirs.indices.randomElement(using: &random) { theirs.remove(at: place) }
        case 85..<89: try repeatOne()
        case 89..<93: try corruptOne()
        case 93..<95: try device.restart()
        case 95: try peer.restart()
        case 96: try peer.snapshot()
        case 97: try restorePeer()
        case 98: try restore()
        default: try renew()
        }
    }

    mutating func send() throws {
        counts.sent += 1
        let text = "ours \(counts.sent)"
        ours.append(Flying(message: try device.send(text, to: peer), text: text, isTainted: false))
    }

    mutating func sendFromPeer() throws {
        counts.sent += 1
        let text = "theirs \(counts.sent)"
        theirs.append(
            Flying(message: try peer.send(text, to: device), text: text, isTainted: isPeerTainted))
    }

    /// Python keeps one session with a device, so where both sides have begun one it may lose a message.
    mutating func deliverToPeer(at index: Int) throws {
        guard index < ours.count else { return }
        let next = ours.remove(at: index)
        do {
            let received = try peer.receive(next.message, from: device)
            #expect(received.text == next.text)
            counts.readByPeer += 1
            if next.message.keys[0].isKeyExchange { isPeerTainted = next.isTainted }
            for answer in received.sent {
                theirs.append(Flying(message: answer, text: "", isTainted: isPeerTainted))
            }
        } catch is Oracle.Failure {
            counts.refused += 1
        }
    }

    mutating func deliver(at index: Int) throws {
        guard index < theirs.count else { return }
        let next = theirs.remove(at: index)
        let before = device.records[peer.address]?.serialized().bytes
        do {
            let received = try device.receive(next.message, from: peer)
            #expect(received.text ?? "" == next.text)
            counts.read += 1
            read.append(next)
            if received.decrypted.isNewSession || received.decrypted.heartbeatIsDue { try send() }
        } catch let error as DecryptionError {
            #expect(
                next.isTainted,
                "\(error) for \(next.text), key exchange \(next.message.keys[0].isKeyExchange)")
            #expect(device.records[peer.address]?.serialized().bytes == before)
        }
        #expect(before?.count ?? 0 < 200 * 1024)
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
        let before = device.records[peer.address]?.serialized().bytes
        // A bit that nothing depends on, such as the sender's registration id, may change.
        if let received = try? device.receive(message, from: peer) {
            #expect(received.text ?? "" == next.text)
            theirs.removeAll { $0.text == next.text }
        } else {
            #expect(device.records[peer.address]?.serialized().bytes == before)
        }
    }

    private func expectRefused(_ message: EncryptedMessage) throws {
        let before = device.records[peer.address]?.serialized().bytes
        #expect(throws: DecryptionError.self) { try device.receive(message, from: peer) }
        #expect(device.records[peer.address]?.serialized().bytes == before)
    }

    /// The peer goes back, and we begin anew with it, as after its owner's reset.
    mutating func restorePeer() throws {
        try peer.restore()
        counts.restored += 1
        isPeerTainted = true
        // It numbers its messages anew: of two with one key only the first is read.
        for index in theirs.indices { theirs[index].isTainted = true }
        try renew()
    }

    /// An imd that finds itself restored never uses its old sessions again.
    mutating func restore() throws {
        counts.restored += 1
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
            #expect(try peer.receive(device.send(text, to: peer), from: device).text == text)
            let answer = try peer.send("answer", to: device)
            #expect(try device.receive(answer, from: peer).text == "answer")
        }
    }
}

@Suite(
    .enabled(
        if: Oracle.python != nil, "IMD_ORACLE_PYTHON does not name a python with oldmemo, so no oracle speaks"
    ))
struct EventMachineTests {
    @Test(arguments: ProtocolVersion.allCases, [UInt64(1), 2])
    func `C27 random events lose nothing that could be read, and failures leave no trace`(
        _ version: ProtocolVersion, _ seed: UInt64
    ) throws {
        var machine = try EventMachine(version, seed: seed)
        let end = ContinuousClock.now + duration
        while ContinuousClock.now < end { try machine.step() }
        try machine.settle()
        #expect(machine.counts.read > 10 && machine.counts.readByPeer > 10, "seed \(seed)")
    }
}
