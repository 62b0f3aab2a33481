// An account's way out: accept, encrypt, put into the outbox.
import IMCrypto
import LocalAPI
import OMEMO
import Store
import XMPP

/// One message to send, as the API asked for it.
struct SendRequest: Sendable {
    var chat: JID
    var body: String
    /// The caller's idempotency key.
    var clientID: String?
    var plaintext: Bool
    /// The name of the message that the text is a reaction to.
    var reactsTo: String?
}

/// What became of a request.
struct Accepted: Sendable {
    var message: StoredMessage
    var isDuplicate = false
    /// Nil while it waits for keys that cannot be had at the moment.
    var outcome: Outbound.Outcome?
}

extension Account {
    /// Stores a message and, when online, encrypts it before returning.
    ///
    /// - Parameter turn: passed when the message has its place before all that are accepted later.
    /// - Throws: `UserError` `.noTrustedDevice`, `.conflict` for a key used with other content, `StoreError`.
    func accept(_ request: SendRequest, _ turn: Turn) async throws -> Accepted {
        // Without the current device lists nobody knows for whom to encrypt; then the message waits.
        let isKnown = mayEncrypt && isCurrent(request.chat) && isCurrent(jid)
        let outbound = Outbound(
            own: own, policies: policies, now: Clock.now(), failures: recentFailures())
        var accepted = try await store.write(passing: turn) { tx in
            try outbound.accept(request, mayEncrypt: isKnown, tx)
        }
        if accepted.outcome == nil, !accepted.isDuplicate { await waitForRelease() }
        if accepted.outcome == nil, !accepted.isDuplicate, mayEncrypt {
            let row = accepted.message.id
            accepted.outcome = await prepare(request.chat, for: row)[row]
            switch accepted.outcome {
            case .held?, nil:
                // Held, or somebody else was faster.
                accepted.message = try await store.read { try $0.message(row: row) } ?? accepted.message
            default: break
            }
        }
        switch accepted.outcome {
        case .noTrustedDevice(let excluded)?: throw noTrustedDevice(request.chat, excluded)
        case .optedOut?: throw optedOut(request.chat)
        case .encryptionRequired?: throw UserError.encryptionRequired(request.chat)
        default: break
        }
        flush()
        return accepted
    }

    private func noTrustedDevice(_ chat: JID, _ excluded: [ExcludedDevice]) -> UserError {
        let shown = excluded.prefix(8).map { "\($0.device) (\($0.reason))" }.joined(separator: ", ")
        let detail =
            excluded.isEmpty
            ? "it publishes no OMEMO device"
            : "device \(shown)" + (excluded.count > 8 ? " and \(excluded.count - 8) more" : "")
        let theirs = excluded.filter { $0.jid == chat.description }
        let lacksReactions =
            !theirs.isEmpty && theirs.allSatisfy { $0.reason == ExclusionReason.legacyOnly.rawValue }
        return UserError(
            .noTrustedDevice, "no trusted device for \(chat): \(detail)",
            hint: lacksReactions
                ? "reactions are encrypted only for devices with omemo:2; send a text"
                : "look at: imctl device list \(chat)"
        )
    }

    private func optedOut(_ chat: JID) -> UserError {
        UserError(
            .optedOut, "\(chat) asked for messages without encryption",
            hint: "imctl encryption \(chat) --required goes on encrypting; --optional allows --plaintext")
    }

    // MARK: Messages that wait for keys

    /// Encrypts everything that waits in a chat, fetching what it takes; calls for one chat share the work.
    ///
    /// - Returns: the outcome of each message, by row; of the first run that has one for `message`.
    private func prepare(_ chat: JID, for message: Int64? = nil) async -> [Int64: Outbound.Outcome] {
        while let running = preparing[chat] {
            let outcomes = await running.value
            if let message, outcomes[message] != nil { return outcomes }
        }
        guard mayEncrypt else { return [:] }
        let run = Task {
            // Gone before anybody who waits for it looks again.
            defer { preparing[chat] = nil }
            return await encryptWaiting(in: chat)
        }
        preparing[chat] = run
        return await run.value
    }

