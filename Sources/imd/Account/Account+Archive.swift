// What the account missed, read from its archive page by page, in order (XEP-0313, XEP-0059).
import LocalAPI
import Store
import XMPP

extension Account {
    /// Reads everything behind the stored position; on the first login of this device a page of what was before it.
    func readArchive(on connection: Connection) async {
        guard connection === self.connection, !isReadingArchive else { return }
        if archive.isDue {
            isReadingArchive = true
            await readDueArchive(on: connection)
            isReadingArchive = false
            // Another connection may have come while this one's reader still waited for the disk.
            if let other = self.connection, !(other === connection), isOnline {
                await readArchive(on: other)
                // Its own set-up found this reader and went on without.
                return await goOn()
            }
        }
        // In any case: a broken archive must not hold back what is to be sent.
        guard connection === self.connection else { return }
        releaseHolds()
        flush()
        complainLater()
    }

    private func readDueArchive(on connection: Connection) async {
        let current = generation
        do {
            guard features.areKnown else { throw ConnectionError.stream(.timeout) }
            if features.archive { try await readPages() } else { try await finishReading(at: nil) }
        } catch {
            guard current == generation else { return }
            holdsRepetitions = false
            if (try? await isFirstLogin()) == true { await giveUpHistory() }
            // A new connection reads on from where this one was, and finds what is held in its place.
            guard connection === self.connection else { return archive.restart() }
            // What is held would otherwise be seen only once the archive answers.
            let held = archive.takeHeld() ?? []
            let effects = try? await store(held.map { .stanza($0) }) { _ in }
            if let effects { perform(effects) }
            guard current == generation else { return }
            archive.restart()
            guard connection === self.connection else { return }
            log.warning("the archive could not be read", metadata: ["reason": "\(error)"])
            retryReading(on: connection)
        }
    }

    /// Whether nothing is known of the archive yet.
    func isFirstLogin() async throws -> Bool { try await archiveStart() == .newest }

    /// What comes from now on is news, whatever the archive's trouble.
    private func giveUpHistory() async {
        isReadingHistory = false
        let (id, at) = (id, Clock.now() - Self.clockSlack)
        _ = try? await persist { try $0.setArchivePosition(nil, at: at, account: id) }
    }

    /// Seconds until the archive of a living stream is asked again.
    private static let retryDelay = Duration.seconds(60)

    private func retryReading(on connection: Connection) {
        Task {
            try? await Task.sleep(for: Self.retryDelay)
            guard connection === self.connection else { return }
            if !features.areKnown { await discoverFeatures() }
            await readArchive(on: connection)
        }
    }

    /// How many messages a page may hold; servers give less.
    private static let pageSize = 250
    /// How long a page may take, in milliseconds.
    private static let pagePatience: Int64 = 120_000

    private func readPages() async throws {
        let current = generation
        var start = try await archiveStart()
        isReadingHistory = start == .newest
        var isLost = false
        while true {
            guard current == generation else { throw ConnectionError.closed }
            let page: ArchivePage
            do {
                page = try await readPage(from: start)
            } catch let error as StanzaError where error.condition == .itemNotFound && !isLost {
                isLost = true
                start = try await startByTime(after: start, error)
                continue
            }
            if let last = page.last { start = .after(last) }
            // A page without an end cannot be followed by another.
            guard isReadingHistory || page.isComplete || page.last == nil else { continue }
            if try await finishReading(at: page) { return }
        }
    }

    private func archiveStart() async throws -> ArchiveQuery.Start {
        let id = id
        let (record, oldest) = try await store.read { tx in
            (try tx.account(id: id), try tx.oldestUnconfirmed(account: id))
        }
        guard let position = record?.archivePosition else {
            return record?.archivePositionAt.map { .since($0) } ?? .newest
        }
        // A message of ours that may have left has its place in the archive perhaps before the last one read.
        if holdsOutbox, let oldest, record?.archivePositionAt ?? 0 > oldest - Self.clockSlack {
            return .since(oldest - Self.clockSlack)
        }
        return .after(position)
    }

    /// The archive does not know the stored position any more: what is left behind it is found by its time.
    private func startByTime(
        after start: ArchiveQuery.Start, _ error: StanzaError
    ) async throws -> ArchiveQuery.Start {
        guard case .after(let position) = start else { throw error }
        let id = id
        let at = try await store.read { try $0.account(id: id) }?.archivePositionAt ?? 0
        log.warning("the archive has lost the last position")
        await append(.gap(GapDetail(reason: .archiveExpired, id: position)))
        return .since(max(0, at - Self.clockSlack))
    }

    /// How far the server's clock may be from ours, in milliseconds.
    private static let clockSlack: Int64 = 600_000

    /// Its messages are stored when this returns: they came before the answer.
    private func readPage(from start: ArchiveQuery.Start) async throws -> ArchivePage {
        var random = SystemRandomNumberGenerator()
        let queryID = StanzaID.random(using: &random)
        archive.asks(queryID)
        let size = start == .newest ? max(1, history) : Self.pageSize
        let query = ArchiveQuery(queryID: queryID, start: start, max: size)
        let answer = try await set(query.element, patience: Self.pagePatience)
        return try ArchivePage(try IQ.payload(answer))
    }

    /// Takes in what came live meanwhile and was not in the archive yet; the keys used so far may go.
    ///
    /// - Parameter page: the last one; nil without an archive.
    /// - Returns: false where more came than was kept: the archive has it.
    @discardableResult
    private func finishReading(at page: ArchivePage?) async throws -> Bool {
        let (id, now, isKnown, current) = (id, Clock.now(), features.areKnown, generation)
        isReadingHistory = false
        var context = archiveContext
        context.isCaughtUp = true
        repeat {
            guard let held = archive.takeHeld() else { return false }
            let effects = try await store(held.map { .stanza($0) }, in: context) { tx in
                if let last = page?.last {
                    // The end of a page may be a stanza that was left out.
                    try tx.setArchivePosition(last, at: now, account: id)
                } else if isKnown, let account = try tx.account(id: id), account.archivePosition == nil {
                    // No archive, or an empty one: everything it will ever hold is news.
                    try tx.setArchivePosition(nil, at: account.archivePositionAt ?? 0, account: id)
                }
            }
            perform(effects)
            guard current == generation else { throw ConnectionError.closed }
        } while !archive.finish()
        isRestored = false
        try await persist { tx in
            try tx.setCaughtUp(account: id)
            try tx.removeUsedPreKeys(account: id)
        }
        Task {
            try? await publishDevice()
            await heal()
        }
        return true
    }
}
