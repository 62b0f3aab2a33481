// failure.list, failure.add and failure.remove.
import LocalAPI
import NIOPosix
import Store
import Testing

@testable import imd

struct FailureServiceTests {
    private let party: Party
    private let handlers: Handlers

    init() async throws {
        party = try await Party("alice@example.org")
        handlers = Handlers(
            accounts: Accounts(
                store: party.store, group: .singletonMultiThreadedEventLoopGroup, config: Config(),
                log: .init(label: "test")),
            store: party.store, feed: EventFeed(),
            hooks: Hooks(
                store: party.store, feed: EventFeed(), folder: party.folder + "/hooks.d", overrides: [:],
                environment: [:], log: .init(label: "test")),
            paths: try Paths(environment: ["HOME": "/home/a", "XDG_RUNTIME_DIR": "/run/a"]), startedAt: 0)
        let account = party.own.account
        try await party.write { tx in
            for name in ["one", "two"] {
                let detail = EventDetail.presence(PresenceDetail(from: "\(name)@example.org", show: .away))
                try tx.append(detail, account: account, chat: nil, now: 5)
            }
            try tx.createConsumer("bot", at: 0, now: 1)
        }
    }

    private func add(_ number: Int64, _ reason: String = "exit status 3", to consumer: String = "bot")
        async throws
    {
        let params = FailureAdd.Params(consumer: consumer, number: number, attempts: 2, reason: reason)
        // As the dispatcher does.
        try FailureAdd.validate(params)
        try await handlers.add(params)
    }

    private func failures(of consumer: String? = nil) async throws -> [FailureList.Failure] {
        try await handlers.failures(.init(consumer: consumer)).failures
    }

    private func expect(_ code: ErrorCode, _ body: () async throws -> Void) async {
        let error = await #expect(throws: UserError.self) { try await body() }
        #expect(error?.code == code)
    }

    @Test func `a failure keeps the event as subscribers get it, once, and acknowledges nothing`()
        async throws
    {
        try await add(2)
        try await add(2, "time limit")
        let failure = try #require(try await failures(of: "bot").first)
        #expect(try await failures().count == 1)
        #expect(failure.number == 2 && failure.attempts == 2 && failure.reason == "time limit")
        #expect(failure.retryAt == nil)
        let event = try Event(json: failure.event)
        #expect(event.number == 2 && event.account == "alice@example.org")
        #expect(event.detail == .presence(PresenceDetail(from: "two@example.org", show: .away)))
        try await #expect(party.store.read { try $0.consumer("bot")?.acknowledged } == 0)
    }

    @Test func `an event that was dropped is kept as it was`() async throws {
        try await add(1)
        _ = try await party.write { try $0.prune(before: 0, limit: 0) }
        try await add(1, "again")
        #expect(try await failures().first?.event["from"] == "one@example.org")
    }

    @Test func `what was told instead of dropped events is an event, too`() async throws {
        _ = try await party.write { try $0.prune(before: 0, limit: 0) }
        try await add(2)
        let event = try Event(json: try #require(try await failures().first).event)
        #expect(event.detail == .overflow(OverflowDetail(after: 0, through: 2)))
    }

    @Test func `removing forgets it`() async throws {
        try await add(1)
        try await handlers.remove(.init(consumer: "bot", number: 1))
        #expect(try await failures().isEmpty)
        await expect(.noSuchEvent) {
            try await handlers.remove(.init(consumer: "bot", number: 1))
        }
    }

    @Test func `a consumer or an event that does not exist is an error`() async throws {
        await expect(.noSuchConsumer) { try await add(1, to: "nobody") }
        await expect(.noSuchConsumer) { _ = try await failures(of: "nobody") }
        await expect(.noSuchEvent) { try await add(3) }
        await expect(.noSuchEvent) { try await add(0) }
    }

    @Test func `a reason has a limit`() async throws {
        try await add(1, String(repeating: "x", count: 4096))
        await expect(.tooLarge) { try await add(1, String(repeating: "x", count: 4097)) }
    }
}