    /// What was accepted while there was no connection, could not be encrypted when it was accepted, or was held.
    func prepareQueued() async {
        let id = id
        do {
            for chat in try await store.read({ try $0.chatsWaiting(account: id) }) {
                _ = await prepare(chat)
                // A server that keeps one chat waiting does not hold up what is ready for others.
                flush()
            }
        } catch {
            retryLater()
        }
    }

    /// A person decided about devices, or a device list changed: messages that were held for that go out, stay, or
    /// have failed.
    ///
    /// - Parameter chats: nil for all.
    @discardableResult
    func releaseHeld(in chats: [JID]? = nil) async -> (released: Int, cancelled: Int) {
        var (released, cancelled) = (0, 0)
        let id = id
        let waiting = (try? await store.read { try $0.heldChats(account: id) }) ?? []
        for chat in waiting where chats?.contains(chat) != false {
            let held = try? await store.read { try $0.messagesHeld(account: id, chat: chat).map(\.id) }
            guard let held, !held.isEmpty else { continue }
            let outcomes = await prepare(chat)
            for row in held {
                switch outcomes[row] {
                case .enqueued?: released += 1
                case .noTrustedDevice?, .optedOut?, .encryptionRequired?, .damaged?: cancelled += 1
                case .held?, .needs?, nil: break
                }
            }
        }
        if released > 0 { flush() }
        return (released, cancelled)
    }

    private func encryptWaiting(in chat: JID) async -> [Int64: Outbound.Outcome] {
        var all: [Int64: Outbound.Outcome] = [:]
        do {
            try await refreshLists(of: [chat, jid])
            var outbound = Outbound(
                own: own, policies: policies, now: Clock.now(), failures: recentFailures())
            // What is missing after its bundle was asked for is excluded; more rounds are for devices that
            // appear meanwhile.
            for _ in 0..<5 {
                let attempt = outbound
                let (outcomes, missing) = try await store.write {
                    try attempt.encryptWaiting(in: chat, $0)
                }
                for (row, outcome) in outcomes {
                    switch outcome {
                    case .noTrustedDevice, .optedOut, .encryptionRequired, .damaged:
                        waiters.reached(.failed, message: row)
                    case .enqueued, .held, .needs: break
                    }
                }
                all.merge(outcomes) { $1 }
                if missing.isEmpty { return all }
                outbound.bundles = try await fetchBundles(missing)
                outbound.failures = recentFailures()
            }
        } catch {
            log.info("a message waits", metadata: ["chat": "\(chat)", "reason": "\(error)"])
        }
        retryLater()
        return all
    }

    /// A message that waits on a living stream is tried again by itself.
    private func retryLater() {
        guard retry == nil else { return }
        retry = Task {
            try? await Task.sleep(for: .seconds(30))
            retry = nil
            if !Task.isCancelled { await prepareQueued() }
        }
    }

    // MARK: Waiting

    /// Waits until a message is at least in `wanted`, failed, the time is over, or the task is cancelled.
    func wait(for message: Int64, until wanted: MessageState, timeout: Duration) async {
        let ticket = waiters.ticket()
        let timer = Task {
            // It may have got there before anybody waited.
            let stored = try? await store.read { try $0.message(row: message) }
            if let state = stored?.state { waiters.reached(state, message: message) }
            try? await Task.sleep(for: timeout)
            waiters.cancel(message: message, ticket: ticket)
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { waiters.add(message: message, until: wanted, ticket: ticket, $0) }
        } onCancel: {
            timer.cancel()
        }
        timer.cancel()
    }
}

extension Store {
    /// As `write`, and the turn passes when the write has its place in the order of all writes.
    fileprivate func write<T: Sendable>(
        passing turn: Turn, _ body: @escaping @Sendable (Transaction) throws -> T
    ) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            write(body) { continuation.resume(with: $0) }
            turn.pass()
        }
    }
}
