// Hooks with a store and processes of their own: what happens to them at the wrong moment.
import Foundation
import LocalAPI
import Logging
import Synchronization
import Testing

@testable import Store
@testable import imd

/// What hooks say in the log.
private final class Said: Sendable {
    private let messages = Mutex<[String]>([])

    func add(_ message: String) { messages.withLock { $0.append(message) } }

    func count(_ message: String) -> Int { messages.withLock { all in all.count { $0 == message } } }
}

private struct Listener: LogHandler {
    let said: Said
    var logLevel = Logger.Level.info
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { said.add("\(event.message)") }
}

/// The folder of the hooks, which is in their home, and what they make of the events of a store.
private final class Stage: Sendable {
    let party: Party
    let feed = EventFeed()
    let said = Said()
    let hooks: Hooks

    init() async throws {
        party = try await Party("alice@example.org")
        try FileManager.default.createDirectory(
            atPath: party.folder + "/hooks.d", withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o700])
        hooks = Hooks(
            store: party.store, feed: feed, folder: party.folder + "/hooks.d", overrides: [:],
            environment: ["HOME": party.folder, "PATH": "/usr/bin:/bin"],
            log: Logger(label: "test") { [said] _ in Listener(said: said) })
    }

    /// Puts a script there that begins with the number of its event in the file `ran`.
    func add(
        _ name: String, _ header: String = "", _ body: String = "", in folder: String = "hooks.d"
    ) throws {
        let script = """
            #!/bin/sh
            # imd-hook: types=presence \(header)
            echo "$IMD_EVENT_NUMBER" >>"$HOME/ran"
            \(body)
            """
        let path = "\(party.folder)/\(folder)/\(name)"
        try Data(script.utf8).write(to: URL(filePath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
    }

    /// For a script: waits until it is let go.
    static let waits = #"until [ -e "$HOME/go$IMD_EVENT_NUMBER" ]; do sleep 0.01; done"#

    func letGo(_ number: Int64) throws {
        try Data().write(to: URL(filePath: "\(party.folder)/go\(number)"))
    }

    /// The events for which a script was begun, in order.
    var ran: [Int64] {
        let text = (try? String(contentsOfFile: party.folder + "/ran", encoding: .utf8)) ?? ""
        return text.split(separator: "\n").compactMap { Int64($0) }
    }

    /// - Parameter wakes: false to leave it to others that the hooks look at them.
    func append(_ count: Int, wakes: Bool = true) async throws {
        let last = try await party.write { tx in
            for _ in 0..<count {
                let detail = EventDetail.presence(PresenceDetail(from: "bob@example.org", show: .away))
                try tx.append(detail, account: nil, chat: nil, now: Clock.now())
            }
            return try tx.lastEventNumber()
        }
        if wakes { feed.committed(last) } else { feed.reached(last) }
    }

    /// Gives a hook its place, before it runs.
    func place(_ hook: String, at number: Int64) async throws {
        try await party.write { try $0.createConsumer("hook:\(hook)", at: number, now: 1) }
    }

    func acknowledged(_ hook: String) async throws -> Int64? {
        try await party.store.read { try $0.consumer("hook:\(hook)")?.acknowledged }
    }

    /// The events about what went wrong.
    func errors() async throws -> [String] {
        try await party.store.read { tx in
            try tx.events(after: 0, limit: 99).filter { $0.type == "error" }.map { $0.object(account: nil) }
        }
    }

    /// Lets every write wait, until what is returned is signalled.
    func hold() -> DispatchSemaphore {
        let end = DispatchSemaphore(value: 0)
        party.store.write({ _ in end.wait() }, completion: { _ in })
        return end
    }

    func until(
        _ what: String, _ isSo: () async throws -> Bool, at location: SourceLocation = #_sourceLocation
    ) async throws {
        for _ in 0..<2000 {
            if try await isSo() { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        Issue.record("not in time: \(what)", sourceLocation: location)
        throw CancellationError()
    }

    /// Runs the hooks beside `body`, and ends all they have begun.
    func run(_ body: () async throws -> Void) async throws {
        let task = Task { try await hooks.run() }
        let result: Result<Void, any Error>
        do {
            result = .success(try await body())
        } catch {
            result = .failure(error)
        }
        task.cancel()
        try await task.value
        try result.get()
    }

    /// Returns when the folder was looked at for the first time.
    func begin() async throws {
        try await until("a look at the folder") { await !hooks.files.isEmpty }
        await hooks.reload()
    }
}

@Suite(.serialized, .timeLimit(.minutes(5))) struct HookRunTests {
    @Test(arguments: [[1, 2], [2, 1]] as [[Int64]])
    func `what failed is tried again, also where another run ends before that is written down`(
        _ order: [Int64]
    ) async throws {
        let stage = try await Stage()
        try stage.add("picky", "parallel=2 attempts=2 retry=1", "\(Stage.waits)\nexit 1")
        try await stage.append(2)
        try await stage.place("picky", at: 1)
        try await stage.party.write { tx in
            try tx.put(
                DeadLetter(
                    consumer: "hook:picky", number: 1, account: nil, attempts: 1, reason: "exit status 1",
                    at: 1, retryAt: 1, event: #"{"number":1,"type":"presence"}"#))
        }
        try await stage.run {
            try await stage.until("both are running") { stage.ran.count == 2 }
            let held = stage.hold()
            defer { held.signal() }
            for number in order {
                try stage.letGo(number)
                let failed = "a hook failed at an event" + (number == 1 ? " and is not tried again" : "")
                try await stage.until("\(number) failed") { stage.said.count(failed) == 1 }
            }
            held.signal()
            try await stage.until("the second try") { stage.ran.count == 3 }
            #expect(stage.ran.last == 2)
        }
    }

    @Test func `what a run came to is not undone by one that is written down late`() async throws {
        let stage = try await Stage()
        let body = "[ \"$IMD_EVENT_NUMBER\" != 1 ] && exit\n\(Stage.waits)\nexit 1"
        try stage.add("both", "parallel=2 retry=3600", body)
        try await stage.append(1)
        try await stage.place("both", at: 0)
        try await stage.run {
            try await stage.until("the first is running") { stage.ran == [1] }
            try await stage.party.write { tx in
                _ = try tx.run("CREATE TRIGGER fault BEFORE UPDATE ON consumer BEGIN SELECT fault(); END")
            }
            try await stage.append(1)
            let fault = "what a hook did cannot be written down"
            try await stage.until("the second is done") { stage.said.count(fault) >= 1 }
            try stage.letGo(1)
            try await stage.until("the first failed") { stage.said.count("a hook failed at an event") == 1 }
            try await stage.party.write { tx in _ = try tx.run("DROP TRIGGER fault") }
            try await stage.until("all is written down") { try await stage.acknowledged("both") == 2 }
            try await stage.append(1)
            try await stage.until("the third") { try await stage.acknowledged("both") == 3 }
            #expect(stage.ran == [1, 2, 3])
        }
    }

    @Test func `a hook that found no place beside tests by hand runs when they are done`() async throws {
        let stage = try await Stage()
        try stage.add("tested", "enabled=false", Stage.waits)
        try stage.add("waiting")
        try await stage.run {
            try await stage.begin()
            let hooks = stage.hooks
            try await withThrowingTaskGroup { tests in
                for _ in 0..<HookSchedule.maxRunning {
                    tests.addTask { _ = try await hooks.test("tested", #"{"number":99}"#) }
                }
                try await stage.until("all places are taken") {
                    stage.ran.count == HookSchedule.maxRunning
                }
                // Nobody but the end of a test may be who finds it in the end.
                try await stage.append(1, wakes: false)
                await hooks.reload()
                try stage.letGo(99)
                try await tests.waitForAll()
            }
            try await stage.until("its turn") { stage.ran.last == 1 }
        }
    }

    @Test func `events that were dropped before a hook got them are told once, until it has caught up`()
        async throws
    {
        let stage = try await Stage()
        try stage.add("slow", "", Stage.waits)
        let dropped = "events were dropped before a hook got them"
        try await stage.append(3)
        try await stage.place("slow", at: 0)
        try await stage.party.write { _ = try $0.prune(before: 0, limit: 0) }
        try await stage.append(1)
        try await stage.run {
            try await stage.until("it is told") { try await stage.errors().count == 1 }
            let told = "events up to 3 were dropped before the hook slow got them"
            #expect(try await stage.errors()[0].contains(told))
            try await stage.until("the first that is left") { stage.ran == [4] }
            try await stage.append(2)
            try await stage.party.write { _ = try $0.prune(before: 0, limit: 1) }
            try stage.letGo(4)
            try await stage.until("more are lost") { stage.said.count(dropped) == 2 && stage.ran == [4, 7] }
            // What it says of that is asked for by now, and written before this.
            _ = await stage.hooks.running("slow")
            try await stage.append(1)
            #expect(try await stage.errors() == [])
            try stage.letGo(7)
            try await stage.until("it has caught up") { stage.ran == [4, 7, 8] }
            try await stage.append(2)
            try await stage.party.write { _ = try $0.prune(before: 0, limit: 1) }
            try stage.letGo(8)
            try await stage.until("it is told again") { try await stage.errors().count == 1 }
        }
    }

    @Test func `a hook whose place cannot be read begins when it can be`() async throws {
        let stage = try await Stage()
        try stage.add("late")
        try await stage.party.write { tx in
            _ = try tx.run(
                "CREATE TRIGGER fault BEFORE INSERT ON consumer BEGIN SELECT RAISE(ABORT, 'a fault'); END")
        }
        try await stage.run {
            try await stage.until("it cannot") { stage.said.count("a hook cannot begin") == 1 }
            try await stage.party.write { tx in _ = try tx.run("DROP TRIGGER fault") }
            try await stage.until("it has a place") { try await stage.acknowledged("late") == 0 }
            try await stage.append(1)
            try await stage.until("it runs") { stage.ran == [1] }
        }
    }

    @Test func `a hook goes on where the database does not take what it failed at`() async throws {
        let stage = try await Stage()
        try stage.add("picky", "", #"[ "$IMD_EVENT_NUMBER" = 2 ]"#)
        try await stage.append(2)
        try await stage.place("picky", at: 0)
        try await stage.party.write { tx in
            _ = try tx.run(
                "CREATE TRIGGER fault BEFORE INSERT ON deadLetter BEGIN SELECT RAISE(ABORT, 'a fault'); END")
        }
        try await stage.run {
            try await stage.until("it is done") { try await stage.acknowledged("picky") == 2 }
            #expect(stage.ran == [1, 2])
            #expect(stage.said.count("what a hook did is refused by the database") == 1)
        }
    }

    @Test func `a hook that must not be run any more gets nothing, also while the folder is being looked at`()
        async throws
    {
        let stage = try await Stage()
        let target = stage.party.folder + "/opened"
        try stage.add("good")
        try stage.add("opened", "", in: "")
        // The watch over the folder does not notice its mode.
        try FileManager.default.createSymbolicLink(
            atPath: stage.party.folder + "/hooks.d/opened", withDestinationPath: target)
        let held = stage.hold()
        try await stage.run {
            defer { held.signal() }
            let hooks = stage.hooks
            try await stage.until("the first look has begun") { await hooks.files.count == 2 }
            try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: target)
            let second = Task { await hooks.reload() }
            // Only a look that does not wait for the first is seen here.
            for _ in 0..<20 where await hooks.files.allSatisfy({ $0.refusal == nil }) {
                try await Task.sleep(for: .milliseconds(10))
            }
            held.signal()
            await second.value
            try await stage.until("both have begun") { try await stage.acknowledged("opened") == 0 }
            for number: Int64 in 1...2 {
                try await stage.append(1)
                try await stage.until("the good one is done") {
                    try await stage.acknowledged("good") == number
                }
            }
            #expect(stage.ran == [1, 2] && stage.said.count("a hook failed at an event") == 0)
        }
    }

    @Test func `a hook that fails while it is set back is set back all the same`() async throws {
        let stage = try await Stage()
        try stage.add("slow", "retry=3600", "\(Stage.waits)\nrm \"$HOME/go$IMD_EVENT_NUMBER\"\nexit 1")
        try await stage.append(2)
        try await stage.place("slow", at: 0)
        try await stage.run {
            try stage.letGo(1)
            try await stage.until("the second is running") { stage.ran == [1, 2] }
            try await stage.hooks.move("hook:slow") {
                try stage.letGo(2)
                try await stage.until("it failed") { stage.said.count("a hook failed at an event") == 2 }
                try await stage.party.write { _ = try $0.rewindConsumer("hook:slow", to: 0) }
            }
            try await stage.until("the first again") { stage.ran == [1, 2, 1] }
            #expect(try await stage.acknowledged("slow") == 0, "so it is after a crash, too")
        }
    }
}

struct HookFolderTests {
    @Test func `a folder that was made anew in the place of another is another one`() throws {
        let path = FileManager.default.temporaryDirectory.path + "/imd-hooks-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let folder = HookFolder(path: path)
        #expect(folder.identity == nil)
        var seen: Set<[Int64]> = []
        for _ in 0..<5 {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
            #expect(seen.insert(try #require(folder.identity)).inserted)
            // Most file systems give the number of this one to the next; their clock ticks every few milliseconds.
            try FileManager.default.removeItem(atPath: path)
            Thread.sleep(forTimeInterval: 0.02)
        }
    }
}
