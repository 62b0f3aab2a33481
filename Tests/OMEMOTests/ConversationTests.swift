// Long random conversations through stored records, with bounds on what they may take.
import Foundation
import IMCrypto
import Testing

@testable import OMEMO

/// Sends, drops, delays, repeats, restarts and goes back to snapshots at random; whatever arrives must be right.
private struct Machine {
    struct Flying {
        let message: EncryptedMessage
        let text: String
        /// The base key of its session.
        let session: Bytes
    }

    /// What one record may take: the archive, and a current session with every skipped key in a run of its own.
    static let maxRecordCount = SessionRecord.maxArchivedBytes + 72 * DoubleRatchet.maxSkip + 2048

    var random: Seeded
    let devices: [Device]
    var flying: [[Flying]] = [[], []]  // by receiver
    var delivered: [[Flying]] = [[], []]
    var kept: [Bytes?] = [nil, nil]
    /// The base keys of all sessions so far, and of those that one side continues from an older state.
    var known: Set<Bytes> = []
    var unpredictable: Set<Bytes> = []
    var counts = (sent: 0, dropped: 0, read: 0, refused: 0, restored: 0)
    var largest = 0

    init(_ version: ProtocolVersion, seed: UInt64) throws {
        random = Seeded(seed)
        devices = [
            try Device("alice@example.org", seed: seed &+ 1, version),
            try Device("bob@example.org", seed: seed &+ 2, version),
        ]
        for device in devices { device.keepsPreKeys = true }
    }

    mutating func step() throws {
        let receiver = Int.random(in: 0...1, using: &random)
        switch Int.random(in: 0..<1000, using: &random) {
        case 0..<330: try send(to: receiver)
        case 330..<334: for _ in 0..<20 { try send(to: receiver) }
        case 334..<600: try deliver(to: receiver, at: 0)
        case 600..<850:
            if flying[receiver].isEmpty { return }
            try deliver(to: receiver, at: .random(in: 0..<flying[receiver].count, using: &random))
        case 850..<900: try repeatOne(to: receiver)
        case 900..<930:
            guard !flying[receiver].isEmpty else { return }
            flying[receiver].remove(at: .random(in: 0..<flying[receiver].count, using: &random))
            counts.dropped += 1
        case 930..<932:
            counts.dropped += flying[receiver].count
            flying[receiver] = []
        case 932..<942: try replaceSession(of: receiver)
        case 942..<952: kept[receiver] = devices[receiver].stored(devices[1 - receiver])
        case 952..<957: try restore(receiver)
        default: try devices[receiver].restart()
        }
    }

    private mutating func send(to receiver: Int) throws {
        let (sender, other) = (devices[1 - receiver], devices[receiver])
        counts.sent += 1
        let text = "\(counts.sent)"
        let message = try sender.send(text, to: other)
        let session = try #require(sender.records[other.address]).currentBaseKey()
        known.insert(session)
        flying[receiver].append(Flying(message: message, text: text, session: session))
    }

    mutating func deliver(to receiver: Int, at index: Int) throws {
        guard index < flying[receiver].count else { return }
        let (device, sender) = (devices[receiver], devices[1 - receiver])
        let next = flying[receiver].remove(at: index)
        let before = device.stored(sender)
        largest = max(largest, before?.count ?? 0)
        do {
            let received = try device.receive(next.message, from: sender)
            #expect(received.text == next.text)
            counts.read += 1
            delivered[receiver] = delivered[receiver].suffix(19) + [next]
            if received.decrypted.isNewSession || received.decrypted.heartbeatIsDue {
                try send(to: 1 - receiver)
            }
        } catch let error as DecryptionError {
            #expect(unpredictable.contains(next.session), "\(error) for \(next.text)")
            #expect(device.stored(sender) == before)
            counts.refused += 1
        }
    }

    /// Only recent ones: keys and sessions that were let go say something else than "already".
    private mutating func repeatOne(to receiver: Int) throws {
        guard let old = delivered[receiver].randomElement(using: &random) else { return }
        let device = devices[receiver]
        let stored = device.stored(devices[1 - receiver])
        #expect(throws: DecryptionError.self) { try device.receive(old.message, from: devices[1 - receiver]) }
        #expect(device.stored(devices[1 - receiver]) == stored)
    }

