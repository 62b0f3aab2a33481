// Callers that wait until a message has reached a state.
import Store

/// A value: it is told which states were reached and returns who may go on.
struct StateWaiters {
    private struct Waiter {
        let wanted: MessageState
        let resume: CheckedContinuation<Void, Never>
    }

    private var waiters: [Int64: [Int: Waiter]] = [:]
    private var next = 0

    /// What a caller is known by.
    mutating func ticket() -> Int {
        next += 1
        return next
    }

    mutating func add(
        message: Int64, until wanted: MessageState, ticket: Int, _ resume: CheckedContinuation<Void, Never>
    ) {
        waiters[message, default: [:]][ticket] = Waiter(wanted: wanted, resume: resume)
    }

    mutating func reached(_ state: MessageState, message: Int64) {
        guard let here = waiters[message] else { return }
        for (ticket, waiter) in here where state == .failed || state >= waiter.wanted {
            waiters[message]?[ticket] = nil
            waiter.resume.resume()
        }
        if waiters[message]?.isEmpty == true { waiters[message] = nil }
    }

    /// Lets the caller go on although its message is not there yet.
    mutating func cancel(message: Int64, ticket: Int) {
        waiters[message]?.removeValue(forKey: ticket)?.resume.resume()
        if waiters[message]?.isEmpty == true { waiters[message] = nil }
    }
}
