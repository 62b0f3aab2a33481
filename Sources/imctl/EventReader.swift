// Reads a subscription to its end: prints, flushes, then acknowledges.

import ArgumentParser
import LocalAPI

/// When to stop reading.
struct Ending {
    /// Go on after everything old has come.
    var follow = false
    /// Stop after this many messages.
    var count: Int?
    /// Stop after this many seconds.
    var timeout: Int?
}

/// One subscription on one connection.
struct EventReader {
    let ending: Ending
    let client: Client
    let consumer: String?
    private let deadline: ContinuousClock.Instant?
    private var printed = 0
    private var isCaughtUp = false
    private var unacknowledged: Int64?

    init(_ params: EventSubscribe.Params, _ ending: Ending) throws {
        self.ending = ending
        client = try Daemon.connect()
        _ = try client.call(EventSubscribe.self, params)
        consumer = params.consumer
        deadline = ending.timeout.map { .now + .seconds($0) }
    }

    /// - Parameter show: prints one event and tells whether it counts.
    /// - Returns: whether what was asked for came.
    mutating func run(_ show: (JSONValue) throws -> Bool) throws -> Bool {
        while !isDone {
            var notification = try client.nextNotification(timeout: 0)
            if notification == nil {
                // Nothing more is there: let the reader have it, and only then tell imd that it is done.
                try settle()
                notification = try wait()
            }
            switch notification {
            case .event(let json):
                if try show(json) { printed += 1 }
                unacknowledged = json["number"]?.integer ?? unacknowledged
            case .caughtUp(let number):
                isCaughtUp = true
                unacknowledged = max(unacknowledged ?? 0, number)
            case nil:
                try settle()
                return ending.count == nil && (ending.follow || printed > 0)
            }
        }
        try settle()
        return true
    }

    private var isDone: Bool {
        if let count = ending.count { return printed >= count }
        return isCaughtUp && !ending.follow && (ending.timeout == nil || printed > 0)
    }

    private var remaining: Double? {
        guard let deadline else { return nil }
        return max(0, (deadline - .now) / .seconds(1))
    }

    /// Waiting for ever must end when nobody reads any more, not at the next message.
    private func wait() throws -> Client.Notification? {
        client.watched = Output.descriptor
        defer { client.watched = nil }
        do {
            return try client.nextNotification(timeout: remaining)
        } catch  where error.code == .inputOutput {
            throw OutputClosed()
        }
    }

    private mutating func settle() throws {
        try Output.flush()
        guard let consumer, let number = unacknowledged else { return }
        _ = try client.call(EventAck.self, .init(consumer: consumer, number: number))
        unacknowledged = nil
    }
}