    private mutating func replaceSession(of index: Int) throws {
        let (device, other) = (devices[index], devices[1 - index])
        try device.records[other.address]?.initiate(
            with: other.bundle, own: device.own.identity, ownDevice: device.own.id, using: &device.random)
    }

    /// One side goes back to an older record, and begins anew. What it had sent or read since may be refused or come
    /// twice, but never as another text, and what is sent on the new session is read.
    private mutating func restore(_ index: Int) throws {
        guard let stored = kept[index] else { return }
        let (device, other) = (devices[index], devices[1 - index])
        device.records[other.address] = try SessionRecord(serialized: stored)
        counts.restored += 1
        unpredictable.formUnion(known)
        delivered[index] = []
        try replaceSession(of: index)
        try send(to: 1 - index)
        try deliver(to: 1 - index, at: flying[1 - index].count - 1)
    }

    /// After all of it both sides read each other.
    mutating func settle() throws {
        for receiver in [0, 1, 0, 1, 0, 1] {
            while !flying[receiver].isEmpty { try deliver(to: receiver, at: 0) }
        }
        try replaceSession(of: 0)
        for receiver in [1, 0, 1, 0] {
            let read = counts.read
            flying = [[], []]
            try send(to: receiver)
            try deliver(to: receiver, at: 0)
            #expect(counts.read == read + 1)
        }
    }
}

/// Of this process, in bytes.
private func residentMemory() throws -> Int {
    let words = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
    return try #require(Int(words[1])) * sysconf(Int32(_SC_PAGESIZE))
}

@Suite struct ConversationTests {
    private static let isLong = ProcessInfo.processInfo.environment["IMD_TORTURE"] != nil
    /// A million steps in all in the long form (fault row F10).
    private static let steps = isLong ? 85_000 : 1500

    @Test(arguments: ProtocolVersion.allCases, UInt64(1)...6)
    func `F10 a random conversation loses nothing but what was dropped, and stays small`(
        _ version: ProtocolVersion, _ seed: UInt64
    ) throws {
        var machine = try Machine(version, seed: seed &* 1000)
        for _ in 0..<Self.steps / 5 { try machine.step() }
        let before = try residentMemory()
        for _ in 0..<Self.steps * 4 / 5 { try machine.step() }
        // Other tests run beside this one in the short form.
        if Self.isLong { #expect(try residentMemory() - before < 64 << 20) }
        try machine.settle()
        let counts = machine.counts
        #expect(counts.sent > 400 && counts.restored > 0)
        #expect(counts.read > counts.sent / 2)
        #expect(machine.largest < Machine.maxRecordCount)
        for device in machine.devices {
            for record in device.records.values {
                #expect(!record.isUnanswered)
                #expect(record.serialized().count < Machine.maxRecordCount)
            }
        }
    }

    @Test(arguments: ProtocolVersion.allCases)
    func `no order of messages and key exchanges makes a record grow beyond its limit`(
        _ version: ProtocolVersion
    ) throws {
        let (alice, bob) = try acquainted(131, version)
        var sizes: [Int] = []
        for _ in 0..<6 {
            // Every second message is lost, so that each key that is skipped makes a run of its own.
            for turn in 0..<200 {
                _ = try alice.send("lost", to: bob)
                try bob.receive(alice.send("\(turn)", to: bob), from: alice)
                if turn % 3 == 0 { try alice.receive(bob.send(nil, to: alice), from: bob) }
            }
            _ = try (0..<900).map { _ in try alice.send("lost", to: bob) }
            try bob.receive(alice.send("seen", to: bob), from: alice)
            alice.records = [:]
            try bob.receive(alice.send("anew", to: bob), from: alice)
            sizes.append(try #require(bob.stored(alice)).count)
        }
        #expect(sizes.allSatisfy { $0 < Machine.maxRecordCount })
        #expect(try #require(sizes.max()) > SessionRecord.maxArchivedBytes / 2)
        // From the fourth session on the oldest go.
        #expect(sizes[5] < sizes[4] + 1024)
    }

    @Test func `1,000 turns, each with its own ratchet key`() throws {
        let (alice, bob) = try acquainted(130)
        for turn in 0..<500 {
            #expect(try bob.receive(alice.send("\(turn)", to: bob), from: alice).text == "\(turn)")
            #expect(try alice.receive(bob.send("\(turn)", to: alice), from: bob).text == "\(turn)")
        }
        #expect(try #require(alice.stored(bob)).count < 1000)
    }
}
