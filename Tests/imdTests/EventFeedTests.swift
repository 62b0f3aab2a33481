// What subscribers read: pages that are shared, pages of their own, and what is said of events that are gone.
import LocalAPI
import NIOCore
import Store
import Testing

@testable import imd

struct EventPagesTests {
    private let filter = EventFilter()

    private func append(_ count: Int, _ type: String = "error", at: Int64 = 0, to party: Party) async throws {
        try await party.write { tx in
            for _ in 0..<count {
                try tx.appendEvent(
                    type: type, account: nil, chat: nil, message: nil, detail: "{}", at: at)
            }
        }
    }

    private func lines(_ page: EventPage) -> Int { page.lines.readableBytesView.count { $0 == 10 } }

    @Test func `a page has what comes after its place, a line for each event`() async throws {
        let party = try await Party("alice@example.org")
        try await append(5, to: party)
        let page = try await EventPages().page(after: 2, newest: 5, filter, limit: 64, in: party.store)
        #expect(page.numbers == [3, 4, 5])
        #expect(lines(page) == 3)
        #expect(page.through == 5 && !page.isFull)
    }

    @Test func `those who stand at the same place share one reading, and it does not go stale`() async throws
    {
        let party = try await Party("alice@example.org")
        let pages = EventPages()
        try await append(2, to: party)
        let first = try await pages.page(after: 1, newest: 2, filter, limit: 64, in: party.store)
        try await append(1, to: party)
        let shared = try await pages.page(after: 1, newest: 2, filter, limit: 64, in: party.store)
        #expect(shared.numbers == first.numbers)
        let later = try await pages.page(after: 1, newest: 3, filter, limit: 64, in: party.store)
        #expect(later.numbers == [2, 3])
    }

    @Test func `a filter is part of the place`() async throws {
        let party = try await Party("alice@example.org")
        let pages = EventPages()
        try await append(1, "error", to: party)
        try await append(1, "presence", to: party)
        let presence = EventFilter(types: ["presence"])
        let all = try await pages.page(after: 0, newest: 2, filter, limit: 64, in: party.store)
        let some = try await pages.page(after: 0, newest: 2, presence, limit: 64, in: party.store)
        #expect(all.numbers == [1, 2])
        #expect(some.numbers == [2] && some.through == 2)
    }

    @Test func `a window that is smaller than the page gets a page of its own`() async throws {
        let party = try await Party("alice@example.org")
        try await append(5, to: party)
        let page = try await EventPages().page(after: 0, newest: 5, filter, limit: 2, in: party.store)
        #expect(page.numbers == [1, 2] && page.isFull && page.through == 2)
    }

    @Test func `who is far behind gets full pages`() async throws {
        let party = try await Party("alice@example.org")
        try await append(200, to: party)
        let page = try await EventPages().page(after: 0, newest: 200, filter, limit: 64, in: party.store)
        #expect(page.numbers == Array(1...64) && page.isFull)
    }

    @Test func `nothing is read where nothing is new`() async throws {
        let party = try await Party("alice@example.org")
        try party.store.close()
        let page = try await EventPages().page(after: 9, newest: 9, filter, limit: 64, in: party.store)
        #expect(page.numbers.isEmpty && page.through == 9 && !page.isFull)
    }

    @Test func `a failed reading is not kept`() async throws {
        let party = try await Party("alice@example.org")
        let other = try await Party("bob@example.org")
        try await append(1, to: other)
        try party.store.close()
        let pages = EventPages()
        await #expect(throws: StoreError.self) {
            try await pages.page(after: 0, newest: 1, filter, limit: 64, in: party.store)
        }
        #expect(
            try await pages.page(after: 0, newest: 1, filter, limit: 64, in: other.store).numbers == [1])
    }

    @Test(arguments: [EventFilter(), EventFilter(types: ["message"])])
    func `events that were dropped are told of first, whatever the filter`(_ filter: EventFilter) async throws
    {
        let party = try await Party("alice@example.org")
        try await append(10, to: party)
        _ = try await party.write { try $0.prune(before: 0, limit: 4) }
        let page = try await EventPages().page(after: 2, newest: 10, filter, limit: 1, in: party.store)
        #expect(page.numbers == [6] && page.through == 6 && page.isFull)
        let incoming = try Incoming(line: Array(page.lines.readableBytesView.dropLast()))
        guard case .notification("event", let json) = incoming else {
            Issue.record("\(incoming)")
            return
        }
        let event = try Event(json: json)
        #expect(event.number == 6)
        #expect(event.detail == .overflow(OverflowDetail(after: 2, through: 6)))
    }

    @Test func `who had all of what was dropped misses nothing`() async throws {
        let party = try await Party("alice@example.org")
        try await append(10, to: party)
        _ = try await party.write { try $0.prune(before: 0, limit: 4) }
        let page = try await EventPages().page(after: 6, newest: 10, filter, limit: 64, in: party.store)
        #expect(page.numbers == [7, 8, 9, 10])
    }
}

struct EventFeedTests {
    @Test func `a consumer has one reader at a time`() throws {
        let feed = EventFeed()
        let first = try feed.subscribe(consumer: "bot", after: 0)
        #expect(throws: UserError.self) { try feed.subscribe(consumer: "bot", after: 0) }
        _ = try feed.subscribe(consumer: nil, after: 0)
        #expect(feed.isConnected("bot"))
        feed.unsubscribe(first)
        #expect(!feed.isConnected("bot"))
        _ = try feed.subscribe(consumer: "bot", after: 0)
    }

    @Test func `the newest event only grows`() {
        let feed = EventFeed()
        feed.committed(7)
        feed.reached(3)
        #expect(feed.newest == 7)
    }

    @Test func `an acknowledgement reaches the consumer's reader and no other`() throws {
        let feed = EventFeed()
        let (one, two) = (
            try feed.subscribe(consumer: "one", after: 1), try feed.subscribe(consumer: "two", after: 1)
        )
        feed.acknowledged(5, by: "one")
        feed.acknowledged(4, by: "one")
        #expect(one.acknowledged == 5 && two.acknowledged == 1)
    }
}

struct RetentionTests {
    @Test func `old events go at start, and too many while it runs`() async throws {
        let party = try await Party("alice@example.org")
        let feed = EventFeed()
        let append = { (count: Int, at: Int64) in
            let last = try await party.write { tx in
                for _ in 0..<count {
                    try tx.appendEvent(
                        type: "error", account: nil, chat: nil, message: nil, detail: "{}", at: at)
                }
                return try tx.lastEventNumber()
            }
            feed.committed(last)
        }
        try await append(2500, 0)
        try await append(10, Clock.now())
        var config = Config()
        (config.eventDays, config.eventLimit) = (30, 1000)
        let retention = Retention(
            store: party.store, feed: feed, current: CurrentConfig(config), log: .init(label: "test"))
        let running = Task { try await retention.run() }
        defer { running.cancel() }
        try await until { try $0.droppedThrough() == 2500 }
        try await append(2000, Clock.now())
        try await until { try $0.droppedThrough() == 3510 }

        func until(_ condition: @escaping @Sendable (Transaction) throws -> Bool) async throws {
            for _ in 0..<500 {
                if try await party.store.read(condition) { return }
                try await Task.sleep(for: .milliseconds(10))
            }
            Issue.record("not in time: \(try await party.store.read { try $0.droppedThrough() })")
        }
    }
}
