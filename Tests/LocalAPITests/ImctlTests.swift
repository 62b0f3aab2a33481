// What imctl prints, asks and exits with, against a daemon that says what the test wants.

import Foundation
import LocalAPI
import Testing

private let waiting = Message(
    account: "a@b", chat: "b@c", from: "a@b", direction: .out, body: "one\u{1b}[31m\ntwo",
    encryption: .init(protocol: "p"), id: "m1", at: Timestamp(milliseconds: 1_000), state: .queued)

private let failed: Message = {
    var message = waiting
    message.state = .failed
    message.reason = "no such user"
    message.body = String(repeating: "long ", count: 20)
    message.encryption = nil
    return message
}()

private func result(_ id: String, _ state: DeliveryState, reason: String? = nil) -> MessageSend.Result {
    .init(
        id: id, account: "a@b", chat: "b@c", state: state, reason: reason, devices: [], excluded: [],
        duplicate: false, at: Timestamp(milliseconds: 0))
}

private func consumer(_ acknowledged: Int64) -> ConsumerList.Consumer {
    .init(
        name: "bot", acknowledged: acknowledged, pending: 9 - acknowledged,
        createdAt: Timestamp(milliseconds: 0), connected: false)
}

private func status(_ version: String = LocalAPI.version, storage: UserError? = nil) -> DaemonStatus.Result {
    .init(
        version: version, pid: 7, startedAt: Timestamp(milliseconds: 0),
        accounts: [
            .init(
                jid: "a@b", state: .online, since: Timestamp(milliseconds: 0), device: 5, fingerprint: "ab",
                catchingUp: true, resumed: true, queued: 3)
        ], lastEvent: 0, storage: storage)
}

struct SendTests {
    @Test(arguments: [
        (MessageSend.Wait.sent, DeliveryState.queued, "imctl outbox list"),
        (.server, .sent, "imctl outbox list"), (.delivered, .sent, "imctl outbox list"),
        (.delivered, .server, "imctl history b@c"), (.displayed, .delivered, "imctl history b@c"),
    ])
    func `a time-out prints the id, tells the state and exits with 75`(
        _ wait: MessageSend.Wait, _ reached: DeliveryState, _ remedy: String
    ) throws {
        let daemon = try FakeDaemon()
        let imctl = try Imctl(
            ["send", "b@c", "x", "--id", "k", "--wait", wait.rawValue, "--timeout", "5"], daemon)
        let params = try daemon.accept().answer(MessageSend.self, result("k", reached))
        #expect(params == .init(to: "b@c", body: "x", id: "k", wait: wait, timeout: 5))
        #expect(imctl.status() == 75)
        #expect(imctl.printed == "k\n")
        let lines = imctl.diagnosed.split(separator: "\n")
        let named = reached == .server ? "with the server" : reached.rawValue
        #expect(lines.first?.hasPrefix("imctl: error: the message is \(named), not yet ") == true)
        #expect(lines.first?.hasSuffix(", after 5 s") == true)
        #expect(lines.last?.hasPrefix("imctl: hint: nothing is lost: ") == true)
        #expect(lines.last?.contains(remedy) == true)
    }

    @Test(arguments: MessageSend.Wait.allCases)
    func `a state that is reached or passed is success`(_ wait: MessageSend.Wait) throws {
        let daemon = try FakeDaemon()
        for reached in [wait.state, .displayed] {
            let imctl = try Imctl(["send", "b@c", "x", "--wait", wait.rawValue], daemon)
            try daemon.accept().answer(MessageSend.self, result("k", reached))
            #expect(imctl.status() == 0)
            #expect(imctl.diagnosed.isEmpty)
        }
    }

