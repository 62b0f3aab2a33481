// imctl receive: a line is acknowledged when it was written out, and a restart of imd loses and repeats nothing.

import Foundation
import LocalAPI
import Testing

private let follow = ["receive", "--follow", "--consumer", "c"]

/// What `messageLine` looks like as text.
private func text(_ number: Int64) -> String { "1970-01-01T00:00:00Z b@c [plaintext]: text \(number)\n" }

private func makePipe() throws -> (reader: Int32, writer: Int32) {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
}

/// Writes until there is no room left.
///
/// - Returns: how many bytes there was room for.
private func fill(_ writer: Int32) -> Int {
    _ = fcntl(writer, F_SETFL, O_NONBLOCK)
    defer { _ = fcntl(writer, F_SETFL, 0) }
    var total = 0
    while true {
        let count = write(writer, [UInt8](repeating: 0x2e, count: 4096), 4096)
        guard count > 0 else { return total }
        total += count
    }
}

private func until(_ condition: () -> Bool) -> Bool {
    for _ in 0..<4000 {
        if condition() { return true }
        usleep(5000)
    }
    return false
}

/// Takes the subscription of consumer `c` and sends the events after its place.
private func subscribe(_ daemon: FakeDaemon, after: Int64, last: Int64) throws -> Peer {
    let peer = try daemon.accept()
    let params = try peer.answer(EventSubscribe.self, .init(consumer: "c", after: after, last: last))
    #expect(params == .init(consumer: "c", types: ["message", "undecryptable", "gap"]))
    if after < last { peer.send(((after + 1)...last).flatMap { messageLine($0) }) }
    peer.send(Response.caughtUp(number: last))
    return peer
}

struct ReceiveTests {
    @Test func `what a full pipe does not take is not acknowledged until it does`() throws {
        let daemon = try FakeDaemon()
        let (reader, writer) = try makePipe()
        defer { close(reader) }
        let size = fill(writer)
        let imctl = try Imctl(follow, daemon, standardOutput: writer)
        close(writer)
        let peer = try subscribe(daemon, after: 0, last: 1)
        #expect(peer.request(within: 0.5) == nil)
        var bytes = [UInt8](repeating: 0, count: size)
        #expect(read(reader, &bytes, bytes.count) == size)
        #expect(try peer.answer(EventAck.self, Empty()) == .init(consumer: "c", number: 1))
        let count = read(reader, &bytes, bytes.count)
        #expect(String(decoding: bytes.prefix(max(0, count)), as: UTF8.self) == text(1))
        imctl.kill()
    }

    @Test func `what nobody reads is not acknowledged`() throws {
        let daemon = try FakeDaemon()
        let (reader, writer) = try makePipe()
        let imctl = try Imctl(follow, daemon, standardOutput: writer)
        close(writer)
        let peer = try daemon.accept()
        try peer.answer(EventSubscribe.self, .init(consumer: "c", after: 0, last: 1))
        close(reader)
        peer.send(messageLine(1) + Response.caughtUp(number: 1))
        #expect(peer.request() == nil)
        #expect(imctl.status() == 74)
        #expect(imctl.diagnosed.isEmpty)
    }

    @Test func `a reader that leaves while nothing comes ends it`() throws {
        let daemon = try FakeDaemon()
        let (reader, writer) = try makePipe()
        let imctl = try Imctl(follow, daemon, standardOutput: writer)
        close(writer)
        let peer = try subscribe(daemon, after: 0, last: 0)
        try peer.answer(EventAck.self, Empty())
        close(reader)
        #expect(peer.request() == nil)
        #expect(imctl.status() == 74)
        #expect(imctl.diagnosed.isEmpty)
    }

    @Test func `what does not fit on the disk is not acknowledged`() throws {
        let daemon = try FakeDaemon()
        let full = open("/dev/full", O_WRONLY | O_CLOEXEC)
        try #require(full >= 0)
        defer { close(full) }
        let imctl = try Imctl(follow, daemon, standardOutput: full)
        let peer = try subscribe(daemon, after: 0, last: 1)
        #expect(peer.request() == nil)
        #expect(imctl.status() == 74)
        #expect(imctl.diagnosed.hasPrefix("imctl: error: cannot write to standard output: "))
    }

