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
        feed.reached(last)
        var position = after
        var unacknowledged: ArraySlice<Int64> = []
        var isCaughtUp = false
        var wakeUps = subscriber.wakeUps.makeAsyncIterator()
        while !Task.isCancelled {
            let acknowledged = subscriber.acknowledged
            unacknowledged = unacknowledged.drop { $0 <= acknowledged }
            let room = min(EventPages.size, (window ?? EventPages.size) - unacknowledged.count)
            var more = false
            if room > 0 {
                let page = try await feed.pages.page(
                    after: position, newest: feed.newest, filter, limit: room, in: store)
                position = page.through
                if window != nil { unacknowledged.append(contentsOf: page.numbers) }
                more = page.isFull
                let isReached = !isCaughtUp && position >= last
                try await write(page, isCaughtUp: isReached)
                isCaughtUp = isCaughtUp || isReached
            }
            if !more, await wakeUps.next() == nil { return }
        }
    }

    /// Returns when the client has taken it, so a reader that stops costs one page of memory.
    private func write(_ page: EventPage, isCaughtUp: Bool) async throws {
        guard !page.numbers.isEmpty || isCaughtUp else { return }
        var lines = page.lines
        if isCaughtUp { lines.writeBytes(Response.caughtUp(number: last)) }
        try await channel.writeAndFlush(APIOutput.bytes(lines)).get()
    }
}
