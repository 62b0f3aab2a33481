// Reads a subscription to its end: prints, flushes, then acknowledges; outlasts a restart of imd.

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

/// One subscription. A named consumer's is taken up again when imd went away and came back.
struct EventReader {
    /// How long imd may stay away, in seconds: enough for an upgrade.
    static let patience = 60

    private let ending: Ending
    private let params: EventSubscribe.Params
    private var client: Client
    private let deadline: ContinuousClock.Instant?
    private var printed = 0
    private var isCaughtUp = false
    private var shown: Int64 = 0
    private var acknowledged: Int64
    private var unacknowledged: Int64?
    private var hasWarnedOfStorage = false

    init(_ params: EventSubscribe.Params, _ ending: Ending) throws {
        self.ending = ending
        self.params = params
        client = try Daemon.connect()
        acknowledged = try client.call(EventSubscribe.self, params).after
        deadline = ending.timeout.map { .now + .seconds($0) }
    }

    /// - Parameter show: prints one event and tells whether it counts.
    /// - Returns: whether what was asked for came.
    mutating func run(_ show: (JSONValue) throws -> Bool) throws -> Bool {
        while !isDone {
            switch try next() {
            case .event(let json):
                let number = json["number"]?.integer ?? shown
                // Sent again by an imd that came back before it was acknowledged.
                if number <= shown, mayReconnect { continue }
                if try show(json) { printed += 1 }
                shown = number
                unacknowledged = number
            case .caughtUp(let number):
                isCaughtUp = true
                unacknowledged = max(unacknowledged ?? 0, number)
            case nil:
                try settle(finally: true)
                return ending.count == nil && (ending.follow || printed > 0)
            }
        }
        try settle(finally: true)
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

    /// Without a consumer nobody knows where to go on, and who does not wait can be called again.
    private var mayReconnect: Bool { params.consumer != nil && (ending.follow || ending.count != nil) }

    /// - Returns: nil when the time is over.
    private mutating func next() throws -> Client.Notification? {
        while true {
            do {
                if let notification = try client.nextNotification(timeout: 0) { return notification }
                // Nothing more is there: let the reader have it, and only then tell imd that it is done.
                try settle(finally: false)
                if let notification = try wait() { return notification }
                if remaining == 0 { return nil }
            } catch let error as UserError {
                try reconnect(after: error)
            }
        }
    }

    /// Waiting for ever must end when nobody reads any more, not at the next message.
    private func wait() throws -> Client.Notification? {
        client.watched = Output.descriptor
        defer { client.watched = nil }
        // What could not be acknowledged is tried again soon.
        let limit = unacknowledged == nil ? remaining : min(2, remaining ?? 2)
        do throws(UserError) {
            return try client.nextNotification(timeout: limit)
        } catch {
            if error.code == .inputOutput { throw OutputClosed() }
            throw error
        }
    }

    /// Only what has left this process is acknowledged.
    ///
    /// - Parameter finally: there is no later attempt, so an imd that cannot store it is an error.
    private mutating func settle(finally: Bool) throws {
        try Output.flush()
        guard let consumer = params.consumer else { return }
        while let number = unacknowledged {
            do throws(UserError) {
                _ = try client.call(EventAck.self, .init(consumer: consumer, number: number))
                acknowledged = max(acknowledged, number)
                unacknowledged = nil
                hasWarnedOfStorage = false
            } catch {
                guard mayReconnect, !finally, error.code == .diskFull || error.code == .storage else {
                    try reconnect(after: error)
                    continue
                }
                if !hasWarnedOfStorage {
                    Output.diagnose("warning", "cannot acknowledge what was printed: \(error.message)")
                }
                hasWarnedOfStorage = true
                return
            }
        }
    }

    /// - Throws: `error` if a new connection is no remedy.
    private mutating func reconnect(after error: UserError) throws {
        guard error.code == .daemonNotRunning, mayReconnect else { throw error }
        try Output.flush()
        Output.diagnose("warning", "\(error.message); waiting for imd to come back")
        let patience = ContinuousClock.now + .seconds(Self.patience)
        let limit = deadline.map { min($0, patience) } ?? patience
        do {
            goOn(from: try subscribeAgain(until: limit))
        } catch let error as UserError where Daemon.isTemporary(error) {
            throw UserError(
                .daemonNotRunning, "imd went away and did not come back in time",
                hint: "run the same command again when it is there: it goes on where this one ended")
        }
    }

    private mutating func subscribeAgain(
        until limit: ContinuousClock.Instant
    ) throws -> EventSubscribe.Result {
        while true {
            client = try Daemon.connect(until: limit, pause: Output.checkReader)
            let seconds = max(1, (limit - .now) / .seconds(1))
            do throws(UserError) {
                return try client.call(EventSubscribe.self, params, timeout: seconds)
            } catch {
                guard Daemon.isTemporary(error), ContinuousClock.now < limit else { throw error }
            }
            try Output.checkReader()
        }
    }

    /// An older log, restored, or a place set back by somebody: then the numbers we remember say nothing any more.
    private mutating func goOn(from place: EventSubscribe.Result) {
        if place.after < acknowledged || place.last < shown {
            shown = 0
            unacknowledged = nil
        }
        acknowledged = place.after
    }
}
