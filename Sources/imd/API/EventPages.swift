// Pages of the event log as lines; one that many subscribers want is read and written out once.
import LocalAPI
import NIOCore
import Store
import Synchronization

/// Some events that follow each other, for one filter.
struct EventPage: Sendable {
    var numbers: [Int64] = []
    /// One line for each.
    var lines = ByteBuffer()
    /// Everything up to here was looked at; what the filter left out need not be read again.
    var through: Int64
    /// As many as were asked for: more may follow.
    var isFull = false
}

extension EventPage {
    /// What is told instead of events that retention has dropped; it has the number of the last of them.
    fileprivate init(missing after: Int64, through: Int64) throws {
        let detail = OverflowDetail(after: after, through: through)
        let event = Event(
            number: through, account: nil, at: Timestamp(milliseconds: Clock.now()), detail: .overflow(detail)
        )
        self.init(
            numbers: [through], lines: ByteBuffer(bytes: try event.line()), through: through, isFull: true)
    }
}

/// Subscribers that keep up all stand at the newest event: what comes next is the same for those with the same
/// filter. Who is further behind reads alone.
final class EventPages: Sendable {
    /// Events in a page.
    static let size = 64

    private struct Place: Hashable {
        var after: Int64
        var newest: Int64
        var filter: EventFilter
    }

    private typealias Reading = Task<EventPage, any Error>

    /// The pages that end at the newest event.
    private let shared = Mutex<[Place: Reading]>([:])
    private static let sharedCount = 16
    /// In bytes; a larger page is forgotten when those who waited for it have it.
    private static let sharedSize = 256 << 10

    /// The events with numbers above `after`.
    ///
    /// - Parameters:
    ///   - newest: an event of that number exists.
    ///   - limit: how many at most.
    func page(
        after: Int64, newest: Int64, _ filter: EventFilter, limit: Int, in store: Store
    ) async throws -> EventPage {
        guard newest > after else { return EventPage(through: after) }
        if newest - after <= Self.size {
            let page = try await page(at: Place(after: after, newest: newest, filter: filter), in: store)
            if page.numbers.count <= limit { return page }
        }
        return try await store.read { try $0.page(after: after, filter, limit: limit) }
    }

    private func page(at place: Place, in store: Store) async throws -> EventPage {
        let reading = shared.withLock { shared in
            if let reading = shared[place] { return reading }
            if shared.count >= Self.sharedCount || shared.keys.first?.newest != place.newest { shared = [:] }
            let reading = Reading {
                try await store.read { try $0.page(after: place.after, place.filter, limit: Self.size) }
            }
            shared[place] = reading
            return reading
        }
        do {
            let page = try await reading.value
            if page.lines.readableBytes > Self.sharedSize { forget(reading, at: place) }
            return page
        } catch {
            forget(reading, at: place)
            throw error
        }
    }

    private func forget(_ reading: Reading, at place: Place) {
        shared.withLock { if $0[place] == reading { $0[place] = nil } }
    }
}

extension Transaction {
    fileprivate func page(after: Int64, _ filter: EventFilter, limit: Int) throws -> EventPage {
        let dropped = try droppedThrough()
        guard after >= dropped else { return try EventPage(missing: after, through: dropped) }
        let events = try events(after: after, filter, limit: limit)
        let isFull = events.count == limit
        let through = isFull ? events.last?.number ?? after : max(after, try lastEventNumber())
        let accounts = events.contains { $0.account != nil } ? try accountJIDs() : [:]
        let shown = events.filter(filter.shows)
        var page = EventPage(numbers: shown.map(\.number), through: through, isFull: isFull)
        for event in shown {
            page.lines.writeBytes(event.line(account: event.account.flatMap { accounts[$0] }))
        }
        return page
    }
}