    @Test func `a failed message says why and how to try again`() throws {
        let daemon = try FakeDaemon()
        let imctl = try Imctl(["send", "b@c", "x", "--wait", "delivered"], daemon)
        try daemon.accept().answer(MessageSend.self, result("k", .failed, reason: "no such user"))
        #expect(imctl.status() == 69)
        #expect(
            imctl.diagnosed
                == "imctl: error: the message was not delivered: no such user\nimctl: hint: imctl outbox retry k\n"
        )
    }

    @Test func `an imd that is restarted before it answers is asked again with the same id`() throws {
        let daemon = try FakeDaemon()
        let imctl = try Imctl(["send", "b@c", "x", "--wait", "server"], daemon)
        let before = try daemon.accept()
        let request = before.request()
        let first = try MessageSend.decode(try #require(request).params)
        daemon.stop()
        before.hangUp()
        usleep(100_000)
        try daemon.start()
        let second = try daemon.accept().answer(MessageSend.self, result(try #require(first.id), .server))
        #expect(second.id == first.id)
        #expect(second.body == "x")
        #expect(imctl.status() == 0)
        #expect(imctl.printed == "\(try #require(first.id))\n")
        #expect(imctl.diagnosed.isEmpty)
    }

    @Test func `an imd that never answers leaves a way to send exactly once`() throws {
        let daemon = try FakeDaemon()
        let imctl = try Imctl(["send", "b@c", "x", "--timeout", "1"], daemon)
        let peer = try daemon.accept()
        let request = peer.request()
        let params = try MessageSend.decode(try #require(request).params)
        daemon.stop()
        peer.hangUp()
        #expect(imctl.status() == 69)
        #expect(imctl.printed.isEmpty)
        #expect(imctl.diagnosed.contains("the message may have been accepted\n"))
        #expect(imctl.diagnosed.contains("--id \(try #require(params.id))"))
    }
}

struct OutboxTests {
    @Test func `a list has one line for each message`() throws {
        let daemon = try FakeDaemon()
        let imctl = try Imctl(["outbox", "list"], daemon)
        let params = try daemon.accept().answer(OutboxList.self, .init(messages: [waiting, failed]))
        #expect(params == .init())
        #expect(imctl.status() == 0)
        let long = String(repeating: "long ", count: 12)
        #expect(
            imctl.printed == """
                1970-01-01T00:00:01Z m1 to b@c [queued]: one\u{1b}[31m…
                1970-01-01T00:00:01Z m1 to b@c [failed: no such user] [plaintext]: \(long)…

                """)
    }

    @Test(arguments: [true, false]) func `a list that is not all says so`(_ more: Bool) throws {
        let daemon = try FakeDaemon()
        let imctl = try Imctl(["outbox", "list"], daemon)
        _ = try daemon.accept().answer(OutboxList.self, .init(messages: [waiting], more: more))
        #expect(imctl.status() == 0)
        let warning = "imctl: warning: these are the oldest 1; there are more\n"
        #expect(imctl.diagnosed == (more ? warning : ""))
    }

    @Test func `messages of several accounts name theirs`() throws {
        let daemon = try FakeDaemon()
        let imctl = try Imctl(["outbox", "list", "--failed"], daemon)
        var other = failed
        other.account = "z@b"
        other.body = "x"
        let params = try daemon.accept().answer(OutboxList.self, .init(messages: [waiting, other]))
        #expect(params == .init(failed: true))
        #expect(imctl.status() == 0)
        #expect(imctl.printed.contains(" m1 to b@c from z@b [failed: no such user] [plaintext]: x\n"))
    }

    @Test func `retry prints what is tried now`() throws {
        let daemon = try FakeDaemon()
        for id in [nil, "m1"] {
            let imctl = try Imctl(["outbox", "retry"] + (id.map { [$0] } ?? []) + ["--json"], daemon)
            let params = try daemon.accept().answer(OutboxRetry.self, .init(messages: [waiting]))
            #expect(params == .init(id: id))
            #expect(imctl.status() == 0)
            #expect(try Message(json: JSONValue(strict: Array(imctl.printed.utf8.dropLast()))) == waiting)
        }
    }

    @Test func `what has left cannot be cancelled, and the status tells`() throws {
        let daemon = try FakeDaemon()
        let late = try Imctl(["outbox", "cancel", "m1"], daemon)
        try daemon.accept().refuse(OutboxCancel.self, UserError(.conflict, "m1 has left"))
        #expect(late.status() == 73)
        #expect(late.diagnosed == "imctl: error: m1 has left\n")
        let early = try Imctl(["outbox", "cancel", "m1"], daemon)
        var message = waiting
        message.state = .failed
        message.reason = "cancelled"
        #expect(try daemon.accept().answer(OutboxCancel.self, message) == .init(id: "m1"))
        #expect(early.status() == 0)
        #expect(early.printed.hasSuffix("m1 to b@c [failed: cancelled]: one\u{1b}[31m…\n"))
    }
}

struct ImctlTests {
    @Test(arguments: [(["--to", "4"], 4), (["--all"], 0), (["--by", "3"], 5), (["--by", "99"], 0)])
    func `a consumer is set back to a number, by a number or to the beginning`(
        _ options: [String], _ place: Int
    ) throws {
        let number = Int64(place)
        let daemon = try FakeDaemon()
        let imctl = try Imctl(["consumer", "rewind", "bot"] + options, daemon)
        let peer = try daemon.accept()
        if options[0] == "--by" { try peer.answer(ConsumerList.self, .init(consumers: [consumer(8)])) }
        let params = try peer.answer(ConsumerRewind.self, consumer(number))
        #expect(params == .init(name: "bot", number: number))
        #expect(imctl.status() == 0)
        #expect(imctl.printed == "bot acknowledged \(number), pending \(9 - number)\n")
    }

    @Test(arguments: [[], ["--all", "--to", "1"], ["--by", "0"], ["--to=-1"]])
    func `a rewind that makes no sense asks imd for nothing`(_ options: [String]) throws {
        let daemon = try FakeDaemon()
        let imctl = try Imctl(["consumer", "rewind", "bot"] + options, daemon)
        #expect(imctl.status() == 64)
        #expect(imctl.diagnosed.hasPrefix("imctl: error: "))
    }

    @Test func `a consumer that is not there cannot be set back`() throws {
        let daemon = try FakeDaemon()
        let imctl = try Imctl(["consumer", "rewind", "nobody", "--by", "1"], daemon)
        try daemon.accept().answer(ConsumerList.self, .init(consumers: [consumer(8)]))
        #expect(imctl.status() == 66)
    }

    @Test func `the doctor says what is well and what to do`() throws {
        let daemon = try FakeDaemon()
        let well = DaemonCheck.Check(name: "database", ok: true, detail: "3 MB, whole")
        let ill = DaemonCheck.Check(name: "clock", ok: false, detail: "90 s slow", hint: "set it")
        for checks in [[well], [well, ill]] {
            let imctl = try Imctl(["doctor"], daemon)
            let peer = try daemon.accept()
            try peer.answer(DaemonStatus.self, status())
            try peer.answer(DaemonCheck.self, .init(checks: checks))
            #expect(imctl.status() == (checks.count == 1 ? 0 : 69))
            let expected =
                "ok imd: version \(LocalAPI.version), process 7, since 1970-01-01T00:00:00Z\n"
                + "ok database: 3 MB, whole\n"
                + (checks.count == 1 ? "" : "FAIL clock: 90 s slow\n\thint: set it\n")
            #expect(imctl.printed == expected)
        }
    }

    @Test func `the doctor without imd, or with another version of it, fails and says so in JSON as well`()
        throws
    {
        let daemon = try FakeDaemon()
        let other = try Imctl(["doctor"], daemon)
        let peer = try daemon.accept()
        try peer.answer(DaemonStatus.self, status("9.9"))
        try peer.answer(DaemonCheck.self, .init(checks: []))
        #expect(other.status() == 69)
        #expect(other.printed.hasSuffix("; imctl is version \(LocalAPI.version)\n\thint: restart imd\n"))
        daemon.stop()
        let alone = try Imctl(["doctor", "--json"], daemon)
        #expect(alone.status() == 69)
        let line = try JSONValue(strict: Array(alone.printed.utf8.dropLast()))
        #expect(line["name"] == "imd" && line["ok"] == .bool(false) && line["hint"] != nil)
    }

    @Test func `displayed names the last message that counts as read`() throws {
        let daemon = try FakeDaemon()
        let imctl = try Imctl(["displayed", "b@c", "--id", "m1"], daemon)
        let params = try daemon.accept().answer(MessageDisplayed.self, waiting)
        #expect(params == .init(chat: "b@c", id: "m1"))
        #expect(imctl.status() == 0)
        #expect(imctl.printed == "m1\n")
    }

    @Test func `the status tells what waits and why nothing can be stored`() throws {
        let daemon = try FakeDaemon()
        let imctl = try Imctl(["status"], daemon)
        let full = UserError(.diskFull, "no space left for the database", hint: "free some")
        try daemon.accept().answer(DaemonStatus.self, status(storage: full))
        #expect(imctl.status() == 0)
        #expect(
            imctl.printed.contains(
                "cannot store anything: disk-full: no space left for the database\n\thint: free some\n"))
        #expect(imctl.printed.contains("(resumed), device 5, catching up, outbox 3\n"))
    }
}
