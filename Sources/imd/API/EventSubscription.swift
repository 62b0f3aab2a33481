// One subscription: reads the event log from its place and writes it to one client, as fast as that reads.
import LocalAPI
import NIOCore
import Store
import XMPP

struct EventSubscription: Sendable {
    let subscriber: EventFeed.Subscriber
    let filter: EventFilter
    /// Events with higher numbers are sent.
    let after: Int64
    /// The newest event when the subscription began.
    let last: Int64
    /// How many events a consumer may leave unacknowledged; nil without a consumer.
    let window: Int?
    let feed: EventFeed
    let store: Store
    let channel: any Channel

    /// Returns when the client is gone or the task is cancelled.
    func run() async {
        try? await send()
        feed.unsubscribe(subscriber)
        // Where the store failed, a client that waits for events must notice.
        channel.close(promise: nil)
    }

    private func send() async throws {
        var position = after
        var unacknowledged: ArraySlice<Int64> = []
        var isCaughtUp = false
        var accounts: [Int64: JID] = [:]
        var wakeUps = subscriber.wakeUps.makeAsyncIterator()
        while !Task.isCancelled {
            let acknowledged = subscriber.acknowledged
            unacknowledged = unacknowledged.drop { $0 <= acknowledged }
            let room = min(Self.pageSize, (window ?? Self.pageSize) - unacknowledged.count)
            var more = false
            if room > 0 {
                let page = try await page(after: position, limit: room, accounts)
                accounts = page.accounts
                position = page.through
                if window != nil { unacknowledged.append(contentsOf: page.events.map(\.number)) }
                more = page.events.count == room
                let isReached = !isCaughtUp && position >= last
                try await write(page, isCaughtUp: isReached)
                isCaughtUp = isCaughtUp || isReached
            }
            if !more, await wakeUps.next() == nil { return }
        }
    }

    private static let pageSize = 64

    private struct Page: Sendable {
        var events: [EventRecord]
        var accounts: [Int64: JID]
        /// Everything up to here was looked at; what the filter left out need not be read again.
        var through: Int64
    }

    /// - Parameter accounts: those known so far.
    private func page(after position: Int64, limit: Int, _ accounts: [Int64: JID]) async throws -> Page {
        let filter = filter
        return try await store.read { tx in
            let events = try tx.events(after: position, filter, limit: limit)
            let through = events.count == limit ? events.last?.number : try tx.lastEventNumber()
            let isNew = events.contains { event in event.account.map { accounts[$0] == nil } ?? false }
            return Page(
                events: events, accounts: try isNew ? tx.accountJIDs() : accounts,
                through: max(position, through ?? position))
        }
    }

    /// Returns when the client has taken it, so a reader that stops costs one page of memory.
    private func write(_ page: Page, isCaughtUp: Bool) async throws {
        guard !page.events.isEmpty || isCaughtUp else { return }
        var bytes: [UInt8] = []
        for event in page.events { bytes += event.line(account: event.account.flatMap { page.accounts[$0] }) }
        if isCaughtUp { bytes += Response.caughtUp(number: last) }
        try await channel.writeAndFlush(APIOutput.bytes(bytes)).get()
    }
}
