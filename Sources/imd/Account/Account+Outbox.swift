// An account's outbox: sent in order, kept until the server takes responsibility (XEP-0198 §4).
import LocalAPI
import Store
import XMPP

extension Account {
    /// Sends what the outbox holds and this stream has not sent yet. Returns at once.
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

    /// The place of each stanza on the stream is on disk before its bytes go out: whatever happens then, the server's
    /// count tells which of them it has.
    private func sendOutbox() async {
        guard isOnline, !holdsOutbox, let connection else { return }
        guard stream.inFlight < Self.inFlightLimit else {
            isBlocked = true
            return acknowledgeByPing()
        }
        let (id, now, current) = (id, Clock.now(), generation)
        let (after, limit) = (
            stream.acknowledged + Int64(stream.inFlight), Self.inFlightLimit - stream.inFlight
        )
        isMarking = true
        let batch = try? await store.write { tx in
            try tx.takeOutbox(account: id, after: after, limit: limit, now: now)
        }
        // Another connection has counted anew meanwhile.
        guard current == generation else { return }
        isMarking = false
        if let batch { send(batch, over: connection) }
        if !behindMarked.isEmpty {
            stream.send(behindMarked.count)
            connection.send(.send(behindMarked))
            behindMarked = []
        }
        guard let batch else { return flushLater() }
        if batch.entries.count == limit { flushAgain = true }
        acknowledgeByPing()
    }

    private func send(_ batch: OutboxBatch, over connection: Connection) {
        for message in batch.failed { waiters.reached(.failed, message: message) }
        guard !batch.entries.isEmpty else { return }
        log.debug("sending", metadata: ["stanzas": "\(batch.entries.count)"])
        stream.sendDurable(batch.entries.count)
        connection.send(.send(batch.entries.map(\.stanza)))
        for message in batch.moved { waiters.reached(.sent, message: message) }
    }

    /// The store could not take note of what was about to be sent, so it was not sent.
    private func flushLater() {
        Task {
            try? await Task.sleep(for: .seconds(2))
            flush()
        }
    }

    /// Without stream management the answer to a ping shows that everything sent before it was handled.
    private func acknowledgeByPing() {
        guard bound?.streamManagement == false, stream.inFlight > 0, !isPinging, let connection else {
            return
        }
        isPinging = true
        let sent = stream.acknowledged + Int64(stream.inFlight)
        Task {
            var isAlive = true
            do { try await get(Ping.query) } catch { isAlive = error is StanzaError }
            isPinging = false
            guard connection === self.connection else { return }
            guard isAlive else { return connection.cut() }
            await acknowledged(Int(sent - stream.acknowledged), persistently: false)
            if stream.inFlight > 1 { acknowledgeByPing() }
        }
    }

    /// The server took responsibility for the oldest `count` stanzas in flight.
    ///
    /// - Parameter persistently: whether to wait for the disk; only where no other stream can begin meanwhile.
    func acknowledged(_ count: Int, persistently: Bool = true) async {
        let isDurable = stream.acknowledge(count)
        if isBlocked {
            isBlocked = false
            flush()
        }
        guard isDurable else { return }
        let (id, now, position) = (id, Clock.now(), stream.acknowledged)
        let write: @Sendable (Transaction) throws -> [Int64] = {
            try $0.acknowledge(account: id, through: position, now: now)
        }
        do {
            let messages = persistently ? try await persist(write) : try await store.write(write)
            for message in messages { waiters.reached(.server, message: message) }
        } catch {
            // The rows stay: the next stream sends them again, and the recipient knows the repetition.
            log.error("an acknowledgement could not be stored", metadata: ["reason": "\(error)"])
        }
        flush()
    }
}