    @Test func `a restart of imd neither ends it nor loses or repeats a line`() throws {
        let daemon = try FakeDaemon()
        let imctl = try Imctl(follow, daemon)
        let before = try subscribe(daemon, after: 0, last: 2)
        #expect(try before.answer(EventAck.self, Empty()) == .init(consumer: "c", number: 2))
        before.send(messageLine(3) + messageLine(4))
        // Its wish to acknowledge shows that they are printed; the answer never comes.
        #expect(before.request()?.method == EventAck.name)
        daemon.stop()
        before.hangUp()
        #expect(until { imctl.diagnosed.contains("waiting for imd to come back") })
        try daemon.start()
        let peer = try subscribe(daemon, after: 2, last: 5)
        var number: Int64 = 0
        while number < 5 { number = try peer.answer(EventAck.self, Empty()).number }
        #expect(number == 5)
        #expect(imctl.printed == (1...5).map(text).joined())
        imctl.kill()
    }

    @Test func `after a restore of an older log or a rewind, what comes again is printed again`() throws {
        let daemon = try FakeDaemon()
        let imctl = try Imctl(follow, daemon)
        for place: (after: Int64, last: Int64) in [(7, 9), (3, 4), (2, 6)] {
            let peer = try subscribe(daemon, after: place.after, last: place.last)
            #expect(try peer.answer(EventAck.self, Empty()) == .init(consumer: "c", number: place.last))
            peer.hangUp()
        }
        #expect(imctl.printed == [8, 9, 4, 3, 4, 5, 6].map(text).joined())
    }

    @Test func `an imd that cannot store the acknowledgement is asked again, and the line is not repeated`()
        throws
    {
        let daemon = try FakeDaemon()
        let imctl = try Imctl(follow, daemon)
        let peer = try subscribe(daemon, after: 0, last: 1)
        try peer.refuse(EventAck.self, UserError(.diskFull, "no space left for the database"))
        #expect(try peer.answer(EventAck.self, Empty()) == .init(consumer: "c", number: 1))
        peer.send(messageLine(2))
        #expect(try peer.answer(EventAck.self, Empty()) == .init(consumer: "c", number: 2))
        #expect(imctl.printed == text(1) + text(2))
        #expect(
            imctl.diagnosed
                == "imctl: warning: cannot acknowledge what was printed: no space left for the database\n")
    }

    @Test func `without a consumer, an imd that goes away is the end`() throws {
        let daemon = try FakeDaemon()
        let imctl = try Imctl(["receive", "--follow", "--since", "0"], daemon)
        let peer = try daemon.accept()
        try peer.answer(EventSubscribe.self, .init(consumer: nil, after: 0, last: 0))
        peer.hangUp()
        #expect(imctl.status() == 69)
        #expect(imctl.diagnosed.hasPrefix("imctl: error: imd closed the connection\nimctl: hint: "))
    }

    @Test func `an imd that does not come back is an error that says how to go on`() throws {
        let daemon = try FakeDaemon()
        let imctl = try Imctl(follow + ["--timeout", "1"], daemon)
        let peer = try subscribe(daemon, after: 0, last: 0)
        daemon.stop()
        peer.hangUp()
        #expect(imctl.status() == 69)
        #expect(
            imctl.diagnosed.contains(
                "imctl: error: imd went away and did not come back in time\nimctl: hint: "))
    }

    @Test func `gaps and dropped events are warnings, and lines in JSON`() throws {
        let details: [(Int64, EventDetail)] = [
            (1, .overflow(.init(after: 0, through: 1))), (2, .gap(.init(reason: .tooLarge, chat: "b@c"))),
            (3, .gap(.init(reason: .archiveExpired))),
        ]
        let lines = try details.flatMap { number, detail in
            try Event(number: number, account: nil, at: Timestamp(milliseconds: 0), detail: detail).line()
        }
        let daemon = try FakeDaemon()
        for isJSON in [false, true] {
            let imctl = try Imctl(["receive", "--consumer", "c"] + (isJSON ? ["--json"] : []), daemon)
            let peer = try daemon.accept()
            try peer.answer(EventSubscribe.self, .init(consumer: "c", after: 0, last: 3))
            peer.send(lines + Response.caughtUp(number: 3))
            #expect(try peer.answer(EventAck.self, Empty()).number == 3)
            #expect(imctl.status() == 0)
            if isJSON {
                #expect(imctl.printed.split(separator: "\n").count == 3)
                #expect(
                    imctl.printed.contains(
                        #""type":"overflow","at":"1970-01-01T00:00:00.000Z","after":0,"through":1}"#))
                #expect(imctl.diagnosed.isEmpty)
            } else {
                #expect(imctl.printed.isEmpty)
                #expect(
                    imctl.diagnosed == """
                        imctl: warning: events 1 to 1 were dropped before they were received
                        imctl: hint: messages among them are in "imctl history"
                        imctl: warning: something from b@c of 1970-01-01T00:00:00Z is missing: it is larger than imd takes
                        imctl: warning: something of 1970-01-01T00:00:00Z is missing: the server does not have it any more

                        """)
            }
        }
    }
}
