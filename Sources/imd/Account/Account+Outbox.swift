// An account's outbox: sent in order, kept until the server takes responsibility (XEP-0198 §4).
import LocalAPI
import Store
import XMPP

extension Account {
    /// Sends what the outbox holds beyond the last stanza sent on this stream. Returns at once.
    func flush() {
        flushAgain = true
        guard !isFlushing else { return }
        isFlushing = true
        Task {
            while flushAgain {
                flushAgain = false
                await sendOutbox()
            }
            isFlushing = false
        }
    }

    /// More than this many stanzas are not in flight at once: a slow server must not fill the memory.
    private static let inFlightLimit = 512

    private func sendOutbox() async {
        guard isOnline, let stream = connection, unacknowledged.count < Self.inFlightLimit else { return }
        let (id, after, limit) = (id, lastSent, Self.inFlightLimit - unacknowledged.count)
        guard let entries = try? await store.read({ try $0.outbox(account: id, after: after, limit: limit) }),
            isOnline, stream === connection, let last = entries.last
        else { return }
        lastSent = last.id
        log.debug("sending", metadata: ["stanzas": "\(entries.count)"])
        unacknowledged.append(contentsOf: entries.map(\.id))
        stream.send(.send(entries.map(\.stanza)))
        if entries.count == limit { flushAgain = true }
        acknowledgeByPing()
    }

    /// Without stream management the answer to a ping shows that everything sent before it was handled.
    private func acknowledgeByPing() {
        guard bound?.streamManagement == false, !isPinging, let stream = connection else { return }
        isPinging = true
        let sent = unacknowledged.sent
        Task {
            var isAlive = true
            do { try await get(Ping.query) } catch { isAlive = error is StanzaError }
            isPinging = false
            guard isAlive, stream === connection else { return }
            await acknowledged(sent - unacknowledged.acknowledged)
            if unacknowledged.count > 1 { acknowledgeByPing() }
        }
    }

    /// The server took responsibility for the oldest `count` stanzas of this stream.
    func acknowledged(_ count: Int) async {
        let rows = unacknowledged.acknowledge(count)
        guard !rows.isEmpty else { return }
        let (id, now) = (id, Clock.now())
        do {
            let messages = try await store.write { try $0.acknowledge(account: id, outbox: rows, now: now) }
            for message in messages { waiters.reached(.server, message: message) }
        } catch {
            // The rows stay: the next stream sends them again, and the recipient knows the repetition.
            log.error("an acknowledgement could not be stored", metadata: ["reason": "\(error)"])
        }
        flush()
    }
}
